"""RESULTS.md: every result file, in tables by kind."""

from collections.abc import Callable, Mapping
from pathlib import Path

import render_accuracies
import render_comparisons
import render_figures
import render_paper
import render_proxies
from recorded import HERE, load

from hmnpack.schema.result import Result

PAGE = HERE / "RESULTS.md"

BEGINNING = """\
<!-- Written by `python examples/reproduce/render_tables.py` from results/ and notes.toml. Edit
those, not this page. -->

# Results

Every file in [results](results) is one measurement, with its command, commit, seed, machine,
library versions and the fingerprint of its data. This page lists all of them.
[README.md](README.md) explains how to repeat one, [DECISIONS.md](DECISIONS.md) what follows from
them.

- [Test accuracy](#test-accuracy): evaluated bundles and real images of the same budget
- [The paper's tables and figures](#the-papers-tables-and-figures)
- [Methods and containers](#methods-and-containers): other methods, and other containers
- [Proxies](#proxies): comparisons of settings, on held-out images
- [Other measurements](#other-measurements): PNG files, 8-bit storage, overfitting, benchmarks

"Mean &plusmn; std": sample standard deviation over networks, in points; a single network has none.
A `-` means not measured or not recorded. Recipes are as of the row's commit.
"""

SECTIONS: tuple[tuple[str, str, Callable[[Mapping[str, Result]], str]], ...] = (
    (
        "Test accuracy",
        """\
Accuracy in percent after the last epoch, on the test split unless a heading says *held-out images*.

- *95 %*: half the width of the 95 % interval of the mean (Student's t), in points.
- *Paper*: accuracy in the paper's Table 2, on the original CIFAR-10.
- *Compression time*: CPU time of one core, including training the matching networks.
- *Same floats*, *same bytes*: random real images within the same float budget; random real images
  as JPEG, within the bytes of the file's tensors. Both are trained for as many steps as the file.
- *Warm-up alone*: the same container after the warm-up on real images, without matching.
- *Whole data*: the full dataset (training split).

The baselines changed twice, so rows of different commits are not always comparable:

- Before b5c22e8, *same bytes* counted complete JPEG files including their tables, so only a quarter
  to a half as many images fit (CIFAR-10 at 1 IPC: 290). Baselines were trained for the same epochs
  as the file, not the same steps. Remarks mark these rows with "older baselines".
- In b5c22e8 the bytes are those of the budget; since then, those of the file's tensors (0.3 to
  1.6 % fewer).
""",
        render_accuracies.sections,
    ),
    (
        "The paper's tables and figures",
        "Smaller versions of the paper's measurements, by `paper.py`.\n",
        render_paper.sections,
    ),
    (
        "Methods and containers",
        """\
Methods at equal CPU minutes by `methods.py`, containers under one objective by
`containers.py`. [METHODS.md](../../METHODS.md#measurements) has the tables.
""",
        render_comparisons.sections,
    ),
    (
        "Proxies",
        """\
Accuracy in percent on held-out images of the training split, by `proxy.py`. These are not test
accuracies. [README.md](README.md#proxies) describes each proxy.

- *Images*: decoded images, of all classes. *Steps*: training steps of each network.
- *Minutes*: CPU minutes of condensing one bundle: training the pool's networks, then the rest. Runs
  that recorded no CPU minutes show wall-clock minutes.
- Settings are relative to the recipe at the row's commit. &dagger;: this setting, or this value of
  it, was removed later; it still exists at that commit.
- Runs before commit b8419d3 ran in float32 on a CPU without bfloat16 instructions, later ones in
  bfloat16. All files are stored in 32 bits, except those of `q0-8-bits`.
""",
        render_proxies.sections,
    ),
    (
        "Other measurements",
        "Names of metrics end in their unit.\n",
        render_figures.sections,
    ),
)
"""Heading, introduction and tables of each part."""


def page(folder: Path) -> str:
    """Return the page in Markdown, for the result files in a folder."""
    found = load(folder)
    parts = [f"## {title}\n\n{summary}\n{shown(found)}" for title, summary, shown in SECTIONS]
    return "\n".join((BEGINNING, *parts))
