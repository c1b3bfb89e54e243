"""Makes the ONNX files beside it, each the smallest that shows one thing: pip install onnx==1.23.2 && python make-models.py"""

from pathlib import Path

from onnx import TensorProto, checker, helper, save_model

HERE = Path(__file__).parent


def save(name, nodes, inputs, outputs, constants=(), version=0):
    tensors = [helper.make_tensor_value_info(*each) if isinstance(each, tuple) else each for each in (*inputs, *outputs)]
    graph = helper.make_graph(nodes, name, tensors[: len(inputs)], tensors[len(inputs) :], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, model_version=version)
    checker.check_model(model)
    save_model(model, HERE / f"{name}.onnx")


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
two = helper.make_tensor("two", FLOAT, [], [2])

# Three numbers, doubled. The only one with a version of its own.
save(
    "double",
    [helper.make_node("Mul", ["x", "two"], ["y"])],
    [("x", FLOAT, ["rows", 3])],
    [("y", FLOAT, ["rows", 3])],
    [two],
    version=7,
)
# The same for one row at a time, and for four.
for name, rows in (("one-row", 1), ("four-rows", 4)):
    save(name, [helper.make_node("Mul", ["x", "two"], ["y"])], [("x", FLOAT, [rows, 3])], [("y", FLOAT, [rows, 3])], [two])
# Any number of numbers, summed.
save(
    "sum",
    [helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0)],
    [("x", FLOAT, ["rows", "numbers"])],
    [("total", FLOAT, ["rows"])],
    [helper.make_tensor("axes", INT64, [1], [1])],
)
# Two inputs of different types, two outputs.
save(
    "shift",
    [
        helper.make_node("Cast", ["by"], ["float_by"], to=FLOAT),
        helper.make_node("Unsqueeze", ["float_by", "axes"], ["column"]),
        helper.make_node("Add", ["point", "column"], ["moved"]),
        helper.make_node("Neg", ["by"], ["back"]),
    ],
    [("point", FLOAT, ["rows", 2]), ("by", INT64, ["rows"])],
    [("moved", FLOAT, ["rows", 2]), ("back", INT64, ["rows"])],
    [helper.make_tensor("axes", INT64, [1], [1])],
)
# Looks up 10, 20 or 30: fails while it runs where the index is none of 0, 1, 2.
save(
    "lookup",
    [helper.make_node("Gather", ["table", "index"], ["found"])],
    [("index", INT64, ["rows"])],
    [("found", FLOAT, ["rows"])],
    [helper.make_tensor("table", FLOAT, [3], [10, 20, 30])],
)
# Text, as it came.
save("echo", [helper.make_node("Identity", ["text"], ["same"])], [("text", TensorProto.STRING, ["rows"])], [("same", TensorProto.STRING, ["rows"])])
# What can't be asked for rows: a type that no array here holds, no dimension for rows, an output that is no tensor, and no input.
HALF = TensorProto.FLOAT16
save("half", [helper.make_node("Neg", ["x"], ["y"])], [("x", HALF, ["rows", 3])], [("y", HALF, ["rows", 3])])
save("scalar", [helper.make_node("Neg", ["x"], ["y"])], [("x", FLOAT, [])], [("y", FLOAT, [])])
save(
    "sequence",
    [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("SequenceConstruct", ["x", "y"], ["both"])],
    [("x", FLOAT, ["rows"])],
    [("y", FLOAT, ["rows"]), helper.make_tensor_sequence_value_info("both", FLOAT, ["rows"])],
)
save("constant", [helper.make_node("Identity", ["two"], ["y"])], [], [("y", FLOAT, [])], [two])
