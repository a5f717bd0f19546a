"""Functions that take another way on CUDA, seen in the operators of a trace."""

import pytest
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from vggprof.errors import ArchError
from vggprof.trace import Amp, Mode, Operator, Phase, Setup, Trace
from vggprof.tracing import trace_network


def trace(module: nn.Module, shape: tuple[int, ...] = (3, 8, 8), **how: object) -> Trace:
    return trace_network(module.to("meta"), shape, Setup(**{"batch": 4, **how}), arch="net")  # type: ignore[arg-type]


def forward(trace: Trace) -> list[Operator]:
    return [operator for operator in trace.step_operators(0) if operator.phase is Phase.FORWARD]


def names(trace: Trace) -> list[str]:
    return [operator.name.removeprefix("aten.") for operator in forward(trace)]


def test_dropout_keeps_a_bool_mask() -> None:
    traced = trace(nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(192, 10)))
    dropout = next(operator for operator in forward(traced) if "dropout" in operator.name)
    assert dropout.name == "aten.native_dropout.default"
    assert [(out.dtype, out.shape) for out in dropout.outputs] == [("float32", (4, 192)), ("bool", (4, 192))]


def test_dropout_in_place_keeps_a_float_mask() -> None:
    traced = trace(nn.Sequential(nn.Flatten(), nn.Linear(192, 10), nn.Dropout(inplace=True)))
    noise = next(operator for operator in forward(traced) if "bernoulli" in operator.name)
    assert noise.outputs[0].dtype == "float32"


@pytest.mark.parametrize(("p", "expected"), [(0.0, 0), (0.5, 1), (1.0, 0)])
def test_dropout_is_fused_only_where_it_drops_some(p: float, expected: int) -> None:
    assert (
        names(trace(nn.Sequential(nn.Flatten(), nn.Dropout(p), nn.Linear(192, 10)))).count(
            "native_dropout.default"
        )
        == expected
    )


@pytest.mark.parametrize(
    ("amp", "mode", "kernel"),
    [
        (Amp.OFF, Mode.TRAIN, "cudnn_batch_norm"),
        (Amp.OFF, Mode.INFER, "cudnn_batch_norm"),
        (Amp.FP16, Mode.TRAIN, "cudnn_batch_norm"),
        (Amp.BF16, Mode.TRAIN, "native_batch_norm"),  # cuDNN's takes no bfloat16
    ],
)
def test_batch_norm_is_cudnns_where_it_can_be(amp: Amp, mode: Mode, kernel: str) -> None:
    traced = trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()), amp=amp, mode=mode)
    assert [name for name in names(traced) if "batch_norm" in name] == [f"{kernel}.default"]


def test_batch_norm_without_weights_is_torchs_own() -> None:
    traced = trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Flatten()))
    assert "native_batch_norm.default" in names(traced)


class Twice(nn.Module):
    """One convolution that runs twice, and sums that are autocast's fp32 list."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.fc = nn.Linear(192, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.conv(x))
        out: Tensor = self.fc(x.flatten(1)) + x.sum()
        return out


@pytest.mark.parametrize(("amp", "low"), [(Amp.FP16, "float16"), (Amp.BF16, "bfloat16")])
def test_autocast_casts_by_torchs_lists(amp: Amp, low: str) -> None:
    traced = trace(Twice(), amp=amp)
    dtypes = {op.name.removeprefix("aten."): op.outputs[0].dtype for op in forward(traced)}
    assert dtypes["convolution.default"] == dtypes["addmm.default"] == low
    assert dtypes["sum.default"] == "float32"


def test_autocast_casts_a_weight_once_a_step() -> None:
    """The input once, conv's weight and bias once though it runs twice, fc's two; sum casts by itself."""
    traced = trace(Twice(), amp=Amp.BF16)
    assert names(traced).count("_to_copy.default") == 5


@pytest.mark.parametrize(("amp", "low"), [(Amp.FP16, "float16"), (Amp.BF16, "bfloat16")])
def test_cross_entropy_widens_between_log_softmax_and_loss(amp: Amp, low: str) -> None:
    """log_softmax is told its dtype by cross_entropy; nll_loss wants fp32: LossNLL.cpp, autocast_mode.h."""
    traced = trace(nn.Sequential(nn.Flatten(), nn.Linear(192, 10)), amp=amp)
    loss = [operator for operator in traced.step_operators(0) if operator.phase is Phase.LOSS]
    assert [(operator.name, operator.outputs[0].dtype) for operator in loss] == [
        ("aten._log_softmax.default", low),
        ("aten._to_copy.default", "float32"),
        ("aten.nll_loss_forward.default", "float32"),
    ]


@pytest.mark.parametrize(("amp", "kernels"), [(Amp.FP16, ["_softmax"]), (Amp.BF16, ["_to_copy", "_softmax"])])
def test_softmax_widens_fp16_in_its_kernel(amp: Amp, kernels: list[str]) -> None:
    traced = trace(nn.Sequential(nn.Flatten(), nn.Linear(192, 10), nn.Softmax(1)), amp=amp)
    layer = next(number for number, layer in enumerate(traced.layers) if layer.op == "Softmax")
    ran = [op.name.split(".")[1] for op in forward(traced) if op.layer == layer]
    assert ran == kernels


def test_batch_norm_of_single_values_is_refused_as_torch_refuses_it() -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3), nn.Flatten())
    with pytest.raises(ArchError, match=r"layer 1 \(BatchNorm2d\).*more than 1 value per channel"):
        trace(module, batch=1)


def test_fp16_training_scales_the_loss() -> None:
    traced = trace(nn.Sequential(nn.Flatten(), nn.Linear(192, 10)), amp=Amp.FP16)
    step = [operator.name for operator in traced.step_operators(1) if operator.phase is Phase.OPTIMIZER]
    assert "aten._amp_foreach_non_finite_check_and_unscale_.default" in step
    assert "aten._amp_update_scale_.default" in step


def test_optimizers_are_foreach() -> None:
    traced = trace(nn.Sequential(nn.Flatten(), nn.Linear(192, 10)))
    step = [operator for operator in traced.step_operators(1) if operator.phase is Phase.OPTIMIZER]
    assert step
    assert all("_foreach_" in operator.name for operator in step)


class Checkpointed(nn.Module):
    """Two layers, the first of which is computed again in the backward pass."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Dropout())
        self.head = nn.Linear(192, 10)
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = checkpoint(self.body, self.stem(x), use_reentrant=self.reentrant)
        return functional.relu(self.head(x.flatten(1)))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_recompute_on_the_same_layers_in_the_cuda_way(reentrant: bool) -> None:
    traced = trace(Checkpointed(reentrant=reentrant))
    assert [layer.name for layer in traced.layers] == ["stem", "body.0", "body.1", "flatten", "head", "relu"]
    again = [op for op in traced.step_operators(0) if op.phase is Phase.BACKWARD]
    recomputed = [
        op for op in again if op.name in ("aten.convolution.default", "aten.native_dropout.default")
    ]
    assert [traced.layers[op.layer or 0].name for op in recomputed] == ["body.0", "body.1"]
