"""How fast a layer can be on a GPU at most, by the bytes it moves and the units that it runs on."""

from dataclasses import dataclass

from vggprof.analyzers import LayerRow
from vggprof.compare import Profile
from vggprof.devices import Device, Rate
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.trace import Amp, Dtype, Setup


@dataclass(frozen=True, slots=True)
class Dot:
    """One layer under the roof of one GPU."""

    layer: str
    intensity: float  # FLOPs a byte moved, forward
    flops_per_s: float  # as its time has it where that is known, else the most that the roof allows
    timed: bool


@dataclass(frozen=True, slots=True)
class Roof:
    """What one GPU allows: so many bytes a second, and so many FLOPs a second of each kind of unit."""

    device: Device
    rates: tuple[Rate, ...]  # that layers of the setup run on

    def allowed(self, intensity: float, rate: Rate) -> float:
        """Return the FLOPs a second that are possible at *intensity* (Williams et al. 2009)."""
        return min(self.peak(rate), intensity * self.device.bandwidth_bytes_per_s)

    def peak(self, rate: Rate) -> int:
        """Return the FLOPs a second of the units that *rate* names; of the ordinary ones without such."""
        return self.device.peak_flops(rate) or self.device.peak_flops("fp32") or 0


def roof_of(device: Device, setup: Setup, settings: CudnnSettings) -> Roof:
    """Return the roof that layers of *setup* have on *device*."""
    rates = dict.fromkeys(_rate(setup, settings, convolves=each) for each in (True, False))
    return Roof(device, tuple(rate for rate in rates if device.peak_flops(rate)) or ("fp32",))


def dots(profile: Profile, roof: Roof, settings: CudnnSettings) -> tuple[Dot, ...]:
    """Return a dot for each layer of *profile* that multiplies and moves something."""
    times = profile.layer_ms()
    return tuple(
        _dot(row, row.arithmetic_intensity, profile, roof, settings, times.get(row.name))
        for row in profile.table.rows
        if row.macs and row.arithmetic_intensity
    )


def _dot(  # noqa: PLR0913, PLR0917 - what decides where it lies
    row: LayerRow,
    intensity: float,
    profile: Profile,
    roof: Roof,
    settings: CudnnSettings,
    ms: float | None,
) -> Dot:
    if ms:
        return Dot(row.name, intensity, 2000 * (row.macs + row.macs_backward) / ms, timed=True)
    rate = _rate(profile.table.setup, settings, convolves=row.name in profile.kernel_areas)
    return Dot(row.name, intensity, roof.allowed(intensity, rate), timed=False)


def _rate(setup: Setup, settings: CudnnSettings, *, convolves: bool) -> Rate:
    """Return the units that convolutions, or products, run on; torch allows TF32 in the former alone."""
    if setup.amp is Amp.BF16:
        return "bf16"
    if setup.amp is Amp.FP16 or setup.dtype is Dtype.FP16:
        return "fp16"
    return "tf32" if convolves and settings.allow_tf32 else "fp32"
