"""Sets of real images: balanced, within their byte budget, redrawn; JPEG files and quality."""

from dataclasses import replace
from itertools import takewhile

import pytest
import torch

from hmnpack.evaluation import TrainingSet, from_jpeg, jpeg, jpeg_real, random_real
from hmnpack.evaluation.bench import Bench
from hmnpack.evaluation.jpeg import scan_bytes
from hmnpack.evaluation.quality import QUALITIES, Quality, choose_quality
from hmnpack.runtime.progress import no_progress
from hmnpack.runtime.seeds import stream
from hmnpack.schema.manifest import Normalisation

CLASSES = ("dark", "middle", "light")


def test_random_real_images_are_balanced_and_redrawn(split):
    train = split(5, 3)
    first = random_real(train, CLASSES, 2, stream(0, "a"))
    other = random_real(train, CLASSES, 2, stream(0, "b"))
    assert torch.bincount(first.labels).tolist() == [2, 2, 2]
    assert not torch.equal(first.images, other.images)
    assert len(random_real(train, CLASSES, 99, stream(0)).labels) == 15


def test_random_real_images_with_unequal_counts_use_all_of_a_smaller_class(split):
    made = random_real(split(5, 3), CLASSES, (1, 9, 3), stream(0, "a"))
    assert made.labels.tolist() == [0, 1, 1, 1, 1, 1, 2, 2, 2]
    assert len({bytes(image.numpy()) for image in made.images}) == 9


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_files_fill_the_budget(split, channels):
    train = split(9, 4, channels=channels)
    made = jpeg_real(train, CLASSES, 1000, 75, stream(0, "jpeg"))
    counts = torch.bincount(made.labels)
    assert int(counts.min()) == int(counts.max())
    assert made.images.shape[1:] == (channels, 16, 16)
    assert made.images.dtype == torch.uint8
    more = jpeg_real(train, CLASSES, 10**9, 75, stream(0, "jpeg"))
    assert len(more.labels) == 27
    torch.testing.assert_close(more.images[: len(made.labels)], made.images)
    each = more.bytes / 27
    assert 1000 - 4 * each < made.bytes <= 1000
    assert len(jpeg_real(train, CLASSES, 50, 75, stream(0)).labels) == 0


def test_jpeg_round_trip_is_close(split):
    image = split(1, 5).images[0]
    slope = torch.arange(16).view(1, 1, 16).expand(3, 16, 16).to(torch.uint8) * 8
    difference = from_jpeg(jpeg(slope, 95)).int() - slope.int()
    assert int(difference.abs().max()) <= 6
    assert len(jpeg(image, 30)) < len(jpeg(image, 90))


@pytest.mark.parametrize(("shape", "quality"), [((1, 8, 8), 10), ((3, 16, 24), 51)])
def test_scan_bytes_excludes_shared_tables(shape, quality):
    """The bytes that follow the longest prefix common to all files."""
    pixels = torch.randint(256, (20, *shape), generator=stream(0), dtype=torch.uint8)
    files = [jpeg(image, quality) for image in pixels]
    columns = zip(*files, strict=False)
    common = len(list(takewhile(lambda column: len(set(column)) == 1, columns)))
    assert common > 300
    assert {common + scan_bytes(file) for file in files} == {len(file) for file in files}


def test_scan_bytes_ignores_markers_inside_tables():
    """Bytes by hand: start, a segment of 6 with FF DA in it, a scan segment of 4, 5 more."""
    file = b"\xff\xd8\xff\xdb\x00\x06\xff\xda\x00\x02\xff\xda\x00\x04\x01\x0212\x00\xff\xd9"
    assert scan_bytes(file) == 5


class TestQuality:
    @pytest.fixture
    def bench(self, source, config):
        test = TrainingSet(source.test.images, source.test.labels, 1)
        same = Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)
        return Bench(config, same, 3, source.image, test, torch.device("cpu"), no_progress)

    @pytest.fixture
    def trials(self, monkeypatch):
        """Record every trial (its bench and images); accuracies come from a table."""
        seen = []
        worth = {5: 30.0, 10: 40.0, 20: 60.0, 30: 70.0, 50: 70.0, 75: 50.0}

        def train_row(bench, row, sets):
            (images,) = sets
            seen.append((bench, images))
            return [worth[int(row.split()[-1])]]

        monkeypatch.setattr("hmnpack.evaluation.quality.train_row", train_row)
        return seen

    def test_first_of_the_best_is_selected(self, bench, source, trials):
        chosen = choose_quality(bench, source, 20_000)
        assert (chosen.value, chosen.held_out) == (30, 6)
        assert tuple(chosen.accuracies) == QUALITIES

    def test_trials_use_held_out_images(self, bench, source, trials):
        choose_quality(bench, source, 10**9)
        tests = [trial.test for trial, _ in trials]
        assert all(torch.equal(tests[0].images[:], other.images[:]) for other in tests)
        held_out = {image.numpy().tobytes() for image in tests[0].images[:]}
        train = [image.numpy().tobytes() for image in source.train.images]
        assert torch.bincount(tests[0].labels).tolist() == [2, 2, 2]
        assert held_out <= set(train)
        assert held_out.isdisjoint(image.numpy().tobytes() for image in source.test.images)
        # All other images are used for training if the budget holds them, class by class in turn.
        for _, images in trials:
            assert len(images.labels) == len(train) - len(held_out)

    def test_coarser_qualities_extend_the_same_images(self, bench, source, trials):
        choose_quality(bench, source, 2_000)
        labels = [images.labels for _, images in trials]
        assert len(labels[0]) > len(labels[-1])
        assert torch.equal(labels[0][: len(labels[-1])], labels[-1])

    @pytest.mark.parametrize(
        ("epochs", "min_steps", "expected"),
        [
            (8, 0, 8),  # no more than the row has
            (300, 1000, 72),  # 7 steps per epoch: 500 steps
            (2000, 0, 200),  # a tenth
            (0, 0, 0),
        ],
    )
    def test_trials_are_short(self, bench, source, trials, epochs, min_steps, expected):
        train = bench.config.train.model_copy(update={"epochs": epochs})
        config = bench.config.model_copy(update={"train": train, "min_steps": min_steps})
        choose_quality(replace(bench, config=config), source, 10**9)
        assert {len(images.labels) for _, images in trials} == {54}
        assert {trial.config.train.epochs for trial, _ in trials} == {expected}
        assert {trial.config.min_steps for trial, _ in trials} == {0}

    def test_default_without_held_out_images_or_budget(self, bench, source, split, trials):
        few = replace(source, train=split(9, 1))
        assert choose_quality(bench, few, 10**9) == Quality(75, 0, {})
        assert choose_quality(bench, source, 20) == Quality(75, 0, {})
        assert trials == []
