"""Runs MLServer with the model of a folder, as `mlserver start FOLDER` does: FOLDER HTTP_PORT GRPC_PORT."""

import asyncio
import os
import sys

from mlserver import MLServer, ModelSettings, Settings


async def serve(folder: str, http_port: int, grpc_port: int) -> None:
    sys.path.insert(0, folder)
    settings = Settings(host="127.0.0.1", http_port=http_port, grpc_port=grpc_port, metrics_endpoint=None, parallel_workers=0)
    model = ModelSettings.parse_file(os.path.join(folder, "model-settings.json"))
    await MLServer(settings).start([model])


asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
