"""Settings of the documentation: sphinx-build -W docs docs/_build."""

import re
import tomllib
from pathlib import Path
from typing import Any

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = PROJECT["name"]
author = copyright = PROJECT["authors"][0]["name"]
release = version = PROJECT["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "scripts"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

LITERAL = re.compile(r"(``.*?``)")
SPECIAL = re.compile(r"[*|]|(?<=\w)_(?=\W|$)")


def escape(app: Any, what: str, name: str, object_: Any, options: Any, lines: list[str]) -> None:
    """Keep ``[*batch]`` and ``|x|`` in docstrings from being read as markup."""
    for number, line in enumerate(lines):
        parts = LITERAL.split(line)
        lines[number] = "".join(part if part.startswith("``") else SPECIAL.sub(r"\\\g<0>", part) for part in parts)


def skip(app: Any, what: str, name: str, object_: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples: the class's docstring explains them."""
    return True if type(object_).__name__ == "_tuplegetter" else None


def setup(app: Any) -> None:
    """Escape docstrings before napoleon reads them."""
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", escape, priority=100)
