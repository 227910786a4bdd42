"""Files of the other containers with correct hashes, but sizes that break a rule."""

import pytest
import torch

from hmnpack.bundle.faults import BadManifest, BadSize, LedgerMismatch
from hmnpack.container import container_of, decode
from hmnpack.errors import BadBundle


@pytest.mark.parametrize(
    ("changes", "fault", "match"),
    [
        ({"factor": 0}, BadSize, r"multi-formation/1\.factor: Input should be greater"),
        ({"factor": 9}, BadSize, "less than or equal to 8"),
        ({"factor": 2.0}, BadManifest, "factor: Input should be a valid integer"),
        ({"instances": 6}, BadManifest, "instances 6 is not a multiple of the 4 images"),
        ({"instances": [4, 6]}, BadManifest, "instances 4 to 6 is not a multiple of the 4"),
        ({"factor": 5, "instances": 25}, BadManifest, "tiles without a pixel of a side of 7"),
        ({"factor": 1}, LedgerMismatch, "the ledger does not match"),
        ({"instances": 12}, LedgerMismatch, "the ledger does not match"),
        ({"tiles": 2}, BadManifest, r"tiles: Extra inputs"),
    ],
)
def test_sizes_of_a_multi_formation(
    forge, rejected, bundle_of, multi_formation, changes, fault, match
):
    data = bundle_of(multi_formation()).to_bytes()
    forged = forge(lambda _, manifest: manifest["container"].update(changes), data)
    rejected(forged, fault, match)


def test_missing_factor(forge, rejected, bundle_of, multi_formation):
    data = bundle_of(multi_formation()).to_bytes()
    forged = forge(lambda _, manifest: manifest["container"].pop("factor"), data)
    rejected(forged, BadManifest, r"factor: Field required")


@pytest.mark.parametrize(
    ("changes", "fault", "match"),
    [
        ({"bases": 0}, BadSize, r"linear-basis/1\.bases: Input should be greater"),
        ({"bases": 4097}, BadSize, "less than or equal to 4096"),
        ({"bases": "4"}, BadManifest, "bases: Input should be a valid integer"),
        ({"bases": 5}, LedgerMismatch, "the ledger does not match"),
        ({"instances": 4}, LedgerMismatch, "the ledger does not match"),
        ({"dtype": "F16"}, LedgerMismatch, "the ledger does not match"),
        (
            {"image": {"channels": 3, "height": 9, "width": 6}},
            LedgerMismatch,
            "the ledger does not match",
        ),
        ({"instances": 10_000_000}, LedgerMismatch, "the ledger does not match"),
        ({"scale": 2}, BadManifest, r"scale: Extra inputs"),
    ],
)
def test_sizes_of_a_linear_basis(forge, rejected, bundle_of, linear_basis, changes, fault, match):
    data = bundle_of(linear_basis()).to_bytes()
    forged = forge(lambda _, manifest: manifest["container"].update(changes), data)
    rejected(forged, fault, match)


@pytest.mark.parametrize(
    ("changes", "fault", "match"),
    [
        ({"hallucinators": 0}, BadSize, r"hallucinator/1\.hallucinators: Input should be greater"),
        ({"hallucinators": 1001}, BadSize, "less than or equal to 1000"),
        ({"hallucinators": 3}, BadManifest, "instances 4 is not a multiple of the 3 images"),
        ({"hallucinators": 4}, LedgerMismatch, "the ledger does not match"),
        ({"basis_channels": 0}, BadSize, "greater than or equal to 1"),
        ({"basis_channels": 2}, BadManifest, "bases of 2 channels for images of 3"),
        ({"basis_channels": 1}, LedgerMismatch, "the ledger does not match"),
        ({"image": {"channels": 3, "height": 2, "width": 6}}, BadManifest, "smaller than a kernel"),
        ({"kernel": 3}, BadManifest, r"kernel: Extra inputs"),
    ],
)
def test_sizes_of_hallucinators(forge, rejected, bundle_of, hallucinator, changes, fault, match):
    data = bundle_of(hallucinator()).to_bytes()
    forged = forge(lambda _, manifest: manifest["container"].update(changes), data)
    rejected(forged, fault, match)


def test_coefficients_that_overflow(bundle_of, linear_basis, tmp_path):
    """Finite floats whose products are infinite, of either sign, so that their sum is NaN."""
    spec = linear_basis()
    big = {row.name: torch.full(row.shape, 1e30) for row in spec.ledger().rows}
    big["coefficients"][:, 1] *= -1
    with pytest.raises(BadBundle, match="decode to infinite"):
        decode(container_of(spec, big))
