"""The cost of a run against hand counts and against torch's counter on real trainings."""

from collections import Counter

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hmnpack.condensing.cost import costs_of
from hmnpack.condensing.stage_cost import Run
from hmnpack.container import container_of
from hmnpack.container.budget import plan
from hmnpack.matching.footprint import StepShape, bytes_per_image, bytes_per_view, gradient_load
from hmnpack.networks import build_network, flops, network_on_meta
from hmnpack.pruning import pruned
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import (
    CompressConfig,
    MatchConfig,
    NetworkConfig,
    PruneConfig,
    TrainConfig,
)
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation
from hmnpack.settings import recipe_of
from hmnpack.sources.types import split_of
from hmnpack.training import train
from hmnpack.training.loop import schedule_of

CIFAR = ImageShape(channels=3, height=32, width=32)
FIRST, INNER, LINEAR = 7_077_888, 94_371_840, 40_960
"""Forward operations of ConvNet-3, width 128, per image, by layer: 101,490,688 in total."""


def settings(recipe="fast", **parts):
    document = recipe_of(recipe).model_dump()
    for name, values in parts.items():
        document[name] |= values
    return CompressConfig.model_validate(document)


def stages(config, *, ipc=1, images=45_000, **chunks):
    return {
        stage.name: stage for stage in costs_of(Run(config, plan(ipc, 10, CIFAR), images, **chunks))
    }


def work(stage):
    found = Counter()
    for part in stage.parts:
        found[part.work] += part.flops
    return found


def step_of(synthetic=85, real=64):
    return StepShape(NetworkConfig(), CIFAR, 10, synthetic, real)


class TestGradientMatching:
    def test_paper_recipe_matches_hand_count(self):
        """10 classes of 64 real and 85 synthetic images; 32 batches of 64 between two steps."""
        found = work(stages(settings("paper"))["gradient"])
        real = 2 * FIRST + 3 * INNER + 2 * LINEAR
        synthetic = 5 * FIRST + 7 * INNER + 4 * LINEAR
        training = 2 * FIRST + 3 * INNER + 3 * LINEAR
        assert found["gradients"] == 200_000 * 10 * (64 * real + 85 * synthetic)
        assert found["training"] == 1000 * 199 * 32 * 64 * training
        assert found["decoding"] < 0.01 * found["training"]

    def test_paper_recipe_matches_published_estimate(self):
        """3.3e17 operations for 128 synthetic images per class; at 1 ipc there are 85."""
        assert sum(work(stages(settings("paper"), ipc=10)["gradient"]).values()) == (
            pytest.approx(3.3e17, rel=0.05)
        )
        assert stages(settings("paper"))["gradient"].flops == pytest.approx(2.8e17, rel=0.02)

    def test_initial_training_epochs_are_counted(self):
        once, twice = (
            work(
                stages(settings("paper", gradient={"networks": 2, "train": train_of(epochs)}))[
                    "gradient"
                ]
            )
            for epochs in (1, 2)
        )
        training = 2 * FIRST + 3 * INNER + 3 * LINEAR
        assert twice["training"] - once["training"] == 2 * 45_000 * training

    def test_no_training_costs_nothing(self):
        config = settings("paper", gradient={"train_images": 0})
        assert work(stages(config)["gradient"])["training"] == 0

    def test_memory_grows_with_the_chunk_size(self):
        """Hand count: a class holds 85 images and three sets of weight gradients."""
        one, two, ten = (
            stages(settings("paper"), gradient_classes=count)["gradient"].bytes
            for count in (1, 2, None)
        )
        per_class = 85 * bytes_per_image(step_of()) + 3 * 4 * (298_368 + 20_480)
        assert two - one == per_class
        assert ten - one == 9 * per_class

    def test_bytes_per_image_match_the_feature_maps(self):
        maps = [128 * side**2 for side in (32, 16, 8)]
        assert bytes_per_image(step_of()) == 4 * (3.5 * sum(maps) + 2 * maps[0])

    def test_load_follows_the_larger_side(self):
        per_image = bytes_per_image(step_of())
        loads = [gradient_load(step_of(real=real)) for real in (64, 256)]
        assert [load.bytes for load in loads] == [85 * per_image, 256 * per_image]
        assert [load.elements for load in loads] == [n * 128 * 32 * 32 for n in (85, 256)]


