"""The protocols, literally, and the order of the classes."""

import numpy as np
import pytest

from hmnpack.continual import CONTINUAL, stages_of_classes
from hmnpack.errors import BadSettings

SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.0005, "schedule": "constant"}
IDC = {"epochs": 1000, "batch": 64, "cutmix": 0.5} | SGD
DM = {"epochs": 1001, "batch": 256, "cutmix": 0.0} | SGD
FIGURE4 = ["flip", "brightness", "saturation", "contrast", "crop", "scale", "rotate"]
KEPT = {"keeps_network": True, "distillation": 1.0, "temperature": 2.0, "drops": [600, 800]}
FRESH = {"keeps_network": False, "distillation": 0.0, "drops": [502], "drop": 0.1, "networks": 3}

LITERAL = {
    "paper": KEPT | {"stages": 5, "ipc": 1, "order": "given", "drop": 0.2, "seeds": 3},
    "idc": KEPT | {"stages": 5, "ipc": 20, "order": "permuted", "is_sorted": True, "order_seed": 0},
    "dm-5": FRESH | {"stages": 5, "ipc": 20, "order": "permuted", "order_seed": None, "seeds": 5},
    "dm-10": FRESH | {"stages": 10, "ipc": 20, "order": "permuted", "is_sorted": False},
}


@pytest.mark.parametrize("name", CONTINUAL)
def test_protocol_is_literally_that_of_its_paper(name):
    found = CONTINUAL[name].model_dump(mode="json")
    train = found.pop("train")
    assert {key: found[key] for key in LITERAL[name]} == LITERAL[name]
    assert (found["protocol"], found["network"]["width"], found["network"]["depth"]) == (
        name,
        128,
        3,
    )
    expected = DM if name.startswith("dm") else IDC
    assert {key: train[key] for key in expected} == expected
    assert train["augment"] == FIGURE4 + (["cutout"] if name.startswith("dm") else [])


def test_rate_drops_at_the_epochs_of_the_papers():
    rates = [CONTINUAL["paper"].rate(epoch) for epoch in (0, 599, 600, 799, 800, 999)]
    assert rates == pytest.approx([0.01, 0.01, 0.002, 0.002, 0.0004, 0.0004])
    assert [CONTINUAL["dm-5"].rate(epoch) for epoch in (501, 502)] == pytest.approx([0.01, 0.001])


def test_order_is_that_of_numpy():
    order = np.random.RandomState(3).permutation(100)
    assert stages_of_classes(CONTINUAL["dm-10"], 100, 3) == order.reshape(10, 10).tolist()
    first = np.random.RandomState(0).permutation(100)[:20]
    for seed in (0, 1):
        assert stages_of_classes(CONTINUAL["idc"], 100, seed)[0] == sorted(first.tolist())


@pytest.mark.parametrize(("name", "classes"), [("paper", 12), ("paper", 5), ("dm-10", 10)])
def test_classes_that_cannot_be_divided_are_refused(name, classes):
    with pytest.raises(BadSettings, match=f"{classes} classes cannot be divided into"):
        stages_of_classes(CONTINUAL[name], classes, 0)
