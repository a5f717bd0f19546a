"""What torch does around a cuDNN convolution: the copies it makes, its outputs, and what it asks cuDNN.

Followed from _convolution and convolution_backward in ATen/native/Convolution.cpp and from
ATen/native/cudnn/ConvShared.cpp, torch 2.11 to 2.15. Bias is never fused: the forward pass adds it in place
(``output.add_(reshape_bias(...))``), and its gradient is a sum of its own. cudnn_convolution_relu and
cudnn_convolution_add_relu, which do fuse it, run only where a program calls them by name.
"""

from dataclasses import replace

from vggprof.memory.workspaces.actions import Script, Tape, Workspace
from vggprof.memory.workspaces.convolution import ConvProblem, Pass, Strided, as_2d
from vggprof.memory.workspaces.formats import MemoryFormat, cudnn_format, suggested
from vggprof.memory.workspaces.query import CudnnQuery, query_of


def cudnn_query(problem: ConvProblem) -> CudnnQuery:
    """Return what torch asks cuDNN for *problem*; a backward pass is taken to want both gradients."""
    if problem.which is Pass.FORWARD:
        script = forward(problem)
    else:
        script = backward(problem, wants_input=True, wants_weight=True)
    wanted = _OPERATIONS[problem.which, problem.transposed]
    return next(a.query for a in script if isinstance(a, Workspace) and a.query.operation is wanted)


def forward(problem: ConvProblem) -> Script:
    """Return what the forward pass does; output 0 is the convolution's."""
    problem = as_2d(problem)
    tape = Tape(problem.dtype)
    with tape.scope():
        order = _backend_format(problem)
        given = tape.contiguous(problem.input, order, name="input")
        if problem.transposed:
            _data_gradient(tape, problem, y=given, result=problem.output, index=0)
        else:
            _plain(tape, problem, x=given, result=problem.output, index=0)
    return tuple(tape.actions)


def backward(problem: ConvProblem, *, wants_input: bool, wants_weight: bool) -> Script:
    """Return what the backward pass does; outputs 0 and 1 are the gradients of input and weight."""
    problem = as_2d(problem)
    tape = Tape(problem.dtype)
    with tape.scope():
        given, gradient = problem.input, problem.output
        if wants_weight:
            given = tape.contiguous(given, _backend_format(problem), name="input")
        gradient = _gradient_like(tape, given, gradient, transposed=problem.transposed)
        problem = replace(problem, input=given, output=gradient)
        if wants_input:
            _input_gradient(tape, problem)
        if wants_weight:
            _weight_gradient(tape, problem)
    return tuple(tape.actions)


def _backend_format(problem: ConvProblem) -> MemoryFormat:
    """Return the format of the whole call: determine_backend_memory_format."""
    return cudnn_format(problem.input, problem.weight, dtype=problem.dtype)


def _gradient_like(tape: Tape, given: Strided, gradient: Strided, *, transposed: bool) -> Strided:
    """Return the incoming gradient in the input's format, as the backward functions begin.

    A plain convolution copies only where the strides suggest another format (``grad_output.to(format)``); a
    transposed one wherever the gradient is not dense in it (``contiguous(format)``).
    """
    order = suggested(given)
    if transposed:
        return tape.contiguous(gradient, order, name="gradient")
    return gradient if suggested(gradient) is order else tape.copy(gradient, order, name="gradient")


def _input_gradient(tape: Tape, problem: ConvProblem) -> None:
    if problem.transposed:
        _plain(tape, problem, x=problem.output, result=problem.input, index=0)
    else:
        _data_gradient(tape, problem, y=problem.output, result=problem.input, index=0)


def _weight_gradient(tape: Tape, problem: ConvProblem) -> None:
    """cudnn_convolution_backward_weight; a transposed convolution swaps input and gradient."""
    x, y = (problem.output, problem.input) if problem.transposed else (problem.input, problem.output)
    order = cudnn_format(x, y, dtype=problem.dtype)
    with tape.scope():
        y = tape.contiguous(y, order, name="gradient, dense")
        x = tape.contiguous(x, order, name="input, dense")
        w = tape.output(1, problem.weight.shape, order)
        _ask(tape, problem, query_of(problem, Pass.WGRAD, x=x, w=w, y=y))


def _plain(tape: Tape, problem: ConvProblem, *, x: Strided, result: Strided, index: int) -> None:
    """cudnn_convolution_forward_out, with the output that its callers allocate first."""
    order = cudnn_format(x, problem.weight, dtype=problem.dtype)
    with tape.scope():
        y = tape.output(index, result.shape, order)
        order = suggested(y)
        w = tape.contiguous(problem.weight, order, name="weight")
        x = tape.contiguous(x, order, name="input, dense")
        _ask(tape, problem, query_of(problem, Pass.FORWARD, x=x, w=w, y=y))


def _data_gradient(tape: Tape, problem: ConvProblem, *, y: Strided, result: Strided, index: int) -> None:
    """cudnn_convolution_backward_input, which is also the forward pass of a transposed convolution."""
    order = cudnn_format(y, problem.weight, dtype=problem.dtype)
    with tape.scope():
        x = tape.output(index, result.shape, order)
        w = tape.contiguous(problem.weight, order, name="weight")
        y = tape.contiguous(y, order, name="gradient, dense")
        _ask(tape, problem, query_of(problem, Pass.DGRAD, x=x, w=w, y=y))


def _ask(tape: Tape, problem: ConvProblem, query: CudnnQuery) -> None:
    tape.actions.append(Workspace(query, problem.settings))


# cuDNN's operation for each of torch's passes, by whether the convolution is transposed.
_OPERATIONS = {
    (Pass.FORWARD, False): Pass.FORWARD,
    (Pass.DGRAD, False): Pass.DGRAD,
    (Pass.WGRAD, False): Pass.WGRAD,
    (Pass.FORWARD, True): Pass.DGRAD,
    (Pass.DGRAD, True): Pass.FORWARD,
    (Pass.WGRAD, True): Pass.WGRAD,
}