def train_of(epochs):
    return recipe_of("paper").gradient.train.model_dump() | {"epochs": epochs}


SIMPLE = {"part_images": 0, "views": 0}
"""Feature matching without parts and without cached views."""


class TestFeatureMatching:
    def test_operations_match_hand_count(self):
        config = settings(
            match={"steps": 7, "real_batch": 5, "synthetic_batch": 3} | SIMPLE,
            pool={"network": {"width": 128}},
        )
        found = work(stages(config)["matching"])
        assert found["features"] == 7 * 10 * (5 + 2 * 3) * (FIRST + INNER)

    def test_characteristic_stores_features_of_every_real_image(self):
        """`features` stores class means; `characteristic` all images and 512 frequencies."""
        means, characteristic = (
            stages(settings(match=SIMPLE | {"real_batch": 5} | changes))["matching"].bytes
            for changes in ({}, {"objective": "characteristic"})
        )
        maps, grids = 64 * (16**2 + 8**2 + 4**2), 64 * 3 * 4**2
        assert characteristic - means == 4 * 10 * (5 * grids - maps) + 4 * 512 * grids

    def test_cached_views_are_computed_once(self):
        """If 4, 2 or 0 of 4 views are cached, 12 steps compute 4, 2 + 6 or 12 views."""
        view = 10 * 4 * 64 * (16**2 + 8**2 + 4**2)
        changes = SIMPLE | {"steps": 12, "real_batch": 5}
        found = [
            stages(settings(match=changes | {"views": 4}), view_bytes=bound)["matching"]
            for bound in (None, 2 * view, 0)
        ]
        alone = stages(settings(match=changes))["matching"]
        real = 5 * 10 * (FIRST // 2 + INNER // 4)  # at width 64
        assert [alone.flops - stage.flops for stage in found] == [8 * real, 4 * real, 0]
        assert [stage.bytes - alone.bytes for stage in found] == [3 * view, view, 0]

    def test_parts_divide_the_synthetic_images(self):
        whole, parted = (settings(match=SIMPLE | {"part_images": most}) for most in (0, 22))
        each = settings(match=SIMPLE | {"synthetic_batch": 85 // 4})
        assert stages(parted) == stages(each)
        assert stages(parted) != stages(whole)

    def test_synthetic_batch_is_limited_by_the_class_size(self):
        few, many = (settings(match=SIMPLE | {"synthetic_batch": count}) for count in (85, 200))
        assert stages(few)["matching"] == stages(many)["matching"]

    def test_smaller_chunks_need_less_memory(self):
        some, every = (
            stages(settings(), feature_classes=count)["matching"].bytes for count in (2, None)
        )
        assert some < every


class TestPool:
    @pytest.mark.parametrize(("epochs", "min_steps"), [(2, 0), (1, 7)])
    def test_operations_match_a_counted_training(self, epochs, min_steps):
        """11 images in batches of 4: three steps per epoch, the last with 3 images."""
        image = ImageShape(channels=3, height=16, width=16)
        training = settings("smoke").pool.train.model_dump() | {"epochs": epochs, "batch": 4}
        config = settings("smoke", pool={"train": training, "min_steps": min_steps, "size": 2})
        network = build_network(
            config.pool.network, classes=3, image=image, generator=stream(0, "network")
        )
        with FlopCounterMode(display=False) as counter:
            train(
                network,
                torch.zeros(11, 3, 16, 16),
                torch.arange(11) % 3,
                config.pool.train,
                normalisation=Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3),
                seed=0,
                name="test",
                min_steps=min_steps,
            )
        pool = costs_of(Run(config, plan(5, 3, image), 11))[0]
        assert pool.name == "pool"
        assert pool.flops == 2 * counter.get_total_flops()

    def test_batched_training_needs_more_memory(self):
        some, every = (stages(settings(), trained_at_once=count)["pool"] for count in (1, None))
        assert some.flops == every.flops
        assert some.bytes < every.bytes == stages(settings(), trained_at_once=2)["pool"].bytes


def pruning(prune=(), *, keep=85, held_out=0, at_once=1):
    """Return the cost of pruning 93 images of each of 10 classes with ConvNets of width 128."""
    config = settings(prune={"strategy": "double-end", **dict(prune)})
    spec = plan(1, 10, CIFAR, over_budget=True)
    assert spec.instances == 93
    run = Run(config, spec, 45_000, keep=keep, held_out=held_out, trained_at_once=at_once)
    found = costs_of(run)
    return {stage.name: stage for stage in found}.get("pruning")


class TestPruning:
    TRAINING = 2 * FIRST + 3 * INNER + 3 * LINEAR

    def test_operations_match_hand_count(self):
        """Margins: 3 seeds, 200 epochs of 930 images. Ten betas drop the 0 to 7 hardest of 8."""
        margins, betas, tests = pruning(held_out=5_000).parts
        assert margins.flops == 3 * 200 * 930 * self.TRAINING
        assert betas.flops == 8 * 300 * 850 * self.TRAINING
        assert tests.flops == 8 * 5_000 * (FIRST + INNER + LINEAR)
        assert (margins.pieces, betas.pieces, tests.pieces) == (3, 8, 8)

    @pytest.mark.parametrize(
        ("betas", "keep", "distinct"),
        [
            ((0.5, 0.6), 85, 1),  # both drop the 4 hardest of 8
            ((0.5, 0.6), 83, 2),  # the 5 and 6 hardest of 10
            ((0.0, 0.5, 0.9), 92, 1),  # one image is dropped, never as one of the hardest
            ((0.0, 1.0), 92, 2),
        ],
    )
    def test_betas_with_equal_selections_share_trainings(self, betas, keep, distinct):
        _, found, _ = pruning({"betas": betas, "networks": 3}, keep=keep).parts
        assert found.flops == distinct * 3 * 300 * 10 * keep * self.TRAINING
        assert found.pieces == distinct * 3

    def test_min_steps_apply_only_to_beta_trainings(self):
        """850 images in batches of 64 are 14 steps per epoch; 10,000 steps take 715 epochs."""
        plain, more = (pruning({"min_steps": steps}).parts for steps in (0, 10_000))
        assert more[0] == plain[0]
        assert more[1].flops == 8 * 715 * 850 * self.TRAINING

    @pytest.mark.parametrize(
        "changes", [{"beta": 0.3}, {"strategy": "easy"}, {"strategy": "hard"}], ids=str
    )
    def test_fixed_beta_trains_for_margins_only(self, changes):
        assert pruning(changes, held_out=5_000).parts == pruning().parts[:1]

    @pytest.mark.parametrize("changes", [{"strategy": "random"}, {"strategy": "none"}], ids=str)
    def test_stage_is_absent_without_trainings(self, changes):
        assert pruning(changes) is None
        assert pruning(keep=None) is None

    def test_memory_matches_hand_count(self):
        """Data, decoded images, and either trainings or one evaluation.

        A training holds three copies of the weights and the activations of 64 images; an evaluation
        holds the activations of 500 images.
        """
        weights = 128 * (27 + 2 * 1152) + 128 * 16 * 10
        maps = [128 * side**2 for side in (32, 16, 8)]
        fixed = 3072 * (45_000 + 4 * 930)
        training, test = 3 * 4 * weights + 64 * 4 * 2 * sum(maps), 500 * 4 * 2 * maps[0]
        assert pruning({"beta": 0.3}, held_out=5_000).bytes == fixed + training
        assert pruning(held_out=5_000).bytes == fixed + 3072 * (5_000 + 4 * 850) + test
        assert pruning(held_out=10).bytes == fixed + 3072 * (10 + 4 * 850) + training
        assert pruning({"beta": 0.3}, at_once=2).bytes == fixed + 2 * training
        assert pruning({"beta": 0.3}, at_once=None).bytes == fixed + 3 * training
        assert pruning(at_once=None).bytes == fixed + 3072 * 4 * 850 + 8 * training

    def test_operations_match_a_counted_pruning(self, bundle_of, hmn):
        """Counted by torch while a bundle is pruned from 3 to 2 images in each of 2 classes."""
        prune = PruneConfig(
            strategy="double-end",
            betas=(0.0, 0.5, 1.0),
            network=NetworkConfig(width=4, depth=2),
            seeds=1,
            margin_epochs=2,
            networks=2,
            train=TrainConfig(epochs=1, batch=3),
            min_steps=3,
        )
        spec = hmn()
        run = Run(settings(prune=prune.model_dump()), spec, 11, keep=2, held_out=7)
        pixels = torch.zeros(7, 3, 16, 16, dtype=torch.uint8)
        with FlopCounterMode(display=False) as counter:
            bundle, held_out = bundle_of(spec), split_of(pixels, torch.arange(7) % 2)
            place = {"device": torch.device("cpu"), "held_out": held_out, "keep": 2}
            pruned(bundle, bundle.manifest.budget.ipc, prune, seed=0, **place)
        with FlopCounterMode(display=False) as decoding, torch.no_grad():
            container_of(spec, bundle.tensors).expand()
        expected = counter.get_total_flops() - decoding.get_total_flops()
        assert costs_of(run)[-1].flops == expected


class TestStages:
    def test_stages_follow_the_settings(self):
        assert list(stages(settings())) == ["pool", "warm-up", "matching"]
        assert list(stages(settings("paper"))) == ["warm-up", "gradient"]
        bare = settings("paper", warmup={"images": "none"}, gradient={"networks": 0})
        assert stages(bare) == {}

    def test_warm_up_counts_decoding_forward_and_backward(self):
        """Hand count at 1 ipc: 8 shared and 2 own channels, 10, 6, 3 on grids of 4, 8, 16, 32."""
        config = settings("paper", warmup={"steps": 3, "batch": 100})
        own = 32 * (2 * 10 * 16 + 10 * 6 * 64 + 6 * 3 * 256)
        once = 10 * 32 * 8 * 10 * 16 + 100 * own
        assert work(stages(config)["warm-up"]) == {"decoding": 3 * 3 * once}

    def test_every_stage_holds_the_dataset(self):
        for recipe in ("fast", "paper"):
            for stage in stages(settings(recipe)).values():
                assert 45_000 * 3072 < stage.bytes < 10**11

    @pytest.mark.parametrize("name", ["vgg16", "resnet18", "densenet121", "torchvision:resnet18"])
    def test_operations_of_any_network_match_torch(self, name):
        """A step of gradient matching against torch's counter on the network."""
        config = settings("paper", gradient={"network": {"name": name}, "train_images": 0})
        pruned = settings(prune={"strategy": "easy", "network": {"name": name}})
        run = Run(pruned, plan(1, 10, CIFAR, over_budget=True), 45_000, keep=85)
        network = network_on_meta(config.gradient.network, classes=10, image=CIFAR).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, 32, 32, device="meta"))
        forward = counter.get_total_flops()
        gradients = work(stages(config)["gradient"])["gradients"]
        assert 0.97 * gradients < 200_000 * 10 * (64 * 3 + 85 * 8) * forward < 1.03 * gradients
        margins = costs_of(run)[-1].flops
        assert 0.97 * margins < 3 * 200 * 930 * 3 * forward < 1.03 * margins

    def test_resnet_ap_pool_has_a_cost(self):
        """The operations follow the profile; a view stores the block outputs of class means."""
        image = ImageShape(channels=3, height=64, width=64)
        config = settings(pool={"network": {"name": "resnet-ap"}, "size": 1})
        run = Run(config, plan(1, 10, image), 900)
        pool, _, matching = costs_of(run)
        profile = run.profile(config.pool.network)
        epochs = schedule_of(config.pool.train, 900, config.pool.min_steps).epochs
        assert pool.flops == epochs * 900 * profile.flops(flops.TRAINING)
        blocks = [(64, 64), (64, 64), (128, 32), (256, 16), (512, 8)]
        maps = sum(channels * side**2 for channels, side in blocks)
        assert bytes_per_view(MatchConfig(steps=1), run.feature_step) == 4 * 10 * maps
        assert matching.bytes > 4 * 10 * maps
