"""The keys of advice: the contract that other programs build on."""

from typing import TYPE_CHECKING

from vggprof.views.json import Json

if TYPE_CHECKING:
    from vggprof.memory.advice import Advice, Advised, Found


def advice_json(advised: "Advised | None") -> dict[str, Json]:
    """Return what helps, the change that saves most first; null where nobody asked for it."""
    if advised is None:
        return {"advice": None, "advice_search": None}
    return {
        "advice": [_advice(each, cheapest=each is advised.cheapest) for each in advised.advice],
        "advice_search": None if advised.searched is None else _search(advised.searched),
    }


def _advice(advice: "Advice", *, cheapest: bool) -> dict[str, Json]:
    process = advice.prediction.process
    return {
        "change": advice.name,
        "setup": advice.command,
        "saves_bytes": advice.saves_bytes,
        "fits": advice.fits,
        "cost": advice.cost,
        "how": list(advice.how),
        "cheapest": cheapest,
        "status": advice.prediction.status.value,
        "process_bytes": process.likely,
        "process_bytes_low": process.low,
        "process_bytes_high": process.high,
        "extra_macs": advice.extra_macs,
    }


def _search(found: "Found") -> dict[str, Json]:
    return {"combinations": found.tried, "complete": found.complete}
