"""Sphinx's settings."""

from __future__ import annotations

import re
from typing import Any, Optional, Tuple

from chatgpt4online import __version__

project = "chatgpt4online"
author = "The chatgpt4online developers"
copyright = "2026, " + author
release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"{project} {release}"
# The theme's own choice for dark pages underlines the name of each module.
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
exclude_patterns = ["_build"]

# Names in single backticks are code, as in docstrings that are read in a terminal.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Short names, which api.rst explains, and what is only imported for type checkers.
autodoc_type_aliases = {
    **{name: name for name in ("Source", "StrPath", "Timeouts")},
    "Client": "chatgpt4online.Client",
    "Executor": "concurrent.futures.Executor",
    "Outcomes": "chatgpt4online.Outcomes",
}
# A longer signature has one parameter per line.
python_maximum_signature_line_length = 80
# The names of other projects would be looked up on the network, which a build must not need. The
# reference explains the private types in signatures.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!chatgpt4online).*"),
    (r"py:class", r"chatgpt4online\._options\.\w+|chatgpt4online\.client\.C"),
]


def drop_alias_notes(*event: Any) -> None:
    """Remove what namedtuple says of a field that has no comment of its own."""
    lines = event[-1]
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def name_aliases(*event: Any) -> Tuple[Optional[str], ...]:
    """Return a signature and its result with aliases by name; Sphinx prints its own class."""
    pattern = r"TypeAliasForwardRef\('(?:\w+\.)*(\w+)'\)"
    return tuple(text and re.sub(pattern, r"\1", text) for text in event[-2:])


def setup(app: Any) -> None:
    """Let Sphinx ask us about each docstring and signature."""
    app.connect("autodoc-process-docstring", drop_alias_notes)
    app.connect("autodoc-process-signature", name_aliases)
