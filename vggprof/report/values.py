"""The report as a value."""

from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

from vggprof.compare import Comparison, Profile
from vggprof.memory.forecast import Card, Software
from vggprof.memory.report import MemoryReport
from vggprof.report.grid import Slice
from vggprof.report.published import Published
from vggprof.trace import Setup


@dataclass(frozen=True, slots=True)
class Study:
    """One network of a report."""

    profile: Profile
    memory: MemoryReport
    slices: tuple[Slice, ...]
    published: Published | None

    @property
    def arch(self) -> str:
        """The architecture as it was named."""
        return self.memory.arch

    def slice(self, card: Card, setup: Setup) -> Slice:
        """Return the slice of the grid on *card* under *setup*, one of the report's choices and setups."""
        return next(each for each in self.slices if (each.card, each.setup) == (card, setup))


@dataclass(frozen=True, slots=True)
class Report:
    """One network or several in one setup; the first is what the others are held against."""

    studies: tuple[Study, ...]  # not empty
    comparison: Comparison | None  # of two or more
    commands: tuple[str, ...]  # that give the same again

    @property
    def archs(self) -> tuple[str, ...]:
        """The architectures as they were named."""
        return tuple(study.arch for study in self.studies)

    @property
    def setup(self) -> Setup:
        """How they are run."""
        return self.studies[0].memory.setup

    @property
    def software(self) -> Software:
        """What they are run with."""
        return self.studies[0].memory.software

    @property
    def cards(self) -> tuple[Card, ...]:
        """The GPUs that the verdicts are about."""
        return tuple(each.card for each in self.studies[0].memory.cards)

    @property
    def choices(self) -> tuple[Card, ...]:
        """The GPUs of the grid, smaller ones first."""
        by_size = sorted(self.studies[0].slices, key=attrgetter("usable_bytes"))
        return tuple(dict.fromkeys(each.card for each in by_size))

    @property
    def setups(self) -> tuple[Setup, ...]:
        """The setups of the grid, one an optimizer."""
        return tuple(dict.fromkeys(each.setup for each in self.studies[0].slices))

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the predictions of all of them assume, of memory and of time, each once."""
        every = ((*study.memory.assumptions, *study.profile.assumptions) for study in self.studies)
        return tuple(dict.fromkeys(chain.from_iterable(every)))
