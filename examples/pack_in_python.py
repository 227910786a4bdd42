"""Pack a data set from Python: settings of your own, and your own view of the progress.

python examples/pack_in_python.py digits digits.hmn
"""

import sys
from pathlib import Path

import hmnpack
from hmnpack.recipes import RECIPES
from hmnpack.schema.config import CompressConfig


def say(stage: str, done: int, total: int, **facts: float) -> None:
    """Print one line when a stage ends."""
    if done == total:
        print(stage, *(f"{name} {value:.3f}" for name, value in facts.items()))


def main(data: str, output: str, base: CompressConfig = RECIPES["fast"]) -> None:
    """Condense a data set to 10 images per class, with half the matching steps."""
    match = base.match.model_copy(update={"steps": base.match.steps // 2})
    config = base.model_copy(update={"match": match, "seed": 1})
    bundle = hmnpack.compress(data, 10, config=config, output=Path(output), listener=say)
    manifest = bundle.manifest
    print(f"{manifest.container.images} images in {manifest.ledger.floats} numbers")


if __name__ == "__main__":
    main(*sys.argv[1:3])
