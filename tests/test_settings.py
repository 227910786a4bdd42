"""Recipe `paper` against values copied from the paper's appendix C.2 and from IDC's settings."""

import pytest
import torch

import hmnpack
import hmnpack.condensing.run
from hmnpack.errors import BadSettings
from hmnpack.registry import RECIPES
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import SourceFacts
from hmnpack.schema.nested import leaves, setting_names, whole
from hmnpack.schema.recipes import DataShape
from hmnpack.settings import (
    default_recipe,
    difference,
    merged,
    protocol_of,
    recipe_of,
    recorded_settings,
    settings_to_record,
)
from hmnpack.settings.recorded import KEYS
from hmnpack.sources import Source, SourceOptions, open_source
from hmnpack.sources.types import split_of


def shape(name="photos", classes=10, side=32, channels=3):
    image = ImageShape(channels=channels, height=side, width=side)
    return DataShape(name=name, classes=classes, image=image)


def paper(*sizes, **named):
    return recipe_of("paper", shape(*sizes, **named))


PAPERS = {
    # dataset: network, Adam's rate, distance, training images, initial epochs, CutMix
    ("cifar10", 10, 32): ("convnet", 0.01, "mse", 2000, 0, 0.5),
    ("cifar100", 100, 32): ("convnet", 0.02, "l1", 2000, 0, 0.5),
    ("svhn", 10, 32): ("convnet", 0.01, "mse", 500, 0, 0.5),
    ("tiny-imagenet", 200, 64): ("convnet", 0.01, "l1", 500, 0, 0.5),
    ("imagenet-10", 10, 224): ("resnet-ap", 0.01, "l1", 500, 10, 1.0),
}


def dataset_settings(config):
    gradient = config.gradient
    first, cutmix = gradient.train.epochs, gradient.train.cutmix
    rate, distance = gradient.lr, gradient.distance
    return (gradient.network.name, rate, distance, gradient.train_images, first, cutmix)


@pytest.mark.parametrize(("data", "expected"), PAPERS.items(), ids=lambda case: str(case[0]))
def test_paper_has_the_settings_of_each_dataset(data, expected):
    assert dataset_settings(paper(*data)) == expected


@pytest.mark.parametrize("data", PAPERS, ids=lambda case: case[0])
def test_paper_has_the_shared_settings(data):
    config = paper(*data)
    gradient, train = config.gradient, config.gradient.train
    assert config.recipe == "paper"
    assert (gradient.networks, gradient.inner_steps, gradient.steps) == (1000, 200, 200_000)
    assert (gradient.real_batch, gradient.synthetic_batch) == (64, 128)
    assert gradient.augment == ("brightness", "saturation", "contrast", "crop", "cutout")
    assert (train.lr, train.momentum, train.weight_decay) == (0.01, 0.9, 0.0005)
    assert (train.batch, train.schedule) == (64, "constant")
    assert train.augment == ("brightness", "saturation", "contrast", "crop")
    assert (config.match.steps, config.warmup.images) == (0, "random")
    assert config.pool.network == gradient.network


@pytest.mark.parametrize("side", [32, 64])
def test_paper_convnet_has_three_layers_of_128(side):
    network = paper(side=side, classes=200).gradient.network
    assert (network.name, network.width, network.depth) == ("convnet", 128, 3)


def test_paper_without_data_is_for_cifar10():
    assert recipe_of("paper") == RECIPES["paper"] == paper("cifar10", 10, 32)


@pytest.mark.parametrize("name", ["svhn", "SVHN", "hf:ufldl-stanford/svhn"])
def test_paper_recognises_svhn_by_name(name):
    assert paper(name, 10, 32).gradient.train_images == 500
    assert paper("photos", 10, 32) == paper("cifar10", 10, 32)


@pytest.mark.parametrize(("name", "side"), [("mnist", 28), ("fashion-mnist", 28), ("digits", 8)])
def test_paper_uses_mnist_settings_for_greyscale(name, side):
    config = paper(name, 10, side, channels=1)
    assert dataset_settings(config) == ("convnet", 0.01, "l1", 500, 0, 0.5)


@pytest.mark.parametrize(
    ("classes", "side", "nearest"),
    [
        (3, 48, "cifar10"),
        (20, 64, "cifar10"),
        (40, 32, "cifar100"),
        (150, 96, "tiny-imagenet"),
        (1000, 64, "tiny-imagenet"),
        (10, 96, "imagenet-10"),
        (10, 128, "imagenet-10"),
        (2, 512, "imagenet-10"),
    ],
)
def test_paper_uses_the_nearest_settings_for_other_data(classes, side, nearest):
    expected = next(settings for data, settings in PAPERS.items() if data[0] == nearest)
    assert dataset_settings(paper("photos", classes, side)) == expected


def test_default_recipe_depends_on_the_device():
    assert [default_recipe(device) for device in ("cpu", "cuda", "mps")] == ["fast", "best", "best"]
    assert {"fast", "best"} <= set(RECIPES)


