"""What each operator of a trace does to memory on one GPU under one torch: the rules, by operator."""

from dataclasses import dataclass

from vggprof.memory.workspaces import cudnn_calls
from vggprof.memory.workspaces.actions import Script
from vggprof.memory.workspaces.backend import ConvBackend, select_backend
from vggprof.memory.workspaces.convolution import ConvProblem, CudnnSettings, Pass, Strided
from vggprof.trace import Operand, Operator

DEFAULT_SETTINGS = CudnnSettings()


@dataclass(frozen=True, slots=True)
class Platform:
    """What of the target decides the ways torch takes."""

    capability: tuple[int, int]
    torch: tuple[int, int]
    cudnn_version: int  # as cuDNN says it, 91900 for 9.19.0
    settings: CudnnSettings = DEFAULT_SETTINGS


def script(operator: Operator, platform: Platform) -> Script:
    """Return what *operator* does on *platform*; an empty script where it only makes its outputs."""
    match operator.name:
        case "aten.convolution.default":
            return _convolution(operator, platform)
        case "aten.convolution_backward.default":
            return _convolution_backward(operator, platform)
        case _:
            return ()


def _convolution(operator: Operator, platform: Platform) -> Script:
    problem = _problem(operator, platform, which=Pass.FORWARD, output=operator.outputs[0])
    if not _by_cudnn(problem, platform):
        return ()
    return cudnn_calls.forward(problem)


def _convolution_backward(operator: Operator, platform: Platform) -> Script:
    gradient = operator.input("grad_output")
    assert gradient is not None
    problem = _problem(operator, platform, which=Pass.DGRAD, output=gradient)
    wants_input, wants_weight, _ = _integers(operator, "output_mask")
    if not _by_cudnn(problem, platform):
        return ()
    return cudnn_calls.backward(problem, wants_input=bool(wants_input), wants_weight=bool(wants_weight))


def _by_cudnn(problem: ConvProblem, platform: Platform) -> bool:
    backend = select_backend(problem, capability=platform.capability, cudnn_version=platform.cudnn_version)
    return backend in (ConvBackend.CUDNN, ConvBackend.CUDNN_TRANSPOSE)


def _problem(operator: Operator, platform: Platform, *, which: Pass, output: Operand) -> ConvProblem:
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
        settings=platform.settings,
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
