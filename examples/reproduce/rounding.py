"""Store a 32-bit bundle at lower precision, and measure the change of its pixels.

    hmnpack compress digits --ipc 1 -o whole.hmn --set container.dtype=F32
    python examples/reproduce/rounding.py --bundle whole.hmn --dtype I8 --out digits.hmn \
        --name rounding-digits

The output equals that of the same `compress` with `container.dtype=I8`: floats are rounded only
when a file is written. Scores are omitted, because they were measured on other images.
"""

import argparse
from pathlib import Path
from typing import get_args

import torch
from record import RESULTS, write_result

from hmnpack.bundle import Bundle, read, with_tensors
from hmnpack.container import container_of, decode
from hmnpack.schema.ledger import Dtype
from hmnpack.schema.result import DataFacts
from hmnpack.settings import merged, recorded_settings, settings_to_record, shape_of_file


def main() -> None:
    """Round, measure, and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--bundle", type=Path, required=True, help="a 32-bit .hmn file")
    parser.add_argument("--dtype", choices=get_args(Dtype), default="I8", help="container.dtype")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--name", required=True, help="name of the result file")
    args = parser.parse_args()
    whole = read(args.bundle)
    if whole.manifest.container.dtype != "F32":
        parser.error(f"{args.bundle} is already rounded; give a file with container.dtype=F32")
    rounded = stored_as(whole, args.dtype)
    rounded.save(args.out)
    moved = 255 * (_images(rounded) - _images(whole)).abs()
    source = whole.manifest.source
    write_result(
        RESULTS,
        device="cpu",
        typed_data=source.name,
        name=args.name,
        seed=None,
        data=DataFacts(name=source.name, fingerprint=source.fingerprint),
        figures={
            "dtype": args.dtype,
            "bytes_before": whole.manifest.ledger.bytes,
            "bytes": rounded.manifest.ledger.bytes,
            "mean_difference_of_255": moved.mean().item(),
            "rms_difference_of_255": moved.square().mean().sqrt().item(),
            "max_difference_of_255": moved.max().item(),
        },
    )


def stored_as(bundle: Bundle, dtype: Dtype) -> Bundle:
    """Return the bundle that the same run would make with another `container.dtype`."""
    old = bundle.manifest
    container = container_of(old.container, bundle.tensors)
    container.spec = old.container.model_copy(update={"dtype": dtype})
    made = recorded_settings(old)
    config = made and settings_to_record(
        merged(made, {"container.dtype": dtype}), shape_of_file(old)
    )
    return with_tensors(bundle, container.spec, container.stored_tensors(), config=config)


def _images(bundle: Bundle) -> torch.Tensor:
    return decode(container_of(bundle.manifest.container, bundle.tensors))


if __name__ == "__main__":
    main()
