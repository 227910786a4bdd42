"""Compress a dataset from Python, with your own settings and progress callback.

python examples/pack_in_python.py digits digits.hmn
"""

import sys
from pathlib import Path

import hmnpack


def print_finished(stage: str, done: int, total: int, **facts: float) -> None:
    """Print one line when a stage ends."""
    if done == total:
        print(stage, *(f"{name} {value:.3f}" for name, value in facts.items()))


def main(data: str, output: str, recipe: str = "fast") -> None:
    """Condense a dataset at 10 images per class, with fewer matching steps than the recipe."""
    changes = {"match.steps": 1000, "seed": 1}
    bundle = hmnpack.compress(
        data, 10, recipe=recipe, settings=changes, output=Path(output), listener=print_finished
    )
    manifest = bundle.manifest
    print(f"{manifest.container.images} images in {manifest.ledger.floats} floats")


if __name__ == "__main__":
    main(*sys.argv[1:3])
