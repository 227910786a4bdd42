"""Write the golden bundles of the current format version. Once a version is released, never again.

They hold every part that a bundle may have: settings and an evaluation, a name that needs escaping
everywhere, an extractor, a resize.
"""

import importlib.util
import json
import sys
from pathlib import Path

from hmnpack.bundle import read
from hmnpack.schema.config import EvaluateConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Score
from hmnpack.schema.recipes import SMOKE

HERE = Path(__file__).parent


def sibling(path: str):
    """Import a test file by its path: the tests are no package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, HERE.parent / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Write the bundles, and what the NumPy reader of tests/bundle/test_format.py decodes."""
    made, reader = sibling("conftest.py"), sibling("bundle/test_format.py")
    score = Score(
        protocol=EvaluateConfig(),
        data="made up",
        fingerprint="1" * 64,
        images=6,
        accuracies=(50.0, 51.5, 49.25),
    )
    facts = {
        "classes": ('<b>"Ä & [red]', "日本語"),
        "config": SMOKE.model_dump(),
        "scores": (score.model_dump(),),
    }
    spec = made.hmn_spec(
        image=ImageShape(channels=3, height=12, width=20), dataset_channels=2, instance_channels=2
    )
    bundles = {
        "v1-hmn": made.make_bundle(spec, seed=1, **facts),
        "v1-images": made.make_bundle(made.images_spec(), seed=1),
    }
    for name, bundle in bundles.items():
        path = HERE / f"{name}.hmn"
        bundle.save(path, force=True)
        manifest, tensors = reader.read_file(path.read_bytes())
        images = reader.decode(manifest["container"], tensors).round(6).tolist()
        (HERE / f"{name}.json").write_text(json.dumps(images) + "\n")
        sys.stdout.write(f"{path.name} {read(path).manifest.data_sha256}\n")


if __name__ == "__main__":
    main()
