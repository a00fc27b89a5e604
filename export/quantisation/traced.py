"""A network as the list of operations that it is made of, to run again with changes to some of them.

Layers of Model Garden are blocks of layers; what an int8 file rounds are results of operations, which no layer shows.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

Operation: TypeAlias = Any
"""Of TensorFlow's graph."""
Change: TypeAlias = Callable[[Operation, Sequence[Any], Callable[[], Any]], Any]
"""Takes an operation of the trace, what it gets, and a function that executes it; returns the result to go on with."""


class TracedNetwork:
    """The operations between pictures and outputs, in an order in which they can run, each with a single result.

    `function` takes a float32 tensor of `shape` and gives nested outputs. It is traced once; its variables are read
    anew in each run, and gradients flow to them.
    """

    def __init__(self, function: Callable[[Any], Any], shape: Sequence[int | None]) -> None:
        pictures = tf.TensorSpec(shape, tf.float32)
        self._concrete = tf.function(function, autograph=False).get_concrete_function(pictures)
        graph = self._concrete.graph
        held = {variable.handle.ref(): variable for variable in graph.variables}
        handles = {inside.ref(): held[outside.ref()] for outside, inside in graph.captures}
        needed = _ancestors(tf.nest.flatten(self._concrete.structured_outputs))
        traced = [operation for operation in graph.get_operations() if operation.name in needed]
        self.input: Operation = self._concrete.inputs[0].op
        self.outputs: Any = tf.nest.map_structure(lambda tensor: tensor.op, self._concrete.structured_outputs)
        self.operations: list[Operation] = [one for one in traced if one.type != "Placeholder"]
        self._variables = {one.name: handles[one.inputs[0].ref()] for one in traced if one.type == "ReadVariableOp"}

    def run(self, pictures: Any, change: Change) -> Any:
        """The outputs, in the form in which `function` gave them. The input too is an operation, which gets nothing."""
        results = {self.input.outputs[0].ref(): change(self.input, (), lambda: pictures)}
        for operation in self.operations:
            inputs = [results.get(tensor.ref()) for tensor in operation.inputs]
            results[operation.outputs[0].ref()] = change(operation, inputs, lambda: self._result(operation, inputs))  # noqa: B023 - called at once
        return tf.nest.map_structure(lambda operation: results[operation.outputs[0].ref()], self.outputs)

    @property
    def variables(self) -> Sequence[Any]:
        """All that are read, each once."""
        return list({variable.ref(): variable for variable in self._variables.values()}.values())

    def variable_of(self, reading: Operation) -> Any:
        return self._variables[reading.name]

    def _result(self, operation: Operation, inputs: Sequence[Any]) -> Any:
        if operation.type == "ReadVariableOp":
            return self._variables[operation.name].value()
        if operation.type == "Const":
            return tf.constant(tf.make_ndarray(operation.get_attr("value")))
        return _executed(operation, inputs)


def _ancestors(outputs: Sequence[Any]) -> set[str]:
    found: set[str] = set()
    waiting = [tensor.op for tensor in outputs]
    while waiting:
        operation = waiting.pop()
        if operation.name not in found:
            found.add(operation.name)
            waiting += [tensor.op for tensor in operation.inputs]
    return found


def _executed(operation: Operation, inputs: Sequence[Any]) -> Any:
    function = getattr(tf.raw_ops, operation.type)
    arguments: dict[str, Any] = {}
    rest = list(inputs)
    for argument in operation.op_def.input_arg:
        count = operation.get_attr(argument.number_attr) if argument.number_attr else 1
        arguments[argument.name], rest = (rest[:count] if argument.number_attr else rest[0]), rest[count:]
    asked = set(inspect.signature(function).parameters) - set(arguments) - {"name"}
    result = function(**arguments, **{name: operation.get_attr(name) for name in asked})
    return result[0] if isinstance(result, tuple) else result
