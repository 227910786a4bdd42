"""Recipe `paper` against values typed from the paper's appendix C.2 and from IDC's settings."""

import pytest
import torch

import hmnpack
import hmnpack.condensing.run
from hmnpack.errors import BadSettings
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.recipes import DataShape
from hmnpack.settings import RECIPES, default_recipe, needs_pool, recipe_of
from hmnpack.sources import Source, SourceOptions, open_source
from hmnpack.sources.types import split_of


def shape(name="photos", classes=10, side=32, channels=3):
    image = ImageShape(channels=channels, height=side, width=side)
    return DataShape(name=name, classes=classes, image=image)


def paper(*sizes, **named):
    return recipe_of("paper", shape(*sizes, **named))


def changed(config, **parts):
    """Return settings with some of a part's values replaced."""
    document = config.model_dump()
    for name, values in parts.items():
        document[name] |= values
    return CompressConfig.model_validate(document)


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
    assert not needs_pool(config)
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


class TestNeedsPool:
    def test_feature_matching_does(self):
        assert needs_pool(recipe_of("fast"))
        assert needs_pool(changed(recipe_of("paper"), match={"steps": 1}))

    def test_gradient_matching_alone_does_not(self):
        assert not needs_pool(recipe_of("paper"))


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
