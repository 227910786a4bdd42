"""Small bundles, and fixtures for all tests."""

import signal
from collections.abc import Callable

import pytest
import torch

from hmnpack.bundle import Bundle, data_sha256
from hmnpack.container.stored import as_stored
from hmnpack.schema.container import (
    ContainerSpec,
    HallucinatorSpec,
    HmnSpec,
    ImageShape,
    ImagesSpec,
    LinearBasisSpec,
    MultiFormationSpec,
)
from hmnpack.schema.manifest import Budget, Manifest, Normalisation, Provenance, SourceFacts

MakeBundle = Callable[..., Bundle]


@pytest.fixture(autouse=True)
def _no_terminal_width(monkeypatch):
    """Wrap lines as in a pipe: pytest's parallel workers set COLUMNS to 80."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True, scope="session")
def _signals_end_commands():
    """Let commands that tests start be interrupted, also under ``nohup`` or in the background."""
    for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Use an empty cache, not the user's or one of an older version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMNPACK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _float32_precision():
    """Let precision "auto" be float32, as the expected values are, even if bfloat16 is fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hmnpack.runtime.devices.multiplies_bfloat16", lambda device: False)
        yield


def hmn_spec(**changes: object) -> HmnSpec:
    sizes = {
        "classes": 2,
        "instances": 3,
        "image": ImageShape(channels=3, height=16, width=16),
        "grid": 4,
        "dataset_channels": 3,
        "class_channels": 2,
        "instance_channels": 1,
        "extractor_channels": 4,
        "decoder_channels": (5,),
        "activation": "gelu",
    }
    return HmnSpec.model_validate(sizes | changes)


def images_spec(**changes: object) -> ImagesSpec:
    sizes = {
        "classes": 2,
        "instances": 2,
        "image": ImageShape(channels=1, height=2, width=3),
    }
    return ImagesSpec.model_validate(sizes | changes)


def multi_formation_spec(**changes: object) -> MultiFormationSpec:
    sizes = {
        "classes": 2,
        "instances": 8,
        "image": ImageShape(channels=3, height=7, width=6),
        "factor": 2,
    }
    return MultiFormationSpec.model_validate(sizes | changes)


def linear_basis_spec(**changes: object) -> LinearBasisSpec:
    sizes = {
        "classes": 2,
        "instances": 3,
        "image": ImageShape(channels=3, height=7, width=6),
        "bases": 4,
    }
    return LinearBasisSpec.model_validate(sizes | changes)


def hallucinator_spec(**changes: object) -> HallucinatorSpec:
    sizes = {
        "classes": 2,
        "instances": 4,
        "image": ImageShape(channels=3, height=7, width=6),
        "hallucinators": 2,
        "basis_channels": 3,
    }
    return HallucinatorSpec.model_validate(sizes | changes)


def make_bundle(spec: ContainerSpec, draw_seed: int = 0, **facts: object) -> Bundle:
    generator = torch.Generator().manual_seed(draw_seed)
    draw = torch.rand if isinstance(spec, ImagesSpec) else torch.randn
    # Small enough for decoded values around 1, so that absolute tolerances are meaningful.
    scale = 1.0 if isinstance(spec, ImagesSpec) else 0.4
    rows = spec.ledger().rows
    drawn = {row.name: draw(row.shape, generator=generator) * scale for row in rows}
    tensors = as_stored(spec, drawn)
    share = spec.classes * spec.image.elements
    ipc = -(-spec.ledger().floats // share)
    names = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibex", "jay", "koi", "lynx")
    defaults = {
        "source": SourceFacts(
            name="made up", fingerprint="0" * 64, train_images=10, held_out=1, skipped={}
        ),
        "classes": names[: spec.classes],
        "normalisation": Normalisation(
            mean=(0.5,) * spec.image.channels, std=(0.25,) * spec.image.channels
        ),
        "container": spec,
        "ledger": spec.ledger(),
        "budget": Budget(ipc=ipc, floats=ipc * share, bytes=4 * ipc * share),
        "provenance": Provenance(
            hmnpack="0.1.0", torch="2.8.0", device="cpu", real_images_used_to_start=False
        ),
        "data_sha256": data_sha256(tensors),
    }
    return Bundle(Manifest.model_validate(defaults | facts), tensors)


@pytest.fixture
def bundle_of() -> MakeBundle:
    """Function that makes a bundle with random tensors for a specification."""
    return make_bundle


@pytest.fixture
def hmn_bundle() -> Bundle:
    return make_bundle(hmn_spec())


@pytest.fixture
def images_bundle() -> Bundle:
    return make_bundle(images_spec())


@pytest.fixture
def hmn() -> Callable[..., HmnSpec]:
    """Function that makes a small HMN specification, with changes by name."""
    return hmn_spec


@pytest.fixture
def images() -> Callable[..., ImagesSpec]:
    """Function that makes a small specification of stored images, with changes by name."""
    return images_spec


@pytest.fixture
def multi_formation() -> Callable[..., MultiFormationSpec]:
    """Function that makes a small specification of canvases, with changes by name."""
    return multi_formation_spec


@pytest.fixture
def linear_basis() -> Callable[..., LinearBasisSpec]:
    """Function that makes a small specification of a linear basis, with changes by name."""
    return linear_basis_spec


@pytest.fixture
def hallucinator() -> Callable[..., HallucinatorSpec]:
    """Function that makes a small specification of hallucinators, with changes by name."""
    return hallucinator_spec


@pytest.fixture
def image_shape() -> Callable[[int, int, int], ImageShape]:
    """Function that makes an image shape from channels, height and width."""
    return lambda channels, height, width: ImageShape(channels=channels, height=height, width=width)
