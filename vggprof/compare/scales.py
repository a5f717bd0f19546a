"""How far the input was scaled down: what lines up the stages of networks."""

from math import log2, prod

from vggprof.analyzers import CLASSIFIER, LayerTable, Stage


def scales(table: LayerTable) -> dict[str, int | None]:
    """Return per stage of *table* how often the input's extents were halved, to the nearest.

    None for the classifier. AlexNet's 55 x 55 and VGG's 56 x 56 are both 2 of 224 x 224.
    """
    extents = next((shape[2:] for row in table.rows for shape in row.input_shapes), ())
    return {stage.name: _halvings(extents, stage) for stage in table.stages}


def _halvings(extents: tuple[int, ...], stage: Stage) -> int | None:
    resolution = stage.resolution
    if resolution is None:
        return None
    axes = len(resolution)
    if not resolution or len(extents) != axes:
        return 0
    return round(log2(prod(extents) / prod(resolution)) / axes)


def say_scale(halvings: int | None) -> str:
    """Return a scale of the input for people: ``full``, ``1/4``, ``2/1`` or ``classifier``."""
    if halvings is None:
        return CLASSIFIER
    if halvings == 0:
        return "full"
    return f"1/{2**halvings}" if halvings > 0 else f"{2**-halvings}/1"
