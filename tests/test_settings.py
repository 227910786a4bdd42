"""Recipe `paper` against values typed from the paper's appendix C.2 and from IDC's settings."""

import pytest
import torch

import hmnpack
import hmnpack.condensing.run
from hmnpack.errors import BadSettings
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import SourceFacts
from hmnpack.schema.recipes import DataShape
from hmnpack.settings import (
    KEYS,
    RECIPES,
    default_recipe,
    difference,
    leaves,
    merged,
    recipe_of,
    recorded_settings,
    setting_names,
    settings_to_record,
)
from hmnpack.sources import Source, SourceOptions, open_source
from hmnpack.sources.types import split_of


def shape(name="photos", classes=10, side=32, channels=3):
    image = ImageShape(channels=channels, height=side, width=side)
    return DataShape(name=name, classes=classes, image=image)


def paper(*sizes, **named):
    return recipe_of("paper", shape(*sizes, **named))


PAPERS = {
    # data set: network, Adam's rate, distance, images of training, epochs first, CutMix
    ("cifar10", 10, 32): ("convnet", 0.01, "mse", 2000, 0, 0.5),
    ("cifar100", 100, 32): ("convnet", 0.02, "l1", 2000, 0, 0.5),
    ("svhn", 10, 32): ("convnet", 0.01, "mse", 500, 0, 0.5),
    ("tiny-imagenet", 200, 64): ("convnet", 0.01, "l1", 500, 0, 0.5),
    ("imagenet-10", 10, 224): ("resnet-ap", 0.01, "l1", 500, 10, 1.0),
}


def own_settings(config):
    gradient = config.gradient
    first, cutmix = gradient.train.epochs, gradient.train.cutmix
    rate, distance = gradient.lr, gradient.distance
    return (gradient.network.name, rate, distance, gradient.train_images, first, cutmix)


@pytest.mark.parametrize(("data", "expected"), PAPERS.items(), ids=lambda case: str(case[0]))
def test_each_data_set_of_the_paper_has_its_own_settings(data, expected):
    assert own_settings(paper(*data)) == expected


@pytest.mark.parametrize("data", PAPERS, ids=lambda case: case[0])
def test_what_all_data_sets_of_the_paper_share(data):
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
def test_the_convnet_has_three_layers_of_128(side):
    network = paper(side=side, classes=200).gradient.network
    assert (network.name, network.width, network.depth) == ("convnet", 128, 3)


def test_without_data_it_is_cifar10():
    assert recipe_of("paper") == RECIPES["paper"] == paper("cifar10", 10, 32)


@pytest.mark.parametrize("name", ["svhn", "SVHN", "hf:ufldl-stanford/svhn"])
def test_the_name_tells_svhn_from_cifar10(name):
    assert paper(name, 10, 32).gradient.train_images == 500
    assert paper("photos", 10, 32) == paper("cifar10", 10, 32)


@pytest.mark.parametrize(("name", "side"), [("mnist", 28), ("fashion-mnist", 28), ("digits", 8)])
def test_grey_images_have_idcs_settings_for_mnist(name, side):
    config = paper(name, 10, side, channels=1)
    assert own_settings(config) == ("convnet", 0.01, "l1", 500, 0, 0.5)


