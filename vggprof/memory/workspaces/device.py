"""What cuDNN wants to know of a GPU that is not here."""

import json
from dataclasses import dataclass

from vggprof.errors import DeviceError

# cuDNN for CUDA 13 takes older GPUs too, but answers with generic engines that no real one would run.
OLDEST_ASKABLE = (7, 5)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a compute capability fixes, whatever the product."""

    blocks_per_sm: int
    threads_per_sm: int
    shared_optin_bytes: int  # shared memory a block can ask for
    shared_reserved_bytes: int = 0  # shared memory the system keeps of every block


# CUDA C++ Programming Guide, technical specifications per compute capability. Optin is the limit per block;
# from 8.0 on the system reserves 1 KiB a block.
_LIMITS = {
    (3, 0): Limits(16, 2048, 49_152),
    (3, 5): Limits(16, 2048, 49_152),
    (3, 7): Limits(16, 2048, 49_152),
    (5, 0): Limits(32, 2048, 49_152),
    (5, 2): Limits(32, 2048, 49_152),
    (6, 0): Limits(32, 2048, 49_152),
    (6, 1): Limits(32, 2048, 49_152),
    (7, 0): Limits(32, 2048, 98_304),
    (7, 5): Limits(16, 1024, 65_536),
    (8, 0): Limits(32, 2048, 166_912, 1_024),
    (8, 6): Limits(16, 1536, 101_376, 1_024),
    (8, 7): Limits(16, 1536, 166_912, 1_024),
    (8, 9): Limits(24, 1536, 101_376, 1_024),
    (9, 0): Limits(32, 2048, 232_448, 1_024),
    (10, 0): Limits(32, 2048, 232_448, 1_024),
    (10, 3): Limits(32, 2048, 232_448, 1_024),
    (11, 0): Limits(24, 1536, 232_448, 1_024),
    (12, 0): Limits(24, 1536, 101_376, 1_024),
    (12, 1): Limits(24, 1536, 101_376, 1_024),
}


@dataclass(frozen=True, slots=True)
class DeviceProperties:
    """A GPU as cuDNN's heuristics and torch's launch rules see it; DeviceError for what cannot be one."""

    name: str
    capability: tuple[int, int]
    sm_count: int
    sm_clock_khz: int
    memory_clock_khz: int
    l2_bytes: int
    memory_bytes: int

    def __post_init__(self) -> None:
        if self.capability not in _LIMITS:
            known = ", ".join(f"{major}.{minor}" for major, minor in _LIMITS)
            raise DeviceError(f"{self.name}: compute capability {self.sm} is not known; known are {known}")
        for field in ("sm_count", "sm_clock_khz", "memory_clock_khz", "l2_bytes", "memory_bytes"):
            if getattr(self, field) <= 0:
                raise DeviceError(f"{self.name}: {field} is {getattr(self, field)}; it must be positive")

    @property
    def limits(self) -> Limits:
        """What the compute capability fixes."""
        return _LIMITS[self.capability]

    @property
    def sm(self) -> str:
        """The compute capability as people write it: ``8.6``."""
        return "{}.{}".format(*self.capability)

    @property
    def askable(self) -> bool:
        """Whether cuDNN's answers for this GPU are those it gives on it."""
        return self.capability >= OLDEST_ASKABLE

    def cudnn_json(self) -> str:
        """Return the text a device property descriptor is made from; the same text for the same properties.

        Its form is that of CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION.
        """
        major, minor = self.capability
        described = {
            "deviceVer": major * 100 + minor * 10,
            "deviceName": self.name,
            "multiProcessorCount": self.sm_count,
            "smClockRateKHz": self.sm_clock_khz,
            "memClockRateKHz": self.memory_clock_khz,
            "l2CacheSize": self.l2_bytes,
            "totalGlobalMem": self.memory_bytes,
            "maxCtasPerSM": self.limits.blocks_per_sm,
            "maxThreadsPerSM": self.limits.threads_per_sm,
            "maxSharedMemoryPerBlockOptin": self.limits.shared_optin_bytes,
            "reservedSharedMemoryPerBlock": self.limits.shared_reserved_bytes,
        }
        return json.dumps(described | _COMMON, sort_keys=True)


# The same on every CUDA device since Kepler (same guide); driverVer is CUDA 13.0, that of torch 2.11.
_COMMON = {
    "warpSize": 32,
    "maxSharedMemoryPerBlock": 49_152,
    "maxRegistersPerSM": 65_536,
    "regsPerBlock": 65_536,
    "maxThreadsPerBlock": 1_024,
    "maxBlockSize": [1_024, 1_024, 64],
    "maxGridSize": [2_147_483_647, 65_535, 65_535],
    "supportCoopLaunch": 1,
    "pciDeviceId": 0,
    "isTccDriver": 0,
    "cudaDeviceId": 0,
    "driverVer": 13_000,
}
