"""Algorithm 1: trained betas, selection of the best, resuming, sharing among ranks."""

import pytest
import torch

from hmnpack.errors import Paused
from hmnpack.pruning import Search, Trainings, best_beta, margins_of
from hmnpack.runtime.ranks import World

CPU = torch.device("cpu")


@pytest.fixture
def search(shades, config):
    """Return a function that makes a search to retain 6 of 8 images per class, k = 2."""
    images = shades()
    areas = margins_of(images, config, 0, Trainings())
    return lambda chosen=config: Search(images, areas, 6, shades(5, seed=9), chosen, 0)


def finished(scores):
    """Return finished trainings: hardest dropped -> accuracy of each network."""
    names = {f"beta/{n}/{i}": a for n, pair in scores.items() for i, a in enumerate(pair)}
    return Trainings(done={name: torch.tensor(a).double() for name, a in names.items()})


def test_best_beta_has_the_highest_mean(search, changed):
    given = search(changed(networks=2, betas=(0.0, 0.5, 1.0)))
    trainings = finished({0: (50.0, 60.0), 1: (71.0, 51.0), 2: (20.0, 99.0)})
    beta, scores = best_beta(given, trainings)
    assert beta == 0.5
    assert [score.beta for score in scores] == [0.0, 0.5, 1.0]
    assert scores[2].accuracies == (20.0, 99.0)


def test_first_of_equally_good_betas_is_selected(search):
    """Line 10: only a higher mean replaces the best; 0.5 and 0.6 of 2 leave the same images."""
    beta, scores = best_beta(search(), finished({0: (50.0,), 1: (60.0,), 2: (60.0,)}))
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


def test_remaining_images_of_a_beta(search):
    given = search()
    order = given.margins.view(3, 8).argsort(1) + 8 * torch.arange(3)[:, None]
    for beta, first in ((0.0, 0), (0.5, 1), (1.0, 2)):
        left = given.left_by(beta)
        expected = given.images.pixels[order[:, first : first + 6].flatten()]
        assert left.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6
        assert torch.equal(left.pixels.sort(0).values, expected.sort(0).values)


def test_search_resumes_after_any_training(search):
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
def test_batched_training_gives_the_same_scores(search, changed):
    """Nine networks on three sets of images, in batches that may end within a set."""
    given = search(changed(networks=3, betas=(0.0, 0.5, 1.0)))
    one = best_beta(given, Trainings())
    for at_once in (2, 9):
        assert best_beta(given, Trainings(at_once=at_once)) == one
    assert len({score.accuracies for score in one[1]}) > 1


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_share_the_trainings(size, at_once):
    """Ranks run one after the other; the sums are what all ranks would receive."""
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


def test_progress_counts_the_trainings_of_all_ranks():
    calls = []

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
        calls.append((stage, done, total))

    def run(names, **given):
        trainings = Trainings(world=Quiet(0, 2), listener=listener, **given)
        trainings.run("t", list(names), train, torch.zeros(()), CPU)

    run("abc")
    assert calls == [("t", 2, 6), ("t", 4, 6), ("t", 5, 6), ("t", 6, 6)]
    calls.clear()
    run("abcdefg", at_once=2)
    assert calls == [("t", 4, 14), ("t", 8, 14), ("t", 11, 14), ("t", 14, 14)]


def test_batch_is_halved_when_memory_is_exhausted():
    calls, tried = [], []

    def train(names, listener):
        tried.append("".join(names))
        if len(names) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        listener("own", len(names), len(names))
        return torch.tensor([float(ord(name)) for name in names])

    trainings = Trainings(at_once=5, listener=lambda *a, **facts: calls.append(a[1:]))
    found = trainings.run("t", list("abcde"), train, torch.zeros(()), CPU)
    assert tried == ["abcde", "ab", "cde", "c", "de"]
    assert {name: chr(int(value)) for name, value in found.items()} == {n: n for n in "abcde"}
    assert calls == [(2, 5), (3, 5), (5, 5)]


@pytest.mark.parametrize(("kind", "expected"), [("cpu", [1, 1, 1]), ("meta", [3])])
def test_default_batch_is_one_on_a_cpu_and_all_elsewhere(kind, expected):
    sizes = []

    def train(names, listener):
        sizes.append(len(names))
        return torch.zeros(len(names))

    Trainings().run("t", list("abc"), train, torch.zeros(()), torch.device(kind))
    assert sizes == expected


def test_listener_is_called_with_one_stage_and_the_accuracies(search):
    calls = []
    trainings = Trainings(
        listener=lambda stage, done, total, **facts: calls.append((stage, done, total, facts))
    )
    _, scores = best_beta(search(), trainings)
    assert {(stage, total) for stage, _, total, _ in calls} == {("pruning", 9)}
    assert [done for _, done, _, _ in calls] == list(range(1, 10))
    reported = [facts["accuracy"] for _, _, _, facts in calls if "accuracy" in facts]
    assert reported == [scores[index].accuracies[0] for index in (0, 1, 3)]
