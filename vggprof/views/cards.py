"""Verdicts on one card or a ladder of them, in a word and as JSON, for results of which they are one part."""

from vggprof.memory.report import CardReport
from vggprof.memory.verdict import Status
from vggprof.views.json import Json


def say_cards(cards: tuple[CardReport, ...]) -> str:
    """Return the verdict on one card, or for a ladder the first that it fits, which are in order of size."""
    if len(cards) == 1:
        return f"{cards[0].prediction.status.value} on {cards[0].prediction.device.name}"
    fitting = (card for card in cards if card.prediction.status is Status.FITS)
    first = next(fitting, None)
    return "fits none of the cards" if first is None else f"FITS from {first.prediction.device.name}"


def card_json(card: CardReport) -> Json:
    """Return the verdict on one card, and what the process takes there."""
    prediction = card.prediction
    return {
        "name": prediction.device.name,
        "status": prediction.status.value,
        "process_bytes": prediction.process.likely,
        "process_bytes_low": prediction.process.low,
        "process_bytes_high": prediction.process.high,
        "usable_bytes": prediction.usable_bytes,
    }
