"""Write the golden bundles that do not exist yet. Existing ones are never rewritten.

They hold every part that a bundle may have: settings and an evaluation, a name that needs escaping
everywhere, an extractor, a resize; margins and how images were pruned; classes of unequal counts;
each kind of container.
"""

import importlib.util
import json
import sys
from pathlib import Path

from hmnpack.bundle import read
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Provenance
from hmnpack.schema.pruning import BetaScore, Margins, Pruning
from hmnpack.schema.score import Score

HERE = Path(__file__).parent


def sibling(path: str):
    """Import a test file by its path, because the tests are not a package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, HERE.parent / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Write the bundles, and the images that the reader of tests/bundle/test_format.py decodes."""
    made, reader = sibling("conftest.py"), sibling("bundle/test_format.py")
    score = Score(
        protocol="short",
        network="convnet",
        seed=0,
        held_out=False,
        config={"jpeg_quality": 75},
        data="made up",
        fingerprint="1" * 64,
        images=6,
        accuracies=(50.0, 51.5, 49.25),
    )
    facts = {
        "classes": ('<b>"Ä & [red]', "日本語"),
        "recipe": "smoke",
        "seed": 0,
        "holdout": 0.1,
        "scores": (score.model_dump(),),
    }
    spec = made.hmn_spec(
        image=ImageShape(channels=3, height=12, width=20), dataset_channels=2, instance_channels=2
    )
    pruning = Pruning(
        strategy="double-end",
        config={"betas": [0.0, 0.5]},
        seed=7,
        instances=5,
        beta=0.5,
        held_out=10,
        scores=(
            BetaScore(beta=0.0, accuracies=(60.0,)),
            BetaScore(beta=0.5, accuracies=(61.5,)),
        ),
    )
    pruned = {
        "margins": Margins(epochs=200, seeds=3, values=(9000, -10000, 10000, 0)),
        "provenance": Provenance(
            hmnpack="0.1.0",
            torch="2.8.0",
            device="cpu",
            real_images_used_to_start=False,
            prunings=(pruning,),
        ),
    }
    unlike = pruning.model_copy(update={"instances": (4, 6)})
    unequal = {
        "margins": Margins(epochs=200, seeds=3, values=(1, -10000, 9000, 10000, 0)),
        "provenance": pruned["provenance"].model_copy(update={"prunings": (unlike,)}),
    }
    bundles = {
        "v1-hmn": made.make_bundle(spec, draw_seed=1, **facts),
        "v1-half": made.make_bundle(spec.model_copy(update={"dtype": "F16"}), draw_seed=3),
        "v1-eight": made.make_bundle(spec.model_copy(update={"dtype": "I8"}), draw_seed=4),
        "v1-images": made.make_bundle(made.images_spec(), draw_seed=1),
        "v1-pruned": made.make_bundle(made.images_spec(), draw_seed=2, **pruned),
        "v1-multi-formation": made.make_bundle(
            made.multi_formation_spec(dtype="I8", instances=(4, 8)), draw_seed=6
        ),
        "v1-linear-basis": made.make_bundle(
            made.linear_basis_spec(dtype="I8", instances=(3, 2)), draw_seed=7
        ),
        "v1-hallucinator": made.make_bundle(
            made.hallucinator_spec(dtype="I8", instances=(4, 2)), draw_seed=8
        ),
        "v1-unequal": made.make_bundle(made.hmn_spec(instances=(1, 4)), draw_seed=5, **unequal),
    }
    for name, bundle in bundles.items():
        path = HERE / f"{name}.hmn"
        if path.exists():
            continue
        bundle.save(path)
        manifest, parts = reader.read_file(path.read_bytes())
        images = reader.decode(manifest, parts).round(6).tolist()
        (HERE / f"{name}.json").write_text(json.dumps(images) + "\n")
        sys.stdout.write(f"{path.name} {read(path).manifest.data_sha256}\n")


if __name__ == "__main__":
    main()
