import torch

from hmnpack.matching.distances import spread
from hmnpack.matching.means import MeanDistance

mean_distance = MeanDistance()


def test_distance_of_equal_means_is_zero():
    features = torch.randn(4, 3, 7, generator=torch.Generator().manual_seed(0))
    assert mean_distance(features, features) == 0
    assert mean_distance(features.mean(1, keepdim=True), features) == 0


def test_distance_matches_hand_count():
    real = torch.tensor([[[2.0, 2.0], [0.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]])
    synthetic = torch.tensor([[[0.0, 4.0]], [[3.0, 0.0]]])
    assert mean_distance(real, synthetic) == 1 + 4 + 9
    assert mean_distance(real, synthetic, torch.tensor([5.0, 3.0])) == 1 + 3


def test_spread_matches_hand_count():
    assert spread(torch.tensor([[0.0, 0.0], [2.0, 4.0]]), mean_distance) == 2 * (1 + 4)


def test_spread_of_one_class_is_zero():
    assert spread(torch.tensor([[3.0, 1.0]]), mean_distance) == 0


def test_relative_distance_is_invariant_to_scale_and_shift():
    generator = torch.Generator().manual_seed(1)
    real, synthetic = torch.randn(2, 5, 4, 6, generator=generator, dtype=torch.float64)
    before = mean_distance(real, synthetic) / spread(real.mean(1), mean_distance)
    real, synthetic = (7 * features + 3 for features in (real, synthetic))
    after = mean_distance(real, synthetic) / spread(real.mean(1), mean_distance)
    torch.testing.assert_close(after, before)