@pytest.mark.parametrize(
    ("classes", "side", "patch", "steps", "views"),
    # 10 classes of 64 pixels cost (1 + 0.16 * 4) / 1.16 = 1.41 times as much as of 32: less than 2.
    [
        (10, 8, 1, 2300, 120),
        (10, 32, 1, 2300, 120),
        (10, 64, 2, 2300, 120),
        (100, 32, 1, 460, 58),
        (10, 128, 4, 1499, 120),
        (200, 224, 7, 200, 25),
        (10, 600, 16, 200, 25),
    ],
)
def test_fast_fits_side_and_classes_to_the_time(classes, side, patch, steps, views):
    config = recipe_of("fast", shape(side=side, classes=classes))
    assert config.pool.network.patch == patch
    assert (config.match.steps, config.match.views) == (steps, views)


@pytest.mark.parametrize("side", [600, 4096])
def test_fast_is_valid_for_large_images(side):
    config = recipe_of("fast", shape(side=side))
    assert merged(config, {"seed": 1}).pool == config.pool


@pytest.mark.parametrize("name", ["haba", "linba"])
def test_containers_of_others_have_the_objective_of_fast(name):
    data = shape(side=128, classes=100)
    ours, theirs = recipe_of("fast", data), recipe_of(name, data)
    kept = {"recipe": ours.recipe, "container": ours.container}
    assert theirs.model_copy(update=kept) == ours
    assert theirs.container.kind != ours.container.kind


@pytest.mark.parametrize("name", ["smoke", "best"])
def test_other_recipes_do_not_depend_on_the_data(name):
    assert recipe_of(name, shape(side=224)) == recipe_of(name)


@pytest.mark.parametrize("data", [None, shape()])
def test_unknown_recipe_is_rejected_with_suggestions(data):
    with pytest.raises(BadSettings, match="paper"):
        recipe_of("papre", data)


def test_source_shape_of_digits():
    pytest.importorskip("sklearn")
    assert open_source("digits").shape == shape("digits", 10, 8, 1)


class TestRecorded:
    """Settings recorded in a manifest and read back."""

    DATA = shape("digits", 10, 8, 1)

    def roundtrip(self, bundle_of, images, config, data=DATA):
        written = settings_to_record(config, data)
        keys = {name: getattr(config, name) for name in KEYS}
        spec = images(classes=data.classes, image=data.image)
        source = SourceFacts(
            name=data.name, fingerprint="0" * 64, train_images=9, held_out=0, skipped={}
        )
        manifest = bundle_of(spec, config=written, source=source, **keys).manifest
        return written, recorded_settings(manifest)

    @pytest.mark.parametrize("name", ["smoke", "fast", "best", "paper"])
    def test_unchanged_recipe_records_nothing(self, bundle_of, images, name):
        config = merged(recipe_of(name, self.DATA), {"seed": 5, "holdout": 0.5})
        assert self.roundtrip(bundle_of, images, config) == (None, config)

    def test_differences_are_recorded(self, bundle_of, images):
        changes = {
            "pool": {"network": {"width": 32}, "train": {"augment": []}},
            "match": {"steps": 400, "lr": 1.0},
            "prune": {"strategy": "double-end", "beta": 0.5, "betas": [0.0, 1.0]},
        }
        config = merged(recipe_of("fast"), changes)
        assert self.roundtrip(bundle_of, images, config) == (changes, config)

    def test_difference_of_a_removed_value_is_null(self, bundle_of, images):
        base = merged(recipe_of("smoke"), {"prune.beta": 0.5})
        assert difference(recipe_of("smoke"), base) == {"prune": {"beta": None}}
        assert merged(base, {"prune": {"beta": None}}) == recipe_of("smoke")

    def test_differences_are_from_the_recipe_for_the_data(self, bundle_of, images):
        """Recipe `paper` uses another distance for greyscale images than for CIFAR-10."""
        config = recipe_of("paper")
        written, read = self.roundtrip(bundle_of, images, config)
        assert written == {"gradient": {"train_images": 2000, "distance": "mse"}}
        assert read == config

    def test_custom_recipe_records_every_setting(self, bundle_of, images):
        config = merged(recipe_of("best"), {"recipe": "mine", "match.steps": 7})
        written, read = self.roundtrip(bundle_of, images, config)
        assert read == config
        assert {path for path, _ in leaves(written)} == set(setting_names(config)) - KEYS

    @pytest.mark.parametrize("name", ["fast", "mine"])
    def test_kind_of_container_is_recorded_with_its_own_settings(self, bundle_of, images, name):
        changes = {"container": {"kind": "multi-formation", "factor": 3}}
        config = merged(recipe_of("fast"), changes, {"recipe": name})
        assert config.container.dtype == "I8"  # the recipe's
        written, read = self.roundtrip(bundle_of, images, config)
        assert read == config
        assert written == changes if name == "fast" else set(written) > {"container", "match"}

    def test_bundle_without_recipe_has_no_recorded_settings(self, images_bundle):
        assert recorded_settings(images_bundle.manifest) is None

    @pytest.mark.parametrize(
        ("facts", "why"),
        [
            ({"recipe": "next"}, "unknown recipe 'next'"),
            ({"recipe": "next", "config": {"match": {"steps": 1}}}, "unknown recipe 'next'"),
            ({"recipe": "fast", "config": {"match": {"x": 1}}}, "unknown setting 'match.x'"),
            (
                {"recipe": "fast", "config": {"match": {"steps": -1}}},
                "setting match.steps = -1: .*",
            ),
        ],
    )
    def test_unsupported_recorded_settings_are_one_line(self, bundle_of, images, facts, why):
        manifest = bundle_of(images(), **facts).manifest
        with pytest.raises(
            BadSettings, match=rf"does not support the settings of the file \({why}\)"
        ):
            recorded_settings(manifest)

    def test_settings_too_large_for_a_file_are_rejected_before_any_work(self, tmp_path):
        images = torch.randint(256, (40, 1, 16, 16), generator=stream(0, "pixels"))
        data = split_of(images.to(torch.uint8), torch.arange(40) % 2)
        source = Source("pets", ("cat", "dog"), data, None)
        many = {"pool.train.augment": ["flip"] * 3000}
        with pytest.raises(BadSettings, match=r"takes 21... bytes, more than the maximum of 16384"):
            hmnpack.compress(source, 8, recipe="smoke", settings=many, output=tmp_path / "a.hmn")
        assert list(tmp_path.iterdir()) == []


