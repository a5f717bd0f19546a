"""How Sphinx builds the pages of this folder: `make docs`. Nothing is fetched."""

import inspect
import re
from importlib import import_module
from typing import TYPE_CHECKING

import vggprof

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "vggprof"
version = release = vggprof.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
exclude_patterns = ["_build"]
autodoc_default_options = {"undoc-members": True}
myst_heading_anchors = 3
# What docstrings put into single backticks is a name of ours or a piece of code.
default_role = "py:obj"

smartquotes = False  # -- begins an option
suppress_warnings = ["misc.highlighting_failure"]  # JSON with ... in it

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

html_theme = "alabaster"
html_theme_options = {"page_width": "1200px", "sidebar_width": "240px"}
toc_object_entries = False
html_copy_source = html_show_sourcelink = False


def comment_behind(owner: type, field: str) -> str:
    """Return what the comment behind *field* says where *owner* declares it; "" without one."""
    found = re.search(rf"^ +{re.escape(field)}: .*?  # (.+)$", inspect.getsource(owner), re.MULTILINE)
    return found[1] if found else ""


def _say_comment(  # noqa: PLR0913, PLR0917 - what autodoc hands over
    app: "Sphinx", what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Let the comment behind a field stand for the docstring that a field cannot have."""
    if what != "attribute" or any(lines):
        return
    room, owner, field = name.rsplit(".", 2)
    lines[:] = [comment_behind(getattr(import_module(room), owner), field), ""]


def setup(app: "Sphinx") -> None:
    """Tell Sphinx of it."""
    app.connect("autodoc-process-docstring", _say_comment)
