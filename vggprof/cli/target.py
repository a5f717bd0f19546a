"""Options that say where and with what a training runs."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from vggprof.target import Target

Command = TypeVar("Command", bound=Callable[..., None])

_OPTIONS = (
    click.option(
        "--gpu", metavar="NAME", help="A GPU by name (see `vggprof gpus`) or file; auto is the one here."
    ),
    click.option("--gpu-memory", metavar="SIZE", help="Memory of the GPU instead of its own, like 10.5GiB."),
    click.option("--torch", metavar="RELEASE", help="torch that the training runs with, like 2.11."),
    click.option("--cudnn", metavar="VERSION", help="cuDNN that it runs with, like 9.19."),
    click.option(
        "--allocator", metavar="CONF", help="What PYTORCH_ALLOC_CONF says there.  [default: as here]"
    ),
)
_LIBRARY_OPTIONS = (
    click.option("--tf32/--no-tf32", default=True, show_default=True, help="TF32 in fp32 convolutions."),
    click.option("--deterministic", is_flag=True, help="cudnn.deterministic: only deterministic algorithms."),
    click.option(
        "--cudnn-benchmark", is_flag=True, help="cudnn.benchmark: algorithms are searched by timing."
    ),
)


def target_options(command: Command) -> Callable[..., None]:
    """Give *command* the options that say where a training runs; they come to it as one ``target``."""

    @wraps(command)
    def with_target(  # noqa: PLR0913 - an option each
        *,
        gpu: str | None,
        gpu_memory: str | None,
        torch: str | None,
        cudnn: str | None,
        allocator: str | None,
        tf32: bool,
        deterministic: bool,
        cudnn_benchmark: bool,
        **others: Any,  # noqa: ANN401 - what the command itself takes
    ) -> None:
        command(
            target=_target(
                gpu=gpu,
                gpu_memory=gpu_memory,
                torch=torch,
                cudnn=cudnn,
                allocator=allocator,
                tf32=tf32,
                deterministic=deterministic,
                benchmark=cudnn_benchmark,
            ),
            **others,
        )

    result: Callable[..., None] = with_target
    for option in reversed((*_OPTIONS, *_LIBRARY_OPTIONS)):
        result = option(result)
    return result


def library_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the options that say how libraries compute, each under its own name."""
    for option in reversed(_LIBRARY_OPTIONS):
        command = option(command)
    return command


def _target(**said: Any) -> "Target":  # noqa: ANN401 - the options, as they are
    from vggprof.target import Target

    return Target(**said)
