"""A gate: whether a training fits its card and keeps within a limit, as a yes or no."""

from dataclasses import dataclass
from enum import StrEnum

from vggprof.memory.report import CardReport, MemoryReport
from vggprof.memory.verdict import Estimate, Status


class Keeping(StrEnum):
    """Whether a process keeps within a limit."""

    WITHIN = "WITHIN"  # at the high end of what it can take
    TIGHT = "TIGHT"  # at the low end, but not at the high one
    OVER = "OVER"  # not even at the low end


@dataclass(frozen=True, slots=True)
class Gate:
    """The answer for one card, held against what was demanded of it.

    The limit is on the whole process, context included, as it runs on that card: what nvidia-smi shows.
    """

    report: MemoryReport
    limit_bytes: int | None = None  # None: the card is the only limit
    allow_tight: bool = False

    def __post_init__(self) -> None:
        assert self.report.single is not None, "a gate is for one card"

    @property
    def card(self) -> CardReport:
        """The card, and what the training comes to on it."""
        assert self.report.single is not None
        return self.report.single

    @property
    def process(self) -> Estimate:
        """Bytes of the whole process."""
        return self.card.prediction.process

    @property
    def keeping(self) -> Keeping | None:
        """Whether the process keeps within the limit; None without one."""
        if self.limit_bytes is None:
            return None
        if self.process.high <= self.limit_bytes:
            return Keeping.WITHIN
        return Keeping.TIGHT if self.process.low <= self.limit_bytes else Keeping.OVER

    @property
    def over_bytes(self) -> int | None:
        """Bytes by which the high end of the process is above the limit; negative where it is below."""
        return None if self.limit_bytes is None else self.process.high - self.limit_bytes

    @property
    def fits_card(self) -> bool:
        """Whether it fits the card; what is tight only where it may."""
        status = self.card.prediction.status
        return status is Status.FITS or (self.allow_tight and status is Status.TIGHT)

    @property
    def keeps_limit(self) -> bool:
        """Whether it keeps within the limit, if there is one; what is tight only where it may."""
        keeping = self.keeping
        return keeping in (None, Keeping.WITHIN) or (self.allow_tight and keeping is Keeping.TIGHT)

    @property
    def passed(self) -> bool:
        """Whether all that was demanded holds."""
        return self.fits_card and self.keeps_limit