class TestCompress:
    @pytest.fixture
    def opened(self, monkeypatch):
        """Calls of `recipe_of` and of `open_source`, in order."""
        events = []
        labels = torch.arange(40) % 2
        images = torch.randint(256, (40, 1, 16, 16), generator=stream(0, "pixels"))
        data = split_of(images.to(torch.uint8), labels)

        def opening(spec, options, listener, **_):
            events.append("opened")
            return Source("pets", ("cat", "dog"), data, None)

        def recipe(name, data=None, ipc=None):
            events.append((data, ipc))
            return recipe_of(name, data, ipc or 1)

        monkeypatch.setattr("hmnpack.condensing.plan.open_source", opening)
        monkeypatch.setattr("hmnpack.condensing.plan.recipe_of", recipe)
        return events

    def test_compress_resolves_the_recipe_before_and_after_opening(self, opened, tmp_path):
        cache = SourceOptions(cache_dir=tmp_path)
        hmnpack.compress("pets", 8, recipe="smoke", source_options=cache)
        assert opened == [(None, 8), "opened", (shape("pets", 2, 16, 1), 8)]

    def test_compress_rejects_an_unknown_recipe_before_opening(self, opened):
        with pytest.raises(BadSettings, match="smoke"):
            hmnpack.compress("pets", 8, recipe="smok")
        assert "opened" not in opened

    def test_compress_uses_a_config_unchanged(self, opened, tmp_path):
        config = recipe_of("smoke")
        cache = SourceOptions(cache_dir=tmp_path)
        hmnpack.compress("pets", 8, config=config, source_options=cache)
        assert opened == ["opened"]


def depths(model):
    """Return the depth of every network of some settings."""
    return {value for path, value in leaves(whole(model)) if path.endswith("network.depth")}


@pytest.mark.parametrize("recipe", ["smoke", "fast", "best", "paper"])
@pytest.mark.parametrize(("side", "deepest"), [(2, 1), (4, 2), (7, 2), (8, 3), (32, 3)])
def test_recipe_is_as_deep_as_the_images_allow(recipe, side, deepest):
    found = depths(recipe_of(recipe, shape(side=side)))
    assert max(found) == deepest
    assert found == {min(depth, deepest) for depth in depths(recipe_of(recipe, shape(side=64)))}


def test_depth_that_is_given_is_recorded_and_not_reduced():
    data = shape(side=4)
    config = merged(recipe_of("fast", data), {"pool.network.depth": 3})
    assert settings_to_record(config, data) == {"pool": {"network": {"depth": 3}}}
    assert settings_to_record(recipe_of("fast", data), data) is None


@pytest.mark.parametrize("protocol", ["short", "paper"])
@pytest.mark.parametrize(("height", "width", "deepest"), [(4, 4, 2), (4, 64, 2), (2, 9, 1)])
def test_evaluation_of_small_or_low_images(protocol, height, width, deepest):
    images = torch.arange(4 * 3 * height * width).reshape(4, 3, height, width).to(torch.uint8)
    bundle = hmnpack.pack(images, torch.tensor([0, 0, 1, 1]), ipc=2)
    assert protocol_of(protocol, bundle.manifest).network.depth == deepest
    source = Source("pets", bundle.manifest.classes, *[split_of(images, torch.arange(4) // 2)] * 2)
    quick = {"train.epochs": 1, "min_steps": 0, "repeats": 1, "network.width": 2}
    done = hmnpack.evaluate(
        bundle, source, protocol=protocol, settings=quick | {"baselines": False}, device="cpu"
    )
    assert done.config.network.depth == deepest
    assert "network.depth" not in dict(leaves(done.score.config))
