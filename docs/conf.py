"""Sphinx configuration of the documentation site: `make docs`.

The pages are the Markdown files of the repository, read in place, so that links work on the site
and on GitHub. Links to files that are not pages (scripts, result files, folders) point to the
repository. Neither building nor reading the site needs the network.
"""

import shutil
from pathlib import Path
from urllib.parse import unquote

from docutils import nodes
from pydantic import BaseModel
from sphinx import addnodes
from sphinx.application import Sphinx

from hmnpack.version import __version__

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/hmnpack/hmnpack"
TOCTREE = """

```{toctree}
:hidden:
:glob:

GUIDE
METHODS
docs/api
docs/frameworks
FORMAT
SECURITY
examples/bundles/*
examples/reproduce/*
examples/cluster/*
examples/federated/*
CONTRIBUTING
RELEASE
CHANGELOG
```
"""

project = "hmnpack"
author = "The hmnpack authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "examples/**/*.md"]
exclude_patterns = [".*", "build", "dist", "demo-output", "docs/site", "runs", "**/results"]

myst_heading_anchors = 4
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
python_display_short_literal_types = True

nitpicky = True
nitpick_ignore_regex = [
    # Names of other libraries, whose indices would have to be downloaded.
    ("py:class", r"(torch|numpy|datasets|pathlib|os|collections|pydantic)\..*|NoneType|Tensor"),
    # Returned by `CondensedDataset.loader`; users only iterate over it.
    ("py:class", r"hmnpack\.dataset\.loader\.DeviceLoader"),
    # Parts of a plan and of a stage that users only pass on.
    ("py:class", r"hmnpack\.condensing\.grow\.Grown|hmnpack\.evaluation\.bench\.TrainingSet"),
    ("py:class", r"hmnpack\.continual\.rows\.Stage"),
    # Where images that are read when they are indexed come from; users only index them.
    ("py:class", r"hmnpack\.sources\.pixel_file\.PixelFile"),
    # Nested settings models: the top-level models list their fields by dotted name.
    ("py:class", r"hmnpack\.schema\.\w+\.\w+(Config|Spec|Shape|Split)"),
    # The union of the containers, an alias that no page describes.
    ("py:obj", r"typing\.Annotated.*"),
]

html_theme = "furo"
html_title = f"hmnpack {release}"
html_copy_source = False
html_permalinks_icon = "#"


def with_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Add the table of contents to the first page; in README.md GitHub would show it as code."""
    if page == app.config.root_doc:
        source[0] += TOCTREE


def to_repository(app: Sphinx, tree: nodes.document) -> None:
    """Point links to files and folders that are not pages to the repository."""
    here = (ROOT / app.env.docname).parent
    for node in list(tree.findall(addnodes.pending_xref)) + list(
        tree.findall(addnodes.download_reference)
    ):
        if node.get("reftype") not in (None, "myst"):
            continue
        target = (here / unquote(node["reftarget"])).resolve()
        if not target.exists() or not target.is_relative_to(ROOT):
            continue
        kind = "tree" if target.is_dir() else "blob"
        address = f"{REPOSITORY}/{kind}/main/{target.relative_to(ROOT).as_posix()}"
        link = nodes.reference("", "", *node.children, refuri=address, internal=False)
        node.replace_self(link)


def with_settings(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Add a model's settings to its docstring, nested ones by dotted name."""
    if isinstance(thing, type) and issubclass(thing, BaseModel):
        lines += ["", *settings_of(thing)]


def without_fields(  # the docstring lists them
    app: Sphinx, what: str, name: str, thing: object, *details: object
) -> tuple[str, None] | None:
    """Omit the signature of a model."""
    return ("", None) if isinstance(thing, type) and issubclass(thing, BaseModel) else None


def settings_of(model: type[BaseModel], before: str = "") -> list[str]:
    """Return a line per leaf setting of a model: dotted name and description."""
    lines = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            lines += settings_of(kind, f"{before}{name}.")
        else:
            lines.append(f"* ``{before}{name}``: {field.description}")
    return lines


def with_front_page(app: Sphinx, error: Exception | None) -> None:
    """Make the first page the site's index."""
    if error is None:
        shutil.copy(app.outdir / "README.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    """Register the hooks above."""
    app.connect("source-read", with_contents)
    app.connect("doctree-read", to_repository)
    app.connect("autodoc-process-docstring", with_settings)
    app.connect("autodoc-process-signature", without_fields)
    app.connect("build-finished", with_front_page)
