"""Trains the digits classifier on scikit-learn's digits, and writes digits.onnx and data/held-out.ndjson beside this file.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python train.py
"""

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save_model
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
SEED = 0
HELD_OUT = 360


def scaled(pixels):
    """Pixels are whole numbers from 0 to 16."""
    return (pixels / 16).astype(np.float32)


def without_subnormals(array):
    """As 32-bit floats. Weights that regularisation leaves below 1.2e-38 say nothing, but each product with one can take a hundred times as long."""
    floats = array.astype(np.float32)
    return np.where(np.abs(floats) < np.finfo(np.float32).tiny, np.float32(0), floats)


def as_onnx(network):
    """A float network with one hidden layer: pixels [n, 64] in, the probabilities of the ten digits [n, 10] out."""
    (hidden, output), (hidden_bias, output_bias) = network.coefs_, network.intercepts_
    weights = {
        # The scaling of the pixels is part of the first layer, so that the model takes them as they are.
        "hidden_weights": hidden / 16,
        "hidden_bias": hidden_bias,
        "output_weights": output,
        "output_bias": output_bias,
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["pixels", "hidden_weights", "hidden_bias"], ["sums"]),
            helper.make_node("Relu", ["sums"], ["hidden"]),
            helper.make_node("Gemm", ["hidden", "output_weights", "output_bias"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        ],
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 64])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 10])],
        [numpy_helper.from_array(without_subnormals(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, model_version=1, producer_name="millrace digits"
    )
    checker.check_model(model)
    return model


digits = load_digits()
pixels, held_out_pixels, labels, held_out_labels = train_test_split(
    digits.data, digits.target, test_size=HELD_OUT, stratify=digits.target, random_state=SEED
)
network = MLPClassifier((96,), alpha=0.01, max_iter=600, random_state=SEED).fit(scaled(pixels), labels)
save_model(as_onnx(network), HERE / "digits.onnx")
(HERE / "data").mkdir(exist_ok=True)
with (HERE / "data" / "held-out.ndjson").open("w") as file:
    for number, (row, label) in enumerate(zip(held_out_pixels, held_out_labels)):
        image = {"id": f"held-out-{number}", "pixels": [int(pixel) for pixel in row], "digit": int(label)}
        file.write(json.dumps(image, separators=(",", ":")) + "\n")
print(f"accuracy on {HELD_OUT} held-out rows: {network.score(scaled(held_out_pixels), held_out_labels):.4f}")
