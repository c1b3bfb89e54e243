"""Trains the network of bench/crayfish.ts on scikit-learn's digits, blown up to 28 x 28, and writes ffnn.onnx beside this file.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python train.py
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save_model
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
SEED = 0
NOISE = 0.03


def images():
    """Bilinear, with noise, in 256 shades as the benchmark sends them: [n, 784] from 0 to 1."""
    large = np.stack([zoom(image / 16, 28 / 8, order=1) for image in load_digits().images])
    noisy = large + np.random.default_rng(SEED).normal(0, NOISE, large.shape)
    return (np.clip(np.rint(noisy * 255), 0, 255) / 255).reshape(-1, 784).astype(np.float32)


def without_subnormals(array):
    """As 32-bit floats. Weights that regularisation leaves below 1.2e-38 say nothing, but each product with one can take a hundred times as long."""
    floats = array.astype(np.float32)
    return np.where(np.abs(floats) < np.finfo(np.float32).tiny, np.float32(0), floats)


def as_onnx(network):
    """Pixels [n, 784] in, the probabilities of the ten digits [n, 10] out."""
    layers = list(zip(network.coefs_, network.intercepts_))
    nodes, weights, below = [], [], "pixels"
    for number, (weight, bias) in enumerate(layers, 1):
        weights += [(f"weight_{number}", weight), (f"bias_{number}", bias)]
        last = number == len(layers)
        above = "scores" if last else f"sums_{number}"
        nodes.append(helper.make_node("Gemm", [below, f"weight_{number}", f"bias_{number}"], [above]))
        if not last:
            below = f"hidden_{number}"
            nodes.append(helper.make_node("Relu", [above], [below]))
    nodes.append(helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1))
    graph = helper.make_graph(
        nodes,
        "ffnn",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 784])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 10])],
        [numpy_helper.from_array(without_subnormals(array), name) for name, array in weights],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, model_version=1, producer_name="millrace bench"
    )
    checker.check_model(model)
    return model


pixels, labels = images(), load_digits().target
network = MLPClassifier((32, 32), alpha=0.01, max_iter=300, random_state=SEED).fit(pixels, labels)
save_model(as_onnx(network), HERE / "ffnn.onnx")
parameters = sum(array.size for array in network.coefs_ + network.intercepts_)
print(f"{parameters} parameters, accuracy on what it was trained on: {network.score(pixels, labels):.4f}")
