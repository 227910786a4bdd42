"""Algorithm 1: which betas are trained, how the best is chosen, stopping, sharing by ranks."""

import pytest
import torch

from hmnpack.errors import Paused
from hmnpack.pruning import Search, Trainings, best_beta, margins_of
from hmnpack.runtime.ranks import World

CPU = torch.device("cpu")


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

    def train(networks, sets, config, *, names, min_steps, **given):
        ((_, labels),) = sets
        trained.append((*names, len(labels), min_steps))

    def accuracies(networks, pixels, labels, **given):
        tested.append(len(labels))
        return [10.0 * len(tested)]

    monkeypatch.setattr("hmnpack.pruning.search.train_together", train)
    monkeypatch.setattr("hmnpack.pruning.search.accuracies", accuracies)
    beta, scores = best_beta(search(changed(networks=2, min_steps=14)), Trainings())
    assert trained == [("prune/0", 18, 14), ("prune/1", 18, 14)] * 3
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


@pytest.mark.slow
def test_at_once_they_come_to_the_same(search, changed):
    """Nine networks on three sets of images, also in groups that end in the midst of a set."""
    given = search(changed(networks=3, betas=(0.0, 0.5, 1.0)))
    one = best_beta(given, Trainings())
    for at_once in (2, 9):
        assert best_beta(given, Trainings(at_once=at_once)) == one
    assert len({score.accuracies for score in one[1]}) > 1


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_share_the_trainings(size, at_once):
    """Each rank has its turn; the sums are what all ranks would have been given."""
    sums, ran, names, most = {}, [], [str(index) for index in range(7)], []

    class Turn(World):
        def wait(self):
            pass

        def add(self, tensors):
            (tensor,) = tensors
            number = len(rounds)
            rounds.append(tensor)
            sums[number] = sums.get(number, 0) + tensor

    def train(names, listener):
        ran.extend(names)
        most.append(len(names))
        return torch.tensor([float(name) for name in names])

    for rank in range(size):
        rounds = []
        trainings = Trainings(world=Turn(rank, size), at_once=at_once)
        trainings.run("t", names, train, torch.zeros(()), CPU)
    assert sorted(ran) == names
    assert max(most) == at_once
    assert torch.cat(list(sums.values())).tolist() == list(range(7))


def test_what_ranks_do_at_a_time_counts_together():
    heard = []

    class Quiet(World):
        def wait(self):
            pass

        def add(self, tensors):
            pass

    def train(names, listener):
        for done in (1, 2):
            listener("own", len(names) * done, len(names) * 2)
        return torch.zeros(len(names))

    def listener(stage, done, total, **facts):
        heard.append((stage, done, total))

    def run(names, **given):
        trainings = Trainings(world=Quiet(0, 2), listener=listener, **given)
        trainings.run("t", list(names), train, torch.zeros(()), CPU)

    run("abc")
    assert heard == [("t", 2, 6), ("t", 4, 6), ("t", 5, 6), ("t", 6, 6)]
    heard.clear()
    run("abcdefg", at_once=2)
    assert heard == [("t", 4, 14), ("t", 8, 14), ("t", 11, 14), ("t", 14, 14)]


def test_what_the_memory_does_not_take_is_done_in_halves():
    heard, tried = [], []

    def train(names, listener):
        tried.append("".join(names))
        if len(names) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        listener("own", len(names), len(names))
        return torch.tensor([float(ord(name)) for name in names])

    trainings = Trainings(at_once=5, listener=lambda *a, **facts: heard.append(a[1:]))
    found = trainings.run("t", list("abcde"), train, torch.zeros(()), CPU)
    assert tried == ["abcde", "ab", "cde", "c", "de"]
    assert {name: chr(int(value)) for name, value in found.items()} == {n: n for n in "abcde"}
    assert heard == [(2, 5), (3, 5), (5, 5)]


@pytest.mark.parametrize(("kind", "expected"), [("cpu", [1, 1, 1]), ("meta", [3])])
def test_left_open_it_is_one_on_a_processor_and_all_elsewhere(kind, expected):
    sizes = []

    def train(names, listener):
        sizes.append(len(names))
        return torch.zeros(len(names))

    Trainings().run("t", list("abc"), train, torch.zeros(()), torch.device(kind))
    assert sizes == expected


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
