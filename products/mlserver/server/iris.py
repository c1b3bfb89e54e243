"""The species of an iris, by the mean of its species that a flower is nearest to: a model of MLServer's own kind."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse

# Mean length and width of sepals and of petals in centimetres, from Fisher's measurements (1936).
MEANS = {
    "setosa": (5.006, 3.428, 1.462, 0.246),
    "versicolor": (5.936, 2.770, 4.260, 1.326),
    "virginica": (6.588, 2.974, 5.552, 2.026),
}


class Iris(MLModel):
    async def load(self) -> bool:
        self._species = list(MEANS)
        self._means = np.array(list(MEANS.values()))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        flowers = NumpyCodec.decode_input(payload.inputs[0])
        if (flowers < 0).any():
            raise InferenceError("a flower has no negative measures")
        distances = np.linalg.norm(flowers[:, None, :] - self._means, axis=2)
        nearest = [self._species[index] for index in distances.argmin(axis=1)]
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[
                NumpyCodec.encode_output("distances", distances),
                StringCodec.encode_output("species", nearest),
            ],
        )
