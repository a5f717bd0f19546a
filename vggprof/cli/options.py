"""Arguments and options that several commands share."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import click

from vggprof.trace.setup import Amp, Dtype, Layout, Mode, Optimizer, Setup, ZeroGrad

Command = TypeVar("Command", bound=Callable[..., None])

arch_argument = click.argument("arch")
archs_argument = click.argument("archs", metavar="ARCH...", nargs=-1, required=True)

_DEFAULT = Setup()
_SETUP_OPTIONS = (
    click.option("--batch", type=int, default=_DEFAULT.batch, show_default=True, help="Images in one batch."),
    click.option(
        "--mode",
        type=click.Choice([mode.value for mode in Mode]),
        default=_DEFAULT.mode.value,
        show_default=True,
        help="Train (forward, loss, backward, optimizer), or infer without gradients.",
    ),
    click.option(
        "--optimizer",
        type=click.Choice([optimizer.value for optimizer in Optimizer if optimizer is not Optimizer.CUSTOM]),
        default=_DEFAULT.optimizer.value,
        show_default=True,
        help="Optimizer of the training; momentum is SGD with momentum.",
    ),
    click.option(
        "--amp",
        type=click.Choice([amp.value for amp in Amp]),
        default=_DEFAULT.amp.value,
        show_default=True,
        help="Mixed precision (torch.autocast); training with fp16 also scales the loss.",
    ),
    click.option(
        "--dtype",
        type=click.Choice([dtype.value for dtype in Dtype if dtype is not Dtype.CUSTOM]),
        default=_DEFAULT.dtype.value,
        show_default=True,
        help="Type of weights and input.",
    ),
    click.option("--channels-last", is_flag=True, help="Keep weights and images in channels_last order."),
    click.option(
        "--accumulate",
        type=int,
        default=_DEFAULT.accumulate,
        show_default=True,
        metavar="N",
        help="Micro-batches of --batch images in a step, whose gradients are summed.",
    ),
    click.option("--inplace", is_flag=True, help="Activations write over their input where that is right."),
    click.option(
        "--freeze",
        metavar="WHAT",
        help="Do not train these: 'backbone' (all but the classifier), or names of parameters ('conv1_*').",
    ),
    click.option(
        "--checkpoint",
        metavar="WHAT",
        help="Recompute these in the backward pass: 'stages', or names of some ('stage1,stage3').",
    ),
    click.option(
        "--zero-grad",
        type=click.Choice([zero.value for zero in ZeroGrad]),
        default=_DEFAULT.zero_grad.value,
        show_default=True,
        help="What zero_grad makes of gradients: none frees them, zero keeps their memory.",
    ),
)


def setup_options(command: Command) -> Callable[..., None]:
    """Give *command* the options that say how a network is run; they come to it as one ``setup``."""
    return _with_setup(command, _SETUP_OPTIONS)


def setup_options_without_batch(command: Command) -> Callable[..., None]:
    """Give *command* the same but ``--batch``; the batch of its ``setup`` is 1."""
    return _with_setup(command, _SETUP_OPTIONS[1:])


def _with_setup(command: Command, options: Sequence[Callable[..., Any]]) -> Callable[..., None]:
    @wraps(command)
    def with_setup(  # noqa: PLR0913 - an option each
        *,
        batch: int = _DEFAULT.batch,
        mode: str,
        optimizer: str,
        amp: str,
        dtype: str,
        channels_last: bool,
        zero_grad: str,
        accumulate: int,
        inplace: bool,
        freeze: str | None,
        checkpoint: str | None,
        **others: Any,  # noqa: ANN401 - what the command itself takes
    ) -> None:
        setup = Setup(
            batch=batch,
            mode=Mode(mode),
            optimizer=Optimizer(optimizer),
            amp=Amp(amp),
            dtype=Dtype(dtype),
            layout=Layout.CHANNELS_LAST if channels_last else Layout.CONTIGUOUS,
            zero_grad=ZeroGrad(zero_grad),
            accumulate=accumulate,
            inplace=inplace,
            freeze=freeze,
            checkpoint=checkpoint,
        )
        command(setup=setup, **others)

    result: Callable[..., None] = with_setup
    for option in reversed(options):
        result = option(result)
    return result
