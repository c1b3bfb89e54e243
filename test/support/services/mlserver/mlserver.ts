import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { mlserverPython } from "../install.ts";
import type { Service } from "../local-process.ts";
import { startLocalProcess } from "../local-process.ts";
import { freePort } from "../ports.ts";
import { newServiceDir } from "../watchdog.ts";

/** A running MLServer: `address` is `http://host:port`. */
export interface MLServer extends Service {
  /** `grpc://host:port` */
  readonly grpc: string;
}

/**
 * Starts an MLServer of the test's own.
 * @param folder has the model and its `model-settings.json`
 */
export async function startMLServer(folder: string): Promise<MLServer> {
  const command = await mlserverPython();
  const [http, grpc] = [await freePort(), await freePort()];
  const settings = JSON.parse(await readFile(`${folder}/model-settings.json`, "utf8")) as { readonly name: string };
  const address = `http://127.0.0.1:${http}`;
  const service = await startLocalProcess({
    name: "MLServer",
    address,
    dir: newServiceDir("mlserver"),
    command,
    args: [fileURLToPath(new URL("serve.py", import.meta.url)), folder, String(http), String(grpc)],
    ready: async () => (await fetch(`${address}/v2/models/${settings.name}/ready`)).ok,
  });
  return Object.assign(service, { grpc: `grpc://127.0.0.1:${grpc}` });
}
