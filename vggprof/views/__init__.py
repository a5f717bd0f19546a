"""Views: a value in, text out, nothing computed but its form."""

from vggprof.forms import Form
from vggprof.views.compare import compare
from vggprof.views.layers import layers
from vggprof.views.memory import memory
from vggprof.views.specs import specs

__all__ = ["Form", "compare", "layers", "memory", "specs"]
