"""Networks made by hand, as a comparison sees them."""

from vggprof.analyzers import LayerRow, LayerTable, Peak, Share, Stage, TensorMemory
from vggprof.compare import Cause, Profile
from vggprof.compare.peak import PeakShare
from vggprof.trace import Kind, Parameter, Phase, Setup

SETUP = Setup(batch=2)


def layer(
    name: str,
    stage: str,
    *,
    op: str = "Conv2d",
    extent: int = 0,
    channels: int = 8,
    params: int = 0,
    macs: int = 0,
    nbytes: int = 0,
    inputs: int = 1,
) -> LayerRow:
    """Return a row of a network with a 3 x 224 x 224 input; a classifier's has extent 0."""
    shape = (2, channels, extent, extent) if extent else (2, channels)
    return LayerRow(
        name=name,
        module=name,
        op=op,
        stage=stage,
        input_shapes=((2, 3, 224, 224),) * inputs,
        output_shape=shape,
        params=params,
        macs=macs,
        macs_backward=2 * macs,
        output_bytes=nbytes,
        saved_bytes=nbytes,
        read_bytes=nbytes,
        written_bytes=0,
        receptive_field=None,
    )


def table(
    arch: str, rows: list[LayerRow], resolutions: list[int], unexecuted: tuple[Parameter, ...] = ()
) -> LayerTable:
    """Return *rows* with stages of these square resolutions."""
    stages = [Stage(f"stage{i}", (extent, extent)) for i, extent in enumerate(resolutions, start=1)]
    classifier = (Stage("classifier", None),) if rows[-1].stage == "classifier" else ()
    return LayerTable(arch, SETUP, tuple(rows), (*stages, *classifier), unexecuted, ())


def profile_of(layers: LayerTable, peak: int = 512, *, areas: dict[str, int] | None = None) -> Profile:
    """Return a network whose tensors take *peak* bytes at most, all of it input."""
    shares = (Share(None, Kind.INPUT, peak),)
    memory = TensorMemory(layers.arch, SETUP, (), Peak(peak, 1, Phase.BACKWARD, None, None), shares)
    return Profile(layers, memory, (PeakShare(None, Cause.INPUT, peak),), kernel_areas=areas or {})
