"""ARCH built as a torch.nn.Module on the meta device."""

from vggprof.network.allocation import materialize
from vggprof.network.from_spec import build

__all__ = ["build", "materialize"]
