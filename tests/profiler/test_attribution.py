"""Whose time it is: spans written by hand, as torch.profiler shows a convolution and a linear layer."""

from dataclasses import dataclass
from itertools import count

from torch._C._autograd import DeviceType

from vggprof.profiler.attribution import Piece, phase_times, pieces
from vggprof.profiler.capture import as_values
from vggprof.profiler.gradients import Gradient, both_apart
from vggprof.profiler.spans import Call, Capture, HostSpan, KernelSpan, Ours
from vggprof.trace import Phase

LAYERS = frozenset({"conv", "conv#2", "add"})
_numbers = count(1)


def span(name: str, begin: int, end: int, *, node: int = -1, thread: int = 1, number: int = 0) -> HostSpan:
    return HostSpan(name, begin, end, thread, number or next(_numbers), node, 1 if node >= 0 else 0)


def step(begin: int, end: int) -> HostSpan:
    return span(Ours.STEP.name_of(0), begin, end)


def phase(which: Phase, begin: int, end: int) -> HostSpan:
    return span(Ours.PHASE.name_of(which.value), begin, end)


def call(number: int, begin: int, end: int) -> HostSpan:
    return span(Ours.CALL.name_of(number), begin, end)


def node(name: str, begin: int, end: int, sequence: int, thread: int = 1) -> HostSpan:
    return span(f"autograd::engine::evaluate_function: {name}", begin, end, node=sequence, thread=thread)


def times(found: list[Piece]) -> dict[tuple[str, str, bool], int]:
    """Time by layer, name and whether it is the backward pass."""
    sums: dict[tuple[str, str, bool], int] = {}
    for piece in found:
        key = piece.layer, piece.name, piece.backward
        sums[key] = sums.get(key, 0) + piece.time
    return sums


CALLS = (
    Call("", childless=False, in_backward=False, first_node=0, end_node=3),
    Call("conv", childless=True, in_backward=False, first_node=0, end_node=1),
    Call("add", childless=False, in_backward=False, first_node=1, end_node=2),
    Call("conv", childless=True, in_backward=False, first_node=2, end_node=3),
)
FORWARD = (
    step(0, 1000),
    phase(Phase.FORWARD, 10, 400),
    call(0, 20, 390),
    call(1, 30, 100),
    span("aten::conv2d", 40, 90, number=101),
    span("aten::mkldnn_convolution", 50, 80, number=102),
    call(2, 110, 150),
    span("aten::add", 120, 140, number=103),
    call(3, 160, 200),
    span("aten::conv2d", 170, 195, number=104),
    phase(Phase.LOSS, 400, 450),
    span("aten::nll_loss", 410, 440),
)
BACKWARD = (
    phase(Phase.BACKWARD, 500, 900),
    node("ConvolutionBackward0", 510, 600, sequence=2),
    span("aten::convolution_backward", 520, 590, number=201),
    node("AddBackward0", 610, 620, sequence=1),
    node("ConvolutionBackward0", 630, 700, sequence=0),
    span("aten::convolution_backward", 640, 690, number=202),
    node("torch::autograd::AccumulateGrad", 710, 720, sequence=-1),
)


def test_operators_belong_to_the_call_they_ran_in_and_nodes_to_the_call_that_made_them() -> None:
    found = pieces(Capture((*FORWARD, *BACKWARD), (), CALLS), LAYERS)
    engine = "autograd::engine::evaluate_function:"
    assert times(found) == {
        ("conv", "aten::conv2d", False): 50 - 30,  # without the operator inside it
        ("conv", "aten::mkldnn_convolution", False): 30,
        ("add", "aten::add", False): 20,
        ("conv#2", "aten::conv2d", False): 25,
        ("", "aten::nll_loss", False): 30,
        ("conv#2", f"{engine} ConvolutionBackward0", True): 90 - 70,
        ("conv#2", "aten::convolution_backward", True): 70,
        ("add", f"{engine} AddBackward0", True): 10,
        ("conv", f"{engine} ConvolutionBackward0", True): 70 - 50,
        ("conv", "aten::convolution_backward", True): 50,
        ("", f"{engine} torch::autograd::AccumulateGrad", False): 10,
    }
    assert {piece.phase for piece in found} == {Phase.FORWARD, Phase.LOSS, Phase.BACKWARD}
    assert {piece.name: piece.product for piece in found if piece.product}.keys() == {
        "aten::convolution_backward"
    }


def test_operators_that_touch_are_not_within_each_other() -> None:
    touching = (
        *FORWARD[:3],
        call(1, 30, 100),
        span("aten::conv2d", 40, 60),
        span("aten::relu", 60, 90),
    )
    found = pieces(Capture(touching, (), CALLS), LAYERS)
    assert times(found) == {("conv", "aten::conv2d", False): 20, ("conv", "aten::relu", False): 30}


def test_phases_of_one_step() -> None:
    later = (
        span(Ours.STEP.name_of(1), 1000, 2000),
        phase(Phase.FORWARD, 1010, 1300),
        phase(Phase.OPTIMIZER, 1400, 1500),
    )
    seen = Capture((*FORWARD, *later), (), CALLS)
    assert list(phase_times(seen, 0)) == [(Phase.FORWARD, 390), (Phase.LOSS, 50)]
    assert list(phase_times(seen, 1)) == [(Phase.FORWARD, 290), (Phase.OPTIMIZER, 100)]


