"""What torch's own convolution kernels take: copies that make their tensors dense, and unfolded images.

ATen/native/cuda: DepthwiseConv2d.cu, DepthwiseConv3d.cu, ConvolutionMM2d.cu, NaiveDilatedConvolution.cu and
NaiveConvolutionTranspose2d.cu. The slow ones, which unfold an image and multiply matrices, run only where
cuDNN is switched off or cannot; the products of all images are noted as one, groups within bounds.
"""

from math import prod

from vggprof.memory.workspaces.actions import Script, Tape, Unknown
from vggprof.memory.workspaces.backend import ConvBackend
from vggprof.memory.workspaces.blas import BlasTarget, Library, product
from vggprof.memory.workspaces.convolution import ConvProblem, as_2d
from vggprof.memory.workspaces.formats import MemoryFormat

_DENSE = MemoryFormat.CONTIGUOUS
_DEPTHWISE = (ConvBackend.DEPTHWISE_2D, ConvBackend.DEPTHWISE_3D)


def forward(problem: ConvProblem, backend: ConvBackend, blas: BlasTarget) -> Script:
    """Return what the forward pass does by *backend*, which is not cuDNN; output 0 is the convolution's."""
    problem = as_2d(problem)
    tape = Tape(problem.dtype)
    with tape.scope():
        if backend is not ConvBackend.EMPTY:
            tape.contiguous(problem.input, _DENSE, name="input")
            tape.contiguous(problem.weight, _DENSE, name="weight")
        tape.output(0, problem.output.shape, _DENSE)
        if backend is not ConvBackend.EMPTY and backend not in _DEPTHWISE:
            needed = backend is not ConvBackend.SLOW_2D or not _is_pointwise(problem)
            _multiply(tape, problem, blas, unfolds=needed)
    return tuple(tape.actions)


def backward(
    problem: ConvProblem,
    backend: ConvBackend,
    blas: BlasTarget,
    *,
    wants_input: bool,
    wants_weight: bool,
) -> Script:
    """Return what the backward pass does; outputs 0 and 1 are the gradients of input and weight."""
    problem = as_2d(problem)
    tape = Tape(problem.dtype)
    depthwise = backend in _DEPTHWISE
    order = (1, 0) if depthwise else (0, 1)  # the depthwise kernels begin with the weight's gradient
    with tape.scope():
        if backend is not ConvBackend.EMPTY:
            tape.contiguous(problem.output, _DENSE, name="gradient")
        for index in order:
            if (wants_input, wants_weight)[index]:
                _gradient(tape, problem, index, copies=depthwise)
        if not depthwise and backend is not ConvBackend.EMPTY:
            _multiply(tape, problem, blas, unfolds=True)
    return tuple(tape.actions)


def _gradient(tape: Tape, problem: ConvProblem, index: int, *, copies: bool) -> None:
    """Note the gradient of input (0) or weight (1), with a copy of the other one where it is not dense."""
    tensors = (problem.input, problem.weight)
    with tape.scope():
        if copies:
            tape.contiguous(tensors[1 - index], _DENSE, name=("input", "weight")[1 - index])
        tape.output(index, tensors[index].shape, _DENSE)


def _multiply(tape: Tape, problem: ConvProblem, blas: BlasTarget, *, unfolds: bool) -> None:
    """Note the columns of one unfolded image, and a matrix product."""
    with tape.scope():
        nbytes = _columns(problem) * problem.item_bytes if unfolds else 0
        tape.take("columns", nbytes, "one unfolded image, as cuDNN does not run this convolution")
        tape.actions += product(Library.CUBLAS, blas)
    if problem.groups > 1:
        results = problem.output.elements * problem.item_bytes
        tape.actions.append(Unknown("groups", 0, results, "results of groups before they are joined"))


def _columns(problem: ConvProblem) -> int:
    """Return how many numbers one unfolded image of one group has."""
    kernel = prod(problem.weight.shape[2:])
    if problem.transposed:
        return problem.weight.shape[1] * kernel * prod(problem.input.shape[2:])
    return problem.weight.shape[1] * kernel * prod(problem.output.shape[2:])


def _is_pointwise(problem: ConvProblem) -> bool:
    """Whether the image can be multiplied as it is: requires_columns in ConvolutionMM2d.cu."""
    steps = (*problem.weight.shape[2:], *problem.stride)
    return all(step == 1 for step in steps) and not any(problem.padding)
