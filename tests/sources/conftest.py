"""Small images and datasets on disk."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hmnpack.sources import SourceOptions


def make_image(seed: int = 0, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> Image.Image:
    """Return a noise image of (width, height) pixels in a mode."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encode_image(image: Image.Image, format: str = "PNG", **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **settings)
    return file.getvalue()


@pytest.fixture
def image_of() -> Callable[..., Image.Image]:
    """Function that makes a noise image of a size and mode, by seed."""
    return make_image


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Function that encodes an image."""
    return encode_image


@pytest.fixture
def options(tmp_path: Path) -> SourceOptions:
    """Options with temporary folders."""
    return SourceOptions(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes an ImageFolder: split -> class -> number of images."""

    def make(**splits: dict[str, int]) -> Path:
        root = tmp_path / "pets"
        root.mkdir()
        for split, classes in splits.items():
            for label, (name, count) in enumerate(classes.items()):
                folder = root / split / name
                folder.mkdir(parents=True)
                for number in range(count):
                    seed = 1000 * len(split) + 100 * label + number
                    make_image(seed).save(folder / f"{number:03}.png")
        return root

    return make


@pytest.fixture
def make_parquet() -> Callable[..., Path]:
    """Function that writes a parquet file from encoded images and labels."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def make(path, images, labels, names=None, image="image", label="label") -> Path:
        cells = [value and {"bytes": value, "path": "x.png"} for value in images]
        kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        table = pyarrow.table({image: pyarrow.array(cells, kind), label: labels})
        if names:
            features = {image: {"_type": "Image"}, label: {"_type": "ClassLabel", "names": names}}
            metadata = json.dumps({"info": {"features": features}})
            table = table.replace_schema_metadata({"huggingface": metadata})
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, path, row_group_size=2)
        return path

    return make