def test_a_call_whose_layer_the_trace_does_not_have_is_nobodys() -> None:
    found = pieces(Capture(FORWARD, (), CALLS), frozenset({"conv"}))
    assert {piece.layer for piece in found if piece.name == "aten::add"} == {""}


def test_a_container_that_runs_no_operator_itself_is_no_layer() -> None:
    found = pieces(Capture(FORWARD, (), CALLS), LAYERS | {"network"})
    assert "network" not in {piece.layer for piece in found}


def test_kernels_count_for_the_operator_that_asked_for_them_whenever_they_run() -> None:
    backward = (
        phase(Phase.BACKWARD, 500, 900),
        node("ConvolutionBackward0", 510, 520, sequence=0, thread=2),  # the engine's own thread
        span("aten::convolution_backward", 512, 518, thread=2, number=301),
    )
    kernels = (
        KernelSpan("implicit_gemm", 95, 195, cause=102),
        KernelSpan("cudnn_dgrad", 2000, 2300, cause=301),  # after the phase has ended on the host
        KernelSpan("memset of somebody", 0, 50, cause=9999),
    )
    found = pieces(Capture((*FORWARD, *backward), kernels, CALLS), LAYERS)
    assert times(found) == {("conv", "implicit_gemm", False): 100, ("conv", "cudnn_dgrad", True): 300}
    assert [(piece.phase, piece.product) for piece in found] == [
        (Phase.FORWARD, None),
        (Phase.BACKWARD, 301),
    ]


@dataclass(frozen=True)
class Event:
    """What torch.profiler tells of one event."""

    said: str
    begin: int
    number: int
    linked: int = 0
    device: DeviceType = DeviceType.CPU
    annotation: bool = False

    def name(self) -> str:
        return self.said

    def start_ns(self) -> int:
        return self.begin

    def end_ns(self) -> int:
        return self.begin + 10

    def correlation_id(self) -> int:
        return self.number

    def linked_correlation_id(self) -> int:
        return self.linked

    def device_type(self) -> DeviceType:
        return self.device

    def is_user_annotation(self) -> bool:
        return self.annotation

    def sequence_nr(self) -> int:
        return -1

    def fwd_thread_id(self) -> int:
        return 0

    def start_thread_id(self) -> int:
        return 1


def test_calls_of_the_runtime_and_annotations_are_no_operators() -> None:
    ours = Ours.PHASE.name_of("forward")
    seen = as_values(
        [
            Event("aten::conv2d", 20, number=7),
            Event("cudaLaunchKernel", 21, number=1, linked=7),
            Event("cudaStreamIsCapturing", 22, number=7),  # CUPTI counts for itself
            Event("cuLaunchKernelEx", 23, number=7),
            Event("Optimizer.step#SGD.step", 24, number=8, annotation=True),
            Event(ours, 10, number=9, annotation=True),
            Event("sgemm", 40, number=1, linked=7, device=DeviceType.CUDA),
            Event(ours, 41, number=1, linked=9, device=DeviceType.CUDA, annotation=True),
        ],
        (),
    )
    assert [(span.name, span.number) for span in seen.host] == [("aten::conv2d", 7), (ours, 9)]
    assert seen.kernels == (KernelSpan("sgemm", 40, 50, cause=7),)


def test_what_runs_outside_all_phases_is_left_out() -> None:
    warming = (step(0, 100), call(0, 10, 90), span("aten::relu", 20, 80))
    assert pieces(Capture(warming, (), CALLS[1:2]), LAYERS) == []


def test_a_forward_that_a_checkpoint_runs_again_is_of_the_backward_pass_and_no_gradient() -> None:
    again = Call("conv", childless=True, in_backward=True, first_node=5, end_node=6)
    backward = (
        phase(Phase.BACKWARD, 500, 900),
        node("ConvolutionBackward0", 510, 700, sequence=0),
        call(4, 520, 600),
        span("aten::addmm", 530, 590),
        node("AddmmBackward0", 610, 690, sequence=5),
        span("aten::mm", 620, 680),
    )
    found = pieces(Capture((*FORWARD, *backward), (), (*CALLS, again)), LAYERS)
    by_name = {piece.name: piece for piece in found}
    assert (by_name["aten::addmm"].layer, by_name["aten::addmm"].backward) == ("conv", True)
    assert by_name["aten::addmm"].product is None
    assert (by_name["aten::mm"].layer, by_name["aten::mm"].product is not None) == ("conv", True)


def test_kernels_around_a_named_one_serve_it() -> None:
    data, weight, both = Gradient.DATA, Gradient.WEIGHT, Gradient.BOTH
    assert both_apart(
        [
            "nchwToNhwcKernel",
            "sm80_xmma_dgrad_implicit_gemm",
            "nhwcToNchwKernel",
            "memset",
            "nchwToNhwcKernel",
            "sm80_xmma_wgrad_implicit_gemm",
            "reduce_kernel",
        ]
    ) == [data, data, data, both, weight, weight, weight]
    assert both_apart(["sgemm", "cutlass_wgrad"]) == [both, both], "the other one has no name"
