"""Algorithm 1: which betas are trained, how the best is chosen, stopping, sharing by ranks."""

import pytest
import torch

from hmnpack.errors import Paused
from hmnpack.pruning import Search, Trainings, best_beta, margins_of
from hmnpack.ranks import World


@pytest.fixture
def search(shades, config):
    """The function that makes a search among 8 images of a class for 6, k = 2."""
    images = shades()
    areas = margins_of(images, config, 0, Trainings())
    return lambda chosen=config: Search(images, areas, 6, shades(5, seed=9), chosen, 0)


def judged(scores):
    """Return trainings that are all done: hardest dropped -> the accuracy of each network."""
    names = {f"beta/{n}/{i}": a for n, pair in scores.items() for i, a in enumerate(pair)}
    return Trainings(done={name: torch.tensor(a).double() for name, a in names.items()})


def test_the_best_beta_is_that_of_the_highest_mean(search, changed):
    given = search(changed(networks=2, betas=(0.0, 0.5, 1.0)))
    trainings = judged({0: (50.0, 60.0), 1: (71.0, 51.0), 2: (20.0, 99.0)})
    beta, scores = best_beta(given, trainings)
    assert beta == 0.5
    assert [score.beta for score in scores] == [0.0, 0.5, 1.0]
    assert scores[2].accuracies == (20.0, 99.0)


def test_of_equally_good_ones_the_first_is_taken(search):
    """Line 10: only what is better replaces the best; and 0.5 and 0.6 of 2 are one set."""
    beta, scores = best_beta(search(), judged({0: (50.0,), 1: (60.0,), 2: (60.0,)}))
    assert beta == 0.5
    assert [score.accuracies for score in scores] == [(50.0,), (60.0,), (60.0,), (60.0,)]


def test_every_set_is_trained_once_and_tested_on_the_real_images(search, changed, monkeypatch):
    trained, tested = [], []

    def train(network, pixels, labels, config, *, name, **given):
        trained.append((name, len(labels)))

    def accuracy(network, pixels, labels, **given):
        tested.append(len(labels))
        return 10.0 * len(tested)

    monkeypatch.setattr("hmnpack.pruning.search.train", train)
    monkeypatch.setattr("hmnpack.pruning.search.accuracy", accuracy)
    beta, scores = best_beta(search(changed(networks=2)), Trainings())
    assert trained == [("prune/0", 18), ("prune/1", 18)] * 3
    assert tested == [15] * 6
    assert beta == 1.0
    assert [score.accuracies for score in scores][1] == (30.0, 40.0)


def test_a_beta_leaves_what_it_does_not_drop(search):
    given = search()
    order = given.margins.view(3, 8).argsort(1) + 8 * torch.arange(3)[:, None]
    for beta, first in ((0.0, 0), (0.5, 1), (1.0, 2)):
        left = given.left_by(beta)
        expected = given.images.pixels[order[:, first : first + 6].flatten()]
        assert left.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6
        assert torch.equal(left.pixels.sort(0).values, expected.sort(0).values)


def test_stopped_after_any_training_it_goes_on(search):
    whole = best_beta(search(), Trainings())
    done, stops = {}, 0

    def check():
        raise Paused("stop")

    given, found = search(), None
    while found is None:
        try:
            found = best_beta(given, Trainings(done=done, check=check))
        except Paused:
            stops += 1
    assert found == whole
    assert stops == 3


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_share_the_trainings(size):
    """Each rank has its turn; the sums are what all ranks would have been given."""
    sums, ran, names = {}, [], [str(index) for index in range(7)]

    class Turn(World):
        def add(self, tensors):
            (tensor,) = tensors
            number = len(rounds)
            rounds.append(tensor)
            sums[number] = sums.get(number, 0) + tensor

    def train(name, listener):
        ran.append(name)
        return torch.tensor(float(name))

    for rank in range(size):
        rounds = []
        Trainings(world=Turn(rank, size)).run("t", names, train, torch.zeros(()))
    assert sorted(ran) == names
    assert torch.cat(list(sums.values())).tolist() == list(range(7))


def test_what_ranks_do_at_a_time_counts_together():
    heard = []

    class Quiet(World):
        def add(self, tensors):
            pass

    def train(name, listener):
        for done in (1, 2):
            listener("own", done, 2)
        return torch.zeros(())

    def listener(stage, done, total, **facts):
        heard.append((stage, done, total))

    Trainings(world=Quiet(0, 2), listener=listener).run("t", list("abc"), train, torch.zeros(()))
    assert heard == [("t", 2, 6), ("t", 4, 6), ("t", 5, 6), ("t", 6, 6)]


def test_the_listener_hears_one_stage_and_the_accuracies(search):
    heard = []
    trainings = Trainings(
        listener=lambda stage, done, total, **facts: heard.append((stage, done, total, facts))
    )
    _, scores = best_beta(search(), trainings)
    assert {(stage, total) for stage, _, total, _ in heard} == {("pruning", 9)}
    assert [done for _, done, _, _ in heard] == list(range(1, 10))
    said = [facts["accuracy"] for _, _, _, facts in heard if "accuracy" in facts]
    assert said == [scores[index].accuracies[0] for index in (0, 1, 3)]
