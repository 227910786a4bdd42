"""Files of the other containers with correct hashes, but sizes that break a rule."""

import pytest

from hmnpack.bundle.faults import BadManifest, BadSize, LedgerMismatch


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
