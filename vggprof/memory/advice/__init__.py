"""What would make a training fit, each change measured by replaying it.

`changes` are values and have a price, `space` says which of them are open and puts their combinations in
order, `meter` replays, `search` finds the cheapest combination that fits, and `advise` tells what helps.
"""

from vggprof.memory.advice.advise import CLEARLY, Advice, Advised, advise
from vggprof.memory.advice.changes import Case
from vggprof.memory.advice.search import Found

__all__ = ["CLEARLY", "Advice", "Advised", "Case", "Found", "advise"]