@pytest.mark.parametrize(
    ("classes", "side", "like"),
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
def test_other_data_have_the_settings_of_the_nearest(classes, side, like):
    expected = next(settings for data, settings in PAPERS.items() if data[0] == like)
    assert own_settings(paper("photos", classes, side)) == expected


def test_the_device_chooses_where_no_recipe_is_named():
    assert [default_recipe(device) for device in ("cpu", "cuda", "mps")] == ["fast", "best", "best"]
    assert {"fast", "best"} <= set(RECIPES)


@pytest.mark.parametrize("name", ["smoke", "fast", "best"])
def test_other_recipes_do_not_depend_on_the_data(name):
    assert recipe_of(name, shape(side=224)) == recipe_of(name)


@pytest.mark.parametrize("data", [None, shape()])
def test_an_unknown_recipe_is_refused_with_the_near_ones(data):
    with pytest.raises(BadSettings, match="paper"):
        recipe_of("papre", data)


def test_the_shape_of_an_open_data_set():
    pytest.importorskip("sklearn")
    assert open_source("digits").shape == shape("digits", 10, 8, 1)


class TestRecorded:
    """What a manifest says of the settings, and the settings that it is read to again."""

    DATA = shape("digits", 10, 8, 1)

    def again(self, bundle_of, images, config, data=DATA):
        written = settings_to_record(config, data)
        keys = {name: getattr(config, name) for name in KEYS}
        spec = images(classes=data.classes, image=data.image)
        source = SourceFacts(
            name=data.name, fingerprint="0" * 64, train_images=9, held_out=0, skipped={}
        )
        manifest = bundle_of(spec, config=written, source=source, **keys).manifest
        return written, recorded_settings(manifest)

    @pytest.mark.parametrize("name", ["smoke", "fast", "best", "paper"])
    def test_of_a_recipe_nothing_is_written(self, bundle_of, images, name):
        config = merged(recipe_of(name, self.DATA), {"seed": 5, "holdout": 0.5})
        assert self.again(bundle_of, images, config) == (None, config)

    def test_what_differs_is_written(self, bundle_of, images):
        changes = {
            "pool": {"network": {"width": 32}, "train": {"augment": []}},
            "match": {"steps": 400, "lr": 1.0},
            "prune": {"strategy": "double-end", "beta": 0.5, "betas": [0.0, 1.0]},
        }
        config = merged(recipe_of("fast"), changes)
        assert self.again(bundle_of, images, config) == (changes, config)

    def test_a_setting_that_is_set_to_nothing_is_written_as_null(self, bundle_of, images):
        base = merged(recipe_of("smoke"), {"prune.beta": 0.5})
        assert difference(recipe_of("smoke"), base) == {"prune": {"beta": None}}
        assert merged(base, {"prune": {"beta": None}}) == recipe_of("smoke")

    def test_it_is_the_recipe_for_that_data(self, bundle_of, images):
        """Recipe `paper` matches grey images by another distance than those of CIFAR-10."""
        config = recipe_of("paper")
        written, again = self.again(bundle_of, images, config)
        assert written == {"gradient": {"train_images": 2000, "distance": "mse"}}
        assert again == config

    def test_a_name_of_ones_own_has_every_setting(self, bundle_of, images):
        config = merged(recipe_of("best"), {"recipe": "mine", "match.steps": 7})
        written, again = self.again(bundle_of, images, config)
        assert again == config
        assert {path for path, _ in leaves(written)} == set(setting_names(CompressConfig)) - KEYS

    def test_a_file_made_by_hand_has_none(self, images_bundle):
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
    def test_what_cannot_be_followed_is_said_in_one_line(self, bundle_of, images, facts, why):
        manifest = bundle_of(images(), **facts).manifest
        with pytest.raises(BadSettings, match=rf"cannot follow the settings of the file \({why}\)"):
            recorded_settings(manifest)

    def test_more_than_a_file_holds_is_refused_before_any_work(self, tmp_path):
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
        """What was asked of the recipes, and when the data were opened."""
        events = []
        labels = torch.arange(40) % 2
        images = torch.randint(256, (40, 1, 16, 16), generator=stream(0, "pixels"))
        data = split_of(images.to(torch.uint8), labels)

        def opening(spec, options, listener):
            events.append("opened")
            return Source("pets", ("cat", "dog"), data, None)

        def recipe(name, data=None):
            events.append(data)
            return recipe_of(name, data)

        monkeypatch.setattr("hmnpack.condensing.plan.open_source", opening)
        monkeypatch.setattr("hmnpack.condensing.plan.recipe_of", recipe)
        return events

    def test_the_recipe_is_known_before_the_data_and_follows_them(self, opened, tmp_path):
        cache = SourceOptions(cache_dir=tmp_path)
        hmnpack.compress("pets", 8, recipe="smoke", source_options=cache)
        assert opened == [None, "opened", shape("pets", 2, 16, 1)]

    def test_an_unknown_one_is_refused_before(self, opened):
        with pytest.raises(BadSettings, match="smoke"):
            hmnpack.compress("pets", 8, recipe="smok")
        assert "opened" not in opened

    def test_settings_are_taken_as_they_are(self, opened, tmp_path):
        config = recipe_of("smoke")
        cache = SourceOptions(cache_dir=tmp_path)
        hmnpack.compress("pets", 8, config=config, source_options=cache)
        assert opened == ["opened"]
