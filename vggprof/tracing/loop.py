"""The reference training loop on meta tensors: what a trace is a trace of.

A plain script: the module moves to the device, then every step moves a batch in, clears the gradients, and
runs forward, loss, backward and optimizer. `x`, `y`, `out` and `loss` stay bound until they are bound again,
so the last step's are still in memory when the next step's arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vggprof.errors import ArchError
from vggprof.trace import Amp, Dtype, Kind, Layout, Phase, Setup, Shape, Trace, is_channels_last
from vggprof.tracing.optimizers import MetaGradScaler, make_optimizer
from vggprof.tracing.recorder import Recorder
from vggprof.tracing.session import Session
from vggprof.tracing.tensors import tensors_in

# Optimizer state appears in the first step, and the peak of what is reserved often comes in the second.
STEPS = 3


@dataclass(frozen=True, slots=True)
class _Samples:
    """Shapes of a batch of images and of their labels."""

    x: Shape
    y: Shape


class _LabelShapeError(Exception):
    """The logits want labels of another shape."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.shape = shape


def trace_network(
    module: nn.Module, input_shape: Shape, setup: Setup, *, arch: str, steps: int = STEPS
) -> Trace:
    """Trace *steps* of the reference loop on *module*, which lies on meta, with samples of *input_shape*.

    Raises ArchError where the network cannot run on such samples, naming the layer and what came in.
    """
    module.train(setup.training)
    if setup.dtype is Dtype.FP16:
        module.half()
    if setup.layout is Layout.CHANNELS_LAST:
        module.to(memory_format=torch.channels_last)
    samples = _Samples(x=(setup.batch, *input_shape), y=(setup.batch,))
    try:
        return _trace(module, samples, setup, arch=arch, steps=steps)
    except _LabelShapeError as other:
        return _trace(module, replace(samples, y=other.shape), setup, arch=arch, steps=steps)


def _trace(module: nn.Module, samples: _Samples, setup: Setup, *, arch: str, steps: int) -> Trace:
    session = Session(module, setup.amp)
    try:
        with session.listening():
            run = _train if setup.training else _infer
            run(session, setup, samples, steps=steps)
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        where = session.log.failed_at() or "the training step"
        raise ArchError(f"{arch}: {where}: {str(error).splitlines()[0]}") from error
    finally:
        module.zero_grad()
    return session.trace(arch, setup)


def _train(session: Session, setup: Setup, samples: _Samples, *, steps: int) -> None:
    model, recorder, autocast = session.module, session.recorder, session.autocast
    with session.phase(Phase.MODEL):
        _move_to_device(session, setup)
        optimizer = make_optimizer(setup.optimizer, model.parameters())
        scaler = MetaGradScaler() if setup.amp is Amp.FP16 else None
        loss_fn = nn.CrossEntropyLoss()
    for step in range(steps):
        with session.phase(Phase.INPUT, step):
            x, y = _batch(recorder, setup, samples.x), recorder.arrives(samples.y, torch.int64)
            session.note((x, y), Kind.INPUT)
        with session.phase(Phase.FORWARD):
            optimizer.zero_grad()
            autocast.begin()
            out = model(x)
        with session.phase(Phase.LOSS):
            loss = loss_fn(_logits(out, samples.y), y)
            autocast.end()
        with session.phase(Phase.BACKWARD):
            (scaler.scale(loss) if scaler else loss).backward()
        with session.phase(Phase.OPTIMIZER):
            _step(optimizer, scaler)
            session.note_optimizer(optimizer)
            session.note(scaler and (scaler._scale, scaler._growth_tracker), Kind.OPTIMIZER)


def _infer(session: Session, setup: Setup, samples: _Samples, *, steps: int) -> None:
    recorder, autocast = session.recorder, session.autocast
    with session.phase(Phase.MODEL):
        _move_to_device(session, setup)
    for step in range(steps):
        with session.phase(Phase.INPUT, step):
            x, y = _batch(recorder, setup, samples.x), recorder.arrives(samples.y, torch.int64)
            session.note((x, y), Kind.INPUT)
        with session.phase(Phase.FORWARD), torch.no_grad():
            autocast.begin()
            out = session.module(x)  # noqa: F841 - stays bound until the next step's is made
            autocast.end()


def _step(optimizer: torch.optim.Optimizer, scaler: MetaGradScaler | None) -> None:
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()


def _batch(recorder: Recorder, setup: Setup, shape: Shape) -> Tensor:
    channels_last = setup.layout is Layout.CHANNELS_LAST and len(shape) == 4
    return recorder.arrives(
        shape,
        torch.float16 if setup.dtype is Dtype.FP16 else torch.float32,
        memory_format=torch.channels_last if channels_last else torch.contiguous_format,
    )


def _logits(out: object, y_shape: Shape) -> Tensor:
    """Return the first floating tensor that the network gives: batch x classes, or with pixels after them."""
    logits = next((tensor for tensor in tensors_in(out) if tensor.is_floating_point()), None)
    if logits is None or logits.dim() < 2:
        got = "no floating tensor" if logits is None else f"shape {tuple(logits.shape)}"
        raise TypeError(f"the network must return logits (batch x classes) for the loss; it returned {got}")
    wanted = (logits.shape[0], *logits.shape[2:])
    if wanted != y_shape:
        raise _LabelShapeError(wanted)
    return logits


def _move_to_device(session: Session, setup: Setup) -> None:
    """Write down what `module.to("cuda", memory_format=...)`, for fp16 with `.half()`, allocates and frees.

    Each parameter takes its place in the order of nn.Module._apply. One whose order in memory changes on the
    way takes a plain copy on the GPU first: copy_kernel_cuda in ATen/native/cuda/Copy.cu.
    """
    recorder, halved = session.recorder, setup.dtype is Dtype.FP16
    homes: list[tuple[Tensor, int, int]] = []
    for tensor in _apply_order(session.module):
        arriving = tensor.nbytes * (2 if halved and tensor.is_floating_point() else 1)
        home = recorder.born(arriving)
        if _order_changes(tensor):
            recorder.freed(recorder.born(arriving))
        homes.append((tensor, home, arriving))
    for tensor, home, arriving in homes:
        if arriving == tensor.nbytes:
            recorder.adopt(tensor, home)
        else:
            recorder.adopt(tensor, recorder.born(tensor.nbytes))
            recorder.freed(home)
    session.note_module()


def _apply_order(module: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers in the order in which nn.Module.to moves them, each once."""
    seen: set[int] = set()

    def visit(module: nn.Module) -> Iterator[Tensor]:
        for child in module.children():
            yield from visit(child)
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                yield tensor

    return visit(module)


def _order_changes(tensor: Tensor) -> bool:
    """Whether the elements of *tensor*, plain on the host, lie in another order on the device."""
    several = tensor.dim() == 4 and tensor.shape[1] > 1 and tensor.shape[2] * tensor.shape[3] > 1
    return several and is_channels_last(tuple(tensor.shape), tensor.stride())
