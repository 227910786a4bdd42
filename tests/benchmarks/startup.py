"""Start-up time of `hmnpack --help`, `--version` and `inspect`, against a bare Python."""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from harness import arguments, median_seconds, report

from hmnpack.bundle import Bundle, data_sha256
from hmnpack.container.budget import budget_of, plan
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Manifest, Normalisation, Provenance, SourceFacts


def save_bundle(path: Path) -> None:
    """Write a CIFAR-10 50-IPC container with random tensors: the largest header of any preset."""
    image = ImageShape(channels=3, height=32, width=32)
    spec = plan(50, 10, image)
    generator = torch.Generator().manual_seed(0)
    tensors = {row.name: torch.randn(row.shape, generator=generator) for row in spec.ledger().rows}
    manifest = Manifest(
        source=SourceFacts(
            name="noise", fingerprint="0" * 64, train_images=50_000, held_out=0, skipped={}
        ),
        classes=tuple(f"class {index}" for index in range(10)),
        normalisation=Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3),
        container=spec,
        ledger=spec.ledger(),
        budget=budget_of(50, 10, image),
        provenance=Provenance(
            hmnpack="0", torch="0", device="cpu", real_images_used_to_start=False
        ),
        data_sha256=data_sha256(tensors),
    )
    Bundle(manifest, tensors).save(path)


def main() -> None:
    args = arguments()
    command = str(Path(sys.executable).with_name("hmnpack"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "noise.hmn")
        save_bundle(file)
        lines = {
            "bare_python_seconds": [sys.executable, "-c", "pass"],
            "version_seconds": [command, "--version"],
            "help_seconds": [command, "--help"],
            "compress_help_seconds": [command, "compress", "--help"],
            "inspect_seconds": [command, "inspect", str(file)],
            "inspect_json_seconds": [command, "inspect", str(file), "--json"],
        }
        figures = {
            name: median_seconds(lambda line=line: subprocess.check_output(line), 9)
            for name, line in lines.items()
        }
    bars = {"help_bar_seconds": 0.2, "inspect_bar_seconds": 0.3}
    report({**figures, **bars}, save=args.save)


if __name__ == "__main__":
    main()
