"""Arguments and options that several commands share."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from vggprof.trace.setup import Amp, Dtype, Layout, Mode, Optimizer, Setup

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
        type=click.Choice([dtype.value for dtype in Dtype]),
        default=_DEFAULT.dtype.value,
        show_default=True,
        help="Type of weights and input.",
    ),
    click.option("--channels-last", is_flag=True, help="Keep weights and images in channels_last order."),
)


def setup_options(command: Command) -> Callable[..., None]:
    """Give *command* the options that say how a network is run; they come to it as one ``setup``."""

    @wraps(command)
    def with_setup(  # noqa: PLR0913 - an option each
        *,
        batch: int,
        mode: str,
        optimizer: str,
        amp: str,
        dtype: str,
        channels_last: bool,
        **others: Any,  # noqa: ANN401 - what the command itself takes
    ) -> None:
        setup = Setup(
            batch=batch,
            mode=Mode(mode),
            optimizer=Optimizer(optimizer),
            amp=Amp(amp),
            dtype=Dtype(dtype),
            layout=Layout.CHANNELS_LAST if channels_last else Layout.CONTIGUOUS,
        )
        command(setup=setup, **others)

    result: Callable[..., None] = with_setup
    for option in reversed(_SETUP_OPTIONS):
        result = option(result)
    return result
