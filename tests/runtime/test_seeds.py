"""A seed gives the same random numbers whatever other threads draw, and leaves theirs alone."""

import contextlib
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional

import hmnpack
from hmnpack.runtime import seeds
from hmnpack.runtime.seeds import seeded_rng, stream
from hmnpack.schema.config import TrainConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.training import train

CPU = torch.device("cpu")
HALVES = torch.full((4, 25), 0.5)
HEADS = torch.ones(1, 2, 3, 4)
EVALUATION = {
    "train.epochs": 2,
    "network.width": 4,
    "network.depth": 2,
    "min_steps": 1,
    "repeats": 2,
}

DRAWS = {
    "dropout": lambda: functional.dropout(HALVES.clone().requires_grad_()),
    "dropout2d": lambda: functional.dropout2d(torch.ones(1, 30, 3, 3)),
    "alpha_dropout": lambda: functional.alpha_dropout(HALVES, training=True),
    "attention": lambda: functional.scaled_dot_product_attention(
        HEADS, HEADS, HEADS, dropout_p=0.5
    ),
    "rrelu": lambda: functional.rrelu(-HALVES, training=True),
    "gumbel_softmax": lambda: functional.gumbel_softmax(HALVES),
    "linear": lambda: nn.Linear(5, 4).weight,
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(3, 3)),
    "trunc_normal": lambda: nn.init.trunc_normal_(torch.empty(9)),
    "randn": lambda: torch.randn(20),
    "rand": lambda: torch.rand(3, dtype=torch.float64),
    "rand_like": lambda: torch.rand_like(HALVES),
    "randperm": lambda: torch.randperm(30),
    "randint": lambda: torch.randint(2, 90, (9,)),
    "bernoulli": lambda: torch.bernoulli(HALVES),
    "multinomial": lambda: torch.multinomial(torch.ones(30), 9),
    "poisson": lambda: torch.poisson(HALVES),
    "gamma": lambda: torch.distributions.Gamma(1.0, 1.0).sample((9,)),
}

every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


def in_another_thread(call):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@every_draw
def test_seeded_rng_draws_what_a_seeded_global_generator_draws(draw):
    seed = int(torch.randint(2**62, (), generator=stream(0, "a")))
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        expected = [draw(), draw()]
    before = torch.get_rng_state()
    with seeded_rng(stream(0, "a")):
        found = [draw(), draw()]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_rng_draws_for_operations_without_a_generator(monkeypatch):
    monkeypatch.setattr(seeds, "_with_generator", lambda operation: None)
    before = torch.get_rng_state()
    drawn = []
    for _ in range(2):
        with seeded_rng(stream(0, "a")):
            drawn.append([torch.randn(9), torch.randn(9)])
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[0][1])
    assert torch.equal(torch.get_rng_state(), before)


@every_draw
def test_seeded_rng_and_another_thread_do_not_affect_each_other(draw):
    with seeded_rng(stream(0, "a")):
        alone = draw()
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        theirs_alone = torch.rand(6)
        torch.manual_seed(5)
        with seeded_rng(stream(0, "a")):
            theirs = in_another_thread(lambda: torch.rand(3))
            found = draw()
        theirs = torch.cat([theirs, torch.rand(3)])
    assert torch.equal(found, alone)
    assert torch.equal(theirs, theirs_alone)


def test_seeded_rng_inside_another_does_not_advance_it():
    with seeded_rng(stream(0, "outer")):
        expected = torch.rand(2)
    with seeded_rng(stream(0, "outer")):
        with seeded_rng(stream(0, "inner")):
            torch.rand(9)
        assert torch.equal(torch.rand(2), expected)


def test_seeded_rng_keeps_a_given_generator():
    with seeded_rng(stream(0, "a")):
        found = torch.rand(3, generator=stream(1, "b"))
    assert torch.equal(found, torch.rand(3, generator=stream(1, "b")))


def global_draw(index):
    """Draw as on an accelerator, with the global generator, and give others time to interfere."""
    drawn = []
    for step in range(20):
        with seeds._globally_seeded(index, CPU):
            drawn.append(torch.rand(1))
            with seeds._globally_seeded(step, CPU):
                torch.rand(1)
            drawn.append(torch.rand(500_000)[-1:])
    return torch.cat(drawn)


def test_globally_seeded_blocks_of_threads_exclude_each_other():
    alone = [global_draw(index) for index in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(global_draw, range(4), timeout=60))
    assert all(torch.equal(one, other) for one, other in zip(found, alone, strict=True))


def test_globally_seeded_after_an_error_is_free():
    with contextlib.suppress(KeyError), seeds._globally_seeded(0, CPU):
        raise KeyError
    assert in_another_thread(lambda: global_draw(0)) is not None


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_globally_seeded_in_a_process_forked_by_another_thread():
    codes = []

    def forked():
        process = multiprocessing.get_context("fork").Process(target=seeded_once)
        process.start()
        process.join(20)
        process.kill()
        codes.append(process.exitcode)

    with seeds._globally_seeded(0, CPU):
        thread = threading.Thread(target=forked)
        thread.start()
        thread.join()
    assert codes == [0]


def seeded_once():
    with seeds._globally_seeded(0, CPU):
        pass


def small_data():
    labels = torch.arange(3).repeat_interleave(8)
    noise = torch.randint(0, 90, (24, 1, 16, 16), generator=stream(0, "noise"))
    return (noise + 60 * labels[:, None, None, None]).to(torch.uint8), labels


def trained_with_dropout(seed):
    images, labels = small_data()
    with seeded_rng(stream(seed, "dropout")):
        network = nn.Sequential(nn.Flatten(), nn.Linear(256, 64), nn.Dropout(), nn.Linear(64, 3))
    normalisation = Normalisation(mean=(0.5,), std=(0.5,))
    config = TrainConfig(epochs=20, batch=8)
    train(network, images, labels, config, normalisation=normalisation, seed=seed, name="dropout")
    return torch.cat([each.detach().flatten() for each in network.parameters()])


def test_training_with_dropout_in_threads():
    """Also beside a thread of the program that draws and seeds."""
    alone = [trained_with_dropout(seed) for seed in range(2)]
    assert not torch.equal(*alone)
    done = threading.Event()

    def disturb():
        while not done.wait(0.001):
            torch.manual_seed(1)
            torch.rand(9)

    with torch.random.fork_rng([]), ThreadPoolExecutor(5) as pool:
        pool.submit(disturb)
        found = list(pool.map(trained_with_dropout, [0, 1, 0, 1]))
        done.set()
    assert all(torch.equal(one, other) for one, other in zip(found, alone * 2, strict=True))


@pytest.mark.slow
def test_compress_and_evaluate_in_threads(tmp_path):
    data = small_data()
    source = hmnpack.tensor_source(data, data)

    def made(name):
        own = hmnpack.SourceOptions(cache_dir=tmp_path / name)
        options = hmnpack.RunOptions(device="cpu")
        bundle = hmnpack.compress(source, 4, recipe="smoke", options=options, source_options=own)
        evaluated = hmnpack.evaluate(
            bundle, source, settings=EVALUATION, device="cpu", source_options=own
        )
        return bundle.to_bytes(), [row.accuracies for row in evaluated.rows]

    alone = made("alone")
    with ThreadPoolExecutor(4) as pool:
        assert all(found == alone for found in pool.map(made, "abc"))
