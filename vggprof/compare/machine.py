"""The machine that a measurement was made on, as a prediction wants it."""

from dataclasses import replace

from vggprof.devices import Device, Range, custom_device, devices_named
from vggprof.errors import UsageError
from vggprof.measurement import Environment, Measurement, cudnn_release
from vggprof.memory.forecast import Card, Software
from vggprof.target import Target
from vggprof.trace import Amp, Dtype, Setup


def card_of(measurement: Measurement) -> Card:
    """Return the GPU of *measurement*, with the total that torch saw on it and the limit that was set.

    What was calibrated on such GPUs with that software comes with it, as it does for `vggprof memory`. Raises
    UsageError where the GPU's memory is not known.
    """
    environment = measurement.environment
    total, name = environment.total_memory_bytes, environment.device_name
    if total is None:
        raise UsageError(f"the memory of {name} was not recorded")
    known = devices_named(name)
    if known:
        nearest = min(known, key=lambda device: abs(device.usable.likely - total))
        (card,) = replace(_target(measurement), gpu=nearest.name).cards()
    else:
        card = Card(_described(environment, total))
    return replace(
        card,
        device=card.device.with_usable(Range.exact(total), "measured"),
        limit_bytes=measurement.conditions.memory_limit_bytes,
    )


def _described(environment: Environment, total_bytes: int) -> Device:
    """Return a GPU that is in no catalogue, from what torch said of it; the rest is a similar one's."""
    like = custom_device(total_bytes)
    return replace(
        like,
        name=environment.device_name,
        torch_names=(environment.device_name,),
        capability=environment.capability or like.capability,
        sm_count=environment.sm_count or like.sm_count,
    )


def software_of(measurement: Measurement) -> Software:
    """Return what *measurement* ran with. Raises UsageError for versions that make no sense."""
    return _target(measurement).software(dict(measurement.environment.variables))


def _target(measurement: Measurement) -> Target:
    environment, conditions = measurement.environment, measurement.conditions
    return Target(
        torch=_release(environment),
        cudnn=None if environment.cudnn is None else cudnn_release(environment.cudnn),
        tf32=conditions.tf32,
        deterministic=conditions.deterministic,
        benchmark=conditions.benchmark,
    )


def _release(environment: Environment) -> str:
    """Return torch's release with the CUDA that it says, as a wheel is called: ``2.11.0+cu130``."""
    release = environment.torch.partition("+")[0]
    return f"{release}+cu{environment.cuda.replace('.', '')}" if environment.cuda else release


def peak_flops(device: Device, setup: Setup, op: str, *, tf32: bool) -> int | None:
    """Return the operations a second that *device* could do for the kind of layer *op*, as *setup* runs it.

    In fp32 convolutions may use TF32 while matrix products do not, as torch.backends has it by default.
    """
    if setup.amp is Amp.BF16:
        return device.peak_flops("bf16")
    if setup.amp is Amp.FP16 or setup.dtype is Dtype.FP16:
        return device.peak_flops("fp16")
    of_tensor_cores = device.peak_flops("tf32") if tf32 and op.startswith("Conv") else None
    return of_tensor_cores or device.peak_flops("fp32")
