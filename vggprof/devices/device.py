"""A GPU as a value: what the predictions need to know of one, in bytes, kHz and counts."""

from dataclasses import dataclass, replace
from typing import Final, Literal

from vggprof.devices.capability import Capability, CapabilityLimits, limits_of
from vggprof.devices.ranges import Range
from vggprof.errors import DeviceError

Form = Literal["desktop", "laptop", "workstation", "datacentre", "embedded"]
Rate = Literal["fp32", "tf32", "fp16", "fp16_acc16", "bf16", "fp16_vector"]

# Ten tebibytes: no single GPU comes near it, and a slip of the unit (GiB for bytes) goes past it.
MAX_MEMORY_BYTES: Final = 10 * 2**40


@dataclass(frozen=True, slots=True)
class MeasuredTotal:
    """The total memory that a driver was seen to report for a card."""

    bytes: int
    year: int  # of the software that reported it
    seen_by: str  # the software that reported it, and its version
    source: str


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU model, or one slice of it, as CUDA on Linux shows it; DeviceError when a field makes no sense.

    ``usable`` is the total that torch sees (``torch.cuda.mem_get_info()[1]``) before any process takes
    memory: less than ``memory_bytes`` by what the driver keeps, and by 1/16 where ECC is kept in the memory
    itself. Under Windows' display driver model CUDA reports nearly all of ``memory_bytes``, of which as
    much can be had as elsewhere.
    """

    name: str
    torch_names: tuple[str, ...]  # what torch.cuda.get_device_name says; several models may share one
    form: Form
    capability: Capability
    sm_count: int
    base_khz: int | None
    boost_khz: int  # what CUDA calls clockRate on the reference card
    tensor_khz: int | None  # the boost of tensor-core work where it has its own
    tensor_fma_per_sm: int | None  # fp16 multiply-adds a clock of an SM's tensor cores, fp32 accumulation
    tensor_fma_acc16_per_sm: int | None  # the same with fp16 accumulation
    l2_bytes: int
    memory_type: str
    bus_bits: int
    memory_khz: int  # what CUDA calls memoryClockRate: half the data rate of a pin
    bandwidth_bytes_per_s: int
    memory_bytes: int  # nominal
    inline_ecc: bool  # ECC is on by default and lies in the memory itself
    usable: Range
    usable_source: str
    totals: tuple[MeasuredTotal, ...]  # oldest software first
    tdp_w: int | None
    link: str | None
    plain: bool  # the one meant by a name without the memory size or board that tells models apart
    source: str
    note: str

    def __post_init__(self) -> None:
        limits_of(self.capability)
        for field in ("sm_count", "boost_khz", "l2_bytes", "bus_bits", "memory_khz", "bandwidth_bytes_per_s"):
            if getattr(self, field) <= 0:
                raise DeviceError(f"{self.name}: {field} must be positive, not {getattr(self, field)}")
        if not 0 < self.memory_bytes <= MAX_MEMORY_BYTES:
            raise DeviceError(
                f"{self.name}: memory_bytes must be between 1 byte and 10 TiB, not {self.memory_bytes}"
            )
        if not 0 < self.usable.low <= self.usable.high <= MAX_MEMORY_BYTES:
            raise DeviceError(f"{self.name}: usable memory must be between 1 byte and 10 TiB")

    @property
    def torch_name(self) -> str:
        """The name that torch and the driver show."""
        return self.torch_names[0]

    @property
    def limits(self) -> CapabilityLimits:
        """What the compute capability fixes."""
        return limits_of(self.capability)

    @property
    def architecture(self) -> str:
        """The name of the generation: ``"Ampere"``."""
        return self.limits.architecture

    @property
    def cuda_cores(self) -> int:
        """The fp32 lanes of the whole GPU."""
        return self.sm_count * self.limits.cores_per_sm

    @property
    def resident_threads(self) -> int:
        """The threads that the whole GPU can hold at once; the driver sets memory aside for each of them."""
        return self.sm_count * self.limits.threads_per_sm

    @property
    def capability_text(self) -> str:
        """The compute capability as it is written: ``"8.6"``."""
        return f"{self.capability[0]}.{self.capability[1]}"

    @property
    def reserved_by_driver(self) -> Range:
        """Nominal less usable: what no process can have; NVML's first memory query counts it as used."""
        return Range(*(max(0, n) for n in _ends(Range.exact(self.memory_bytes) - self.usable)))

    def peak_flops(self, rate: Rate) -> int | None:
        """Return the dense peak in operations a second, two for a multiply-add; None without such a unit.

        ``fp32`` and ``fp16_vector`` are the ordinary lanes at the boost clock; the others are tensor cores:
        ``fp16`` accumulates in fp32, as PyTorch asks, ``bf16`` runs at its rate and ``tf32`` at half of it
        (capability 8.0 and later).
        """
        lanes = 2 * self.cuda_cores * self.boost_khz * 1000
        match rate:
            case "fp32":
                return lanes
            case "fp16_vector":
                ratio = self.limits.fp16_vector_ratio
                return None if ratio is None else lanes * ratio[0] // ratio[1]
            case "fp16":
                return self._tensor_flops(self.tensor_fma_per_sm)
            case "fp16_acc16":
                return self._tensor_flops(self.tensor_fma_acc16_per_sm)
            case "bf16":
                return self._tensor_flops(self.tensor_fma_per_sm) if self.capability >= (8, 0) else None
            case "tf32":
                half = self.tensor_fma_per_sm // 2 if self.tensor_fma_per_sm else None
                return self._tensor_flops(half) if self.capability >= (8, 0) else None

    def _tensor_flops(self, fma_per_sm: int | None) -> int | None:
        if fma_per_sm is None:
            return None
        return 2 * fma_per_sm * self.sm_count * (self.tensor_khz or self.boost_khz) * 1000

    def with_usable(self, usable: Range, source: str) -> "Device":
        """Return this device with the usable total that *source* says."""
        return replace(self, usable=usable, usable_source=source)


def _ends(range_: Range) -> tuple[int, int, int]:
    return range_.low, range_.likely, range_.high
