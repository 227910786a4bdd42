import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from hmnpack.matching import RealData
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import MATCHING_AUGMENTATIONS, NetworkConfig, PoolConfig, TrainConfig
from hmnpack.schema.manifest import Normalisation


@pytest.fixture
def real():
    """Three classes of unequal size, in random order: noise around one colour each."""
    generator = stream(0, "test data")
    labels = torch.tensor([0] * 20 + [1] * 13 + [2] * 9)
    labels = labels[torch.randperm(len(labels), generator=generator)]
    colours = torch.tensor([[200, 60, 60], [60, 200, 60], [60, 60, 200]])
    noise = torch.randint(-50, 50, (len(labels), 3, 16, 16), generator=generator)
    images = (colours[labels][:, :, None, None] + noise).to(torch.uint8)
    normalisation = Normalisation(mean=(0.4, 0.4, 0.4), std=(0.25, 0.25, 0.25))
    return RealData(images, labels, 3, normalisation, "test")


@pytest.fixture
def pool_config():
    train = TrainConfig(epochs=2, batch=8, augment=MATCHING_AUGMENTATIONS, precision="float32")
    return PoolConfig(size=2, network=NetworkConfig(width=4, depth=2), train=train, min_steps=0)


@pytest.fixture(scope="session")
def literal():
    """The reference implementation of gradient matching in ``literal.py``."""
    path = Path(__file__).with_name("literal.py")
    spec = importlib.util.spec_from_file_location("literal", path)
    module = sys.modules["literal"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
