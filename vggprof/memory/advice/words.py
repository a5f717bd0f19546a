"""Changes in words: what each is called, what it costs, and the line of code that makes it."""

from typing import assert_never

from vggprof.memory.advice.changes import (
    Autocast,
    BenchmarkOff,
    Case,
    Change,
    ChannelsLast,
    Checkpoint,
    DeterministicOff,
    Expandable,
    FreezeBackbone,
    InPlace,
    Lighter,
    MaxSplit,
    Pieces,
    SetToNone,
)
from vggprof.memory.advice.work import Work
from vggprof.memory.allocator import allocator_config_text
from vggprof.trace import Amp, Optimizer
from vggprof.units import format_count

_OPTIMIZER_CODE = {
    Optimizer.SGD: "torch.optim.SGD(model.parameters(), lr=...)",
    Optimizer.MOMENTUM: "torch.optim.SGD(model.parameters(), lr=..., momentum=0.9)",
}
_HALF = {Amp.FP16: "torch.float16", Amp.BF16: "torch.bfloat16"}


def name(  # noqa: PLR0911, PLR0912 - a change each
    change: Change, case: Case
) -> str:
    """Return what *change* is called; *case* has it."""
    match change:
        case InPlace():
            return "in-place activations"
        case SetToNone():
            return "gradients set to None"
        case Expandable():
            return "expandable segments"
        case MaxSplit(mebibytes):
            return f"max_split_size_mb {mebibytes}"
        case BenchmarkOff():
            return "cudnn.benchmark off"
        case DeterministicOff():
            return "cudnn.deterministic off"
        case ChannelsLast():
            return "channels_last"
        case Pieces(count):
            return f"batch {case.setup.batch}, {count} times"
        case Autocast(amp):
            return f"autocast to {amp.value}"
        case Checkpoint(("stages",)):
            but = " but the classifier" if change.but_classifier else ""
            return f"every stage{but} checkpointed"
        case Checkpoint():
            return f"{change.text} checkpointed"
        case Lighter(optimizer):
            return "SGD without momentum" if optimizer is Optimizer.SGD else f"{optimizer.value} optimizer"
        case FreezeBackbone():
            return "backbone frozen"
        case _:
            assert_never(change)


def how(  # noqa: PLR0911 - a change each
    change: Change, case: Case
) -> str:
    """Return the line of code, or the environment variable, that makes *change*; *case* has it."""
    match change:
        case InPlace():
            return "torch.nn.ReLU(inplace=True), and so for other activations"
        case SetToNone():
            return "optimizer.zero_grad(set_to_none=True)"
        case Expandable() | MaxSplit():
            return f"PYTORCH_ALLOC_CONF={allocator_config_text(case.allocator)}"
        case BenchmarkOff():
            return "torch.backends.cudnn.benchmark = False"
        case DeterministicOff():
            return "torch.backends.cudnn.deterministic = False"
        case ChannelsLast():
            return "model.to(memory_format=torch.channels_last), and the same for every batch of images"
        case Pieces(count):
            return _how_pieces(count, case)
        case Autocast(amp):
            scaler = ", with torch.amp.GradScaler()" if amp is Amp.FP16 and case.setup.training else ""
            return f'with torch.autocast("cuda", {_HALF[amp]}): around the forward pass and the loss{scaler}'
        case Checkpoint():
            return "torch.utils.checkpoint.checkpoint(stage, x, use_reentrant=False) in place of stage(x)"
        case Lighter(optimizer):
            return _OPTIMIZER_CODE[optimizer]
        case FreezeBackbone():
            return "parameter.requires_grad_(False) for all parameters but the classifier's"
        case _:
            assert_never(change)


def _how_pieces(count: int, case: Case) -> str:
    if not case.setup.training:
        return f"for piece in images.split({case.setup.batch}): model(piece)"
    batch, every = case.setup.batch, case.setup.accumulate
    return f"(loss / {every}).backward() for each of {every} batches of {batch}, then one optimizer.step()"


def cost_words(  # noqa: PLR0911 - a change each
    change: Change, case: Case, *, before: Work, after: Work
) -> str:
    """Return what *change* costs; *case* and the work *after* have it."""
    match change:
        case InPlace() | SetToNone() | Expandable() | MaxSplit():
            return "nothing: the same numbers"
        case BenchmarkOff():
            return "algorithms chosen by cuDNN's heuristics, not by timing"
        case DeterministicOff():
            return "two runs may differ in the last bits"
        case ChannelsLast():
            return "other kernels"
        case Pieces(count, batch_norm):
            many = f"{count} passes for one"
            return f"{many}; batch norm sees {case.setup.batch} images at a time" if batch_norm else many
        case Autocast(amp):
            casts = max(after.casts - before.casts, 0)
            return f"products rounded to {amp.value}, {casts:,} casts a step"
        case Checkpoint():
            return f"{100 * change.macs / before.macs:.1f} % more MACs, computed twice"
        case Lighter():
            return "learns otherwise, with a learning rate of its own"
        case FreezeBackbone():
            still = before.learning - after.learning
            return f"{format_count(still)} of {format_count(before.learning)} parameters do not learn"
        case _:
            assert_never(change)
