"""Searches by replay: the largest batch that fits, the least memory that something fits into."""

from collections.abc import Callable

from vggprof.trace.setup import MAX_BATCH


def largest_batch(fits: Callable[[int], bool], *, start: int = 32) -> int:
    """Return the largest batch for which *fits* holds where it does not for the next one; 0 if none does.

    Found by doubling and halving from *start*, each try a run of its own: what fits need not grow evenly, as
    other batches get other algorithms. Returns MAX_BATCH where nothing stops it.
    """
    most, least_failing, batch = 0, None, start
    while batch >= 1 and (least_failing is None or least_failing - most > 1):
        if fits(batch):
            most = batch
            if batch >= MAX_BATCH:
                return MAX_BATCH
        else:
            least_failing = batch
        batch = min(most * 2, MAX_BATCH) if least_failing is None else (most + least_failing) // 2
    return most


def least_capacity(fits: Callable[[int], bool], *, too_little: int, enough: int, step: int) -> int:
    """Return the least capacity between *too_little* and *enough* that *fits*, to within *step* bytes."""
    while enough - too_little > step:
        middle = (too_little + enough) // 2
        too_little, enough = (too_little, middle) if fits(middle) else (middle, enough)
    return enough
