"""Batched computation of a network's features of real images."""

import torch

from hmnpack.matching import embedding as module
from hmnpack.matching import load_or_train_pool
from hmnpack.matching.embedding import last_block_features


def test_larger_images_use_smaller_batches(real, pool_config, tmp_path, monkeypatch):
    network = load_or_train_pool(real, pool_config, 0, tmp_path).trained(0)
    rows = torch.arange(len(real.labels))
    whole = last_block_features(network, real, rows)
    sizes = []
    seen = type(real).normalised

    def normalised(data, some):
        sizes.append(len(some))
        return seen(data, some)

    monkeypatch.setattr(type(real), "normalised", normalised)
    monkeypatch.setattr(module, "_BATCH", 10)
    for pixels, most in ((16 * 16 // 2, 5), (1, 1)):
        monkeypatch.setattr("hmnpack.training.loop._USUAL_PIXELS", pixels)
        sizes.clear()
        torch.testing.assert_close(last_block_features(network, real, rows), whole)
        assert max(sizes) == most
        assert sum(sizes) == len(rows)
