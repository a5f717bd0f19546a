"""A GPU's sensors, read again and again in the background while it is measured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from threading import Event, Lock, Thread
from time import monotonic

from vggprof.devices.readings import Gpu, gpu_with_uuid
from vggprof.measurement import Sensor

# NVML's own figures are refreshed a few times a second.
_PERIOD_S = 0.1


class Sensors:
    """Readings since they began; none without a GPU, or where NVML cannot be asked."""

    def __init__(self, gpu: Gpu | None) -> None:
        self._gpu = gpu
        self._begin = monotonic()
        self._read: list[Sensor] = []
        self._one_at_a_time = Lock()  # so that the last reading is the latest

    @property
    def readings(self) -> tuple[Sensor, ...]:
        """What was read so far."""
        return tuple(self._read)

    @property
    def driver(self) -> str | None:
        """Return the version of the driver."""
        return None if self._gpu is None else self._gpu.driver_version

    def throttled(self) -> bool:
        """Whether the GPU held itself back when it was looked at last."""
        return bool(self._read and self._read[-1].throttle_reasons)

    def look(self) -> None:
        """Read once."""
        with self._one_at_a_time:
            reading = None if self._gpu is None else self._gpu.read(os.getpid())
            if reading is not None:
                self._read.append(Sensor((monotonic() - self._begin) * 1000, **asdict(reading)))


@contextmanager
def watched(uuid: str | None) -> Iterator[Sensors]:
    """Read the GPU of *uuid* in the background; None for no GPU at all."""
    if uuid is None:
        yield Sensors(None)
        return
    done = Event()
    with gpu_with_uuid(uuid) as gpu:
        sensors = Sensors(gpu)

        def keep_looking() -> None:
            while not done.wait(_PERIOD_S):
                sensors.look()

        thread = Thread(target=keep_looking, daemon=True)
        thread.start()
        try:
            yield sensors
        finally:
            done.set()
            thread.join()
