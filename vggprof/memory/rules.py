"""What each operator of a trace does to memory on one GPU under one torch: the rules, by operator."""

from collections.abc import Iterable
from dataclasses import dataclass

from vggprof.memory.workspaces import cudnn_calls, native_convolutions, scratch
from vggprof.memory.workspaces.actions import Script
from vggprof.memory.workspaces.backend import ConvBackend, select_backend
from vggprof.memory.workspaces.convolution import ConvProblem, CudnnSettings, Pass, Strided
from vggprof.trace import Operand, Operator


@dataclass(frozen=True, slots=True)
class Platform:
    """What of the target decides the ways torch takes."""

    target: scratch.Target
    cudnn_version: int  # as cuDNN says it, 91900 for 9.19.0
    settings: CudnnSettings

    def script(self, operator: Operator) -> Script:
        """Return what *operator* does here; an empty script where it only makes its outputs.

        So does one that there is no rule for, which `unruled` tells.
        """
        match operator.name:
            case "aten.convolution.default":
                return self._forward(operator)
            case "aten.convolution_backward.default":
                return self._backward(operator)
            case _:
                return scratch.script(operator, self.target) or ()

    def unruled(self, operators: Iterable[Operator]) -> tuple[str, ...]:
        """Return the names of those of *operators* whose own memory is not known, each once."""
        return scratch.unknown_operators(operators, self.target)

    def _forward(self, operator: Operator) -> Script:
        problem = _problem(operator, self.settings, which=Pass.FORWARD, output=operator.outputs[0])
        backend = self._backend(problem)
        if _is_cudnn(backend):
            return cudnn_calls.forward(problem)
        return native_convolutions.forward(problem, backend, self.target.products)

    def _backward(self, operator: Operator) -> Script:
        gradient = operator.input("grad_output")
        assert gradient is not None
        problem = _problem(operator, self.settings, which=Pass.DGRAD, output=gradient)
        wants_input, wants_weight, wants_bias = map(bool, _integers(operator, "output_mask"))
        backend = self._backend(problem)
        if _is_cudnn(backend):
            weights = cudnn_calls.backward(problem, wants_input=wants_input, wants_weight=wants_weight)
        else:
            weights = native_convolutions.backward(
                problem, backend, self.target.products, wants_input=wants_input, wants_weight=wants_weight
            )
        return (*weights, *self._bias(problem)) if wants_bias else weights

    def _bias(self, problem: ConvProblem) -> Script:
        return scratch.bias_gradient(problem.output, dtype=problem.dtype, device=self.target.device)

    def _backend(self, problem: ConvProblem) -> ConvBackend:
        capability = self.target.device.capability
        return select_backend(problem, capability=capability, cudnn_version=self.cudnn_version)


def _is_cudnn(backend: ConvBackend) -> bool:
    return backend in (ConvBackend.CUDNN, ConvBackend.CUDNN_TRANSPOSE)


def _problem(operator: Operator, settings: CudnnSettings, *, which: Pass, output: Operand) -> ConvProblem:
    source, weight = operator.input("input"), operator.input("weight")
    assert source is not None
    assert weight is not None
    axes = len(source.shape) - 2
    (groups,) = _integers(operator, "groups")
    return ConvProblem(
        which=which,
        dtype=source.dtype,
        input=_strided(source),
        weight=_strided(weight),
        output=_strided(output),
        padding=_per_axis(operator, "padding", axes),
        stride=_per_axis(operator, "stride", axes),
        dilation=_per_axis(operator, "dilation", axes),
        groups=groups,
        transposed=bool(operator.argument("transposed")),
        output_padding=_per_axis(operator, "output_padding", axes),
        settings=settings,
    )


def _strided(operand: Operand) -> Strided:
    return Strided(operand.shape, operand.strides)


def _per_axis(operator: Operator, name: str, axes: int) -> tuple[int, ...]:
    """Return the whole numbers of an argument, one for each of *axes*; a single one stands for all."""
    numbers = _integers(operator, name)
    return numbers * axes if len(numbers) == 1 else numbers


def _integers(operator: Operator, name: str) -> tuple[int, ...]:
    value = operator.argument(name)
    values = value if isinstance(value, tuple) else (value,)
    return tuple(number for number in values if isinstance(number, int))
