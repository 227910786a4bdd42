"""Train on a bundle's PNGs and on its tensors with the same seeds, and record both accuracies.

    python examples/reproduce/png_check.py --bundle digits.hmn --data digits --label digits \
        --name digits-png --width 32 --epochs 100 --repeats 5

The PNGs are written by `hmnpack expand` and read by torchvision's ImageFolder, as users do.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from record import RESULTS, write_result
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

import hmnpack
from hmnpack.bundle import Bundle, read
from hmnpack.schema.container import ImagesSpec
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import DataFacts
from hmnpack.sources import open_source


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--bundle", type=Path, required=True, help="the .hmn file")
    parser.add_argument("--data", required=True, help="dataset to test on")
    parser.add_argument("--label", required=True, help="dataset name in tables")
    parser.add_argument("--name", required=True, help="name of the result file")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    source = open_source(args.data)
    defaults = EvaluateConfig()
    config = defaults.model_copy(
        update={
            "network": defaults.network.model_copy(update={"width": args.width}),
            "train": defaults.train.model_copy(update={"epochs": args.epochs}),
            "repeats": args.repeats,
            "baselines": False,
        }
    )
    bundle = read(args.bundle)
    with tempfile.TemporaryDirectory() as folder:
        from_pngs = through_pngs(bundle, Path(folder) / "images")
    rows = [
        hmnpack.evaluate(each, source, config, device=args.device).rows[0]
        for each in (bundle, from_pngs)
    ]
    write_result(
        RESULTS,
        device=args.device,
        typed_data=args.data,
        name=args.name,
        seed=config.seed,
        data=DataFacts(name=args.label, fingerprint=source.train.fingerprint),
        baselines=(
            rows[0].model_copy(update={"name": "tensors"}),
            rows[1].model_copy(update={"name": "PNGs of expand"}),
        ),
        figures={"difference_points": rows[1].accuracy_mean - rows[0].accuracy_mean},
    )
    print(*(f"{row.accuracy_mean:.2f} +- {row.accuracy_std:.2f}" for row in rows))


def through_pngs(bundle: Bundle, folder: Path) -> Bundle:
    """Return an in-memory bundle with the pixels of the PNGs that `bundle` expands to.

    It contains plain pixels far over the budget, so it cannot be written to a file.
    """
    hmnpack.expand(bundle, folder)
    files = ImageFolder(str(folder), loader=_load_image)
    pixels = torch.stack([pil_to_tensor(image) for image, _ in files]).float() / 255
    spec = bundle.manifest.container
    plain = ImagesSpec(classes=spec.classes, instances=spec.instances, image=spec.image)
    facts = {"container": plain, "ledger": plain.ledger()}
    return Bundle(bundle.manifest.model_copy(update=facts), {"pixels": pixels})


def _load_image(path: str):  # noqa: ANN202 - a Pillow image in the file's mode
    from PIL import Image  # noqa: PLC0415

    return Image.open(path)


if __name__ == "__main__":
    main()
