"""Results do not depend on torch's global state in the calling program, which calls preserve."""

import inspect
import re
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import hmnpack
from hmnpack.augment import normalise
from hmnpack.runtime.seeds import stream
from hmnpack.runtime.torch_state import (
    exact_convolutions,
    torch_defaults,
    with_torch_defaults,
)

MARGINS = {
    "strategy": "double-end",
    "beta": 0.5,
    "margin_epochs": 1,
    "network.width": 4,
    "network.depth": 2,
}
QUICK = {"train.epochs": 1, "network.width": 4, "network.depth": 2, "min_steps": 1, "repeats": 1}


@contextmanager
def changed(setter, value, default):
    setter(value)
    try:
        yield
    finally:
        setter(default)


def dtype(value):
    return lambda: changed(torch.set_default_dtype, value, torch.float32)


def grad_disabled():
    return changed(torch.set_grad_enabled, False, True)


@contextmanager
def seeded():
    with torch.random.fork_rng([]):
        torch.manual_seed(12345)
        yield


STATES = {
    "device meta": lambda: changed(torch.set_default_device, "meta", None),
    "float64": dtype(torch.float64),
    "float16": dtype(torch.float16),
    "bfloat16": dtype(torch.bfloat16),
    "no_grad": torch.no_grad,
    "grad disabled": grad_disabled,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": lambda: changed(torch.use_deterministic_algorithms, True, False),
    "seed": seeded,
}
"""Everything that a calling program may have set; "meta" is a device that stores no values."""

every_state = pytest.mark.parametrize("state", STATES.values(), ids=STATES)


def present():
    """Return all of torch's global state that :data:`STATES` changes."""
    return (
        torch.zeros(()).device,
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_rng_state().numpy().tobytes(),
        torch.get_deterministic_debug_mode(),
    )


def stripes():
    labels = torch.arange(3).repeat_interleave(12)
    noise = torch.randint(0, 90, (36, 1, 16, 16), generator=stream(0, "noise"))
    return (noise + 60 * labels[:, None, None, None]).to(torch.uint8), labels


@pytest.fixture(scope="module")
def data():
    return stripes()


def reading(bundle, folder):
    """Call everything that reads a bundle, and return what it returns or writes."""
    path = folder / "own.hmn"
    bundle.save(path)
    dataset = hmnpack.load(path)
    batches = dataset.loader(4, augment=("flip", "crop"), generator=stream(0, "order"))
    first, *others = bundle.manifest.classes
    parts = hmnpack.split(bundle, [first], others)
    sheet = hmnpack.expand(path, folder / "sheet.png", format="sheet")
    hmnpack.push(path, "me/own", license="mit", dry_run=folder / "hub")
    return [
        path.read_bytes(),
        sheet.read_bytes(),
        [(folder / "hub" / name).read_bytes() for name in ("own.hmn", "README.md")],
        hmnpack.report(path, folder / "page.html").read_bytes(),
        hmnpack.load(bundle)._repr_html_(),
        hmnpack.inspect(path),
        [part.to_bytes() for part in parts],
        hmnpack.merge(parts).to_bytes(),
        list(hmnpack.concat([path, path]).tensors()),
        hmnpack.verify(path).manifest,
        [dataset[3][0], *dataset.tensors(), *(part for batch in batches for part in batch)],
    ]


def packing(data, folder):
    """Call everything that makes sources and stores images without training."""
    images, labels = data
    source = hmnpack.tensor_source((images, labels))
    bundle = hmnpack.pack((images.numpy() / 255).tolist(), labels.tolist(), ipc=14, data=source)
    planned = hmnpack.plan(source, 8, recipe="smoke", device="cpu")
    assert planned.cost.seconds > 0
    pruned = hmnpack.prune(bundle, 4, settings={"strategy": "random"}, device="cpu")
    own = hmnpack.SourceOptions(cache_dir=folder / "cache")
    (folder / "images").mkdir()
    hmnpack.expand(bundle, folder / "images" / "train")
    opened = hmnpack.open_source(folder / "images", own)
    chosen = source.only(["1", "0"])
    prints = [each.train.fingerprint for each in (source, opened, chosen)]
    return [bundle.to_bytes(), pruned.to_bytes(), planned.spec, prints]


def training(data, folder):
    """Call everything that trains networks."""
    source = hmnpack.tensor_source(data, data)
    own = hmnpack.SourceOptions(cache_dir=folder)  # no network of another call is used
    options = hmnpack.RunOptions(device="cpu")
    bundle = hmnpack.compress(source, 8, recipe="smoke", options=options, source_options=own)
    pruned = hmnpack.prune(bundle, 4, settings=MARGINS, device="cpu")
    evaluated = hmnpack.evaluate(bundle, source, settings=QUICK, device="cpu", source_options=own)
    path = folder / "own.hmn"
    bundle.save(path)
    recorded = hmnpack.record(path, bundle, evaluated, device="cpu")
    again = hmnpack.verify(path, source, networks=3, device="cpu").repetition
    audited = hmnpack.audit(
        bundle, source, settings=QUICK, pictures=False, device="cpu", source_options=own
    )
    new = hmnpack.tensor_source(data, classes=["c", "d", "e"])
    grown = hmnpack.append(bundle, new, options=options, source_options=own)
    files = [each.to_bytes() for each in (bundle, pruned, grown)]
    return [files, recorded.scores, again.accuracies, audited]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        if isinstance(one, list) and isinstance(one[0], torch.Tensor):
            assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))
            assert [x.dtype for x in one] == [x.dtype for x in other]
        else:
            assert one == other


def under(state, call, *args):
    with state():
        before = present()
        found = call(*args)
        assert present() == before
    return found


@every_state
def test_readers_do_not_depend_on_torch_state(state, hmn_bundle, tmp_path):
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    expected = reading(hmn_bundle, folders[0])
    assert_same(under(state, reading, hmn_bundle, folders[1]), expected)


@pytest.fixture(scope="module")
def packed(data, tmp_path_factory):
    return packing(data, tmp_path_factory.mktemp("default"))


@every_state
def test_packing_does_not_depend_on_torch_state(state, data, tmp_path, packed):
    assert_same(under(state, packing, data, tmp_path), packed)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return training(data, tmp_path_factory.mktemp("default"))


@pytest.mark.slow
@every_state
def test_training_does_not_depend_on_torch_state(state, data, trained, tmp_path):
    assert_same(under(state, training, data, tmp_path), trained)


def test_every_public_function_is_called_in_this_file():
    functions = {name for name in hmnpack.__all__ if inspect.isfunction(getattr(hmnpack, name))}
    functions -= {"pull"}  # copies a file's bytes: tests/bundle/test_pull.py
    assert functions <= set(re.findall(r"hmnpack\.(\w+)\(", Path(__file__).read_text()))


@pytest.mark.parametrize("state", [STATES["no_grad"], STATES["inference_mode"]])
def test_tensors_made_without_gradients_are_accepted(state, hmn_bundle, tmp_path):
    with state():
        tensors = {name: tensor.clone() for name, tensor in hmn_bundle.tensors.items()}
    again = hmnpack.Bundle(hmn_bundle.manifest, tensors)
    assert again.to_bytes() == hmn_bundle.to_bytes()
    assert torch.equal(hmnpack.load(again).tensors()[0], hmnpack.load(hmn_bundle).tensors()[0])


def test_images_read_under_inference_mode_can_be_trained_on(hmn_bundle):
    dataset = hmnpack.load(hmn_bundle)
    with torch.inference_mode():
        read = [dataset[0][0], dataset.tensors()[0], *next(iter(dataset.loader(4, augment="flip")))]
    assert not any(tensor.is_inference() for tensor in read)


@every_state
def test_torch_defaults_holds_and_restores(state):
    default = (torch.device("cpu"), torch.float32, True, False, False)

    def inner(x, *, y=1):
        """Return the state."""
        return present() if x == y else None

    decorated = with_torch_defaults(inner)
    with state():
        before = present()
        assert decorated(2, y=2)[:5] == default
        with torch_defaults(), torch_defaults():
            assert present()[:5] == default
        assert present() == before
    assert decorated.__doc__ == "Return the state."


def test_torch_defaults_restores_after_an_error():
    def fail():
        raise KeyError

    with STATES["float64"](), STATES["deterministic"]():
        before = present()
        with pytest.raises(KeyError):
            with_torch_defaults(fail)()
        assert present() == before


@pytest.mark.filterwarnings("ignore:.*deterministic")
def test_torch_defaults_does_not_raise_for_nondeterministic_operations():
    def operate():
        return torch.zeros(3).put_(torch.tensor([1]), torch.ones(1))

    with STATES["deterministic"]():
        with pytest.raises(RuntimeError, match="deterministic"):
            operate()
        assert with_torch_defaults(operate)().tolist() == [0, 1, 0]


def test_torch_defaults_of_overlapping_threads():
    """The first thread leaves while the second still computes."""
    inside, first_left, seen = threading.Barrier(2), threading.Event(), []

    def first():
        with torch_defaults():
            inside.wait(10)

    def second():
        with torch_defaults():
            inside.wait(10)
            assert first_left.wait(10)
            seen.append(torch.get_default_dtype())

    with STATES["float64"]():
        threads = [threading.Thread(target=each) for each in (first, second)]
        for thread in threads:
            thread.start()
        threads[0].join()
        first_left.set()
        threads[1].join()
        assert seen == [torch.float32]
        assert torch.get_default_dtype() == torch.float64


def test_torch_defaults_holds_for_a_thread_after_a_change_during_a_call():
    with torch_defaults():
        torch.set_default_dtype(torch.float64)
        with torch_defaults():
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float32  # the outer call still needs it
    assert torch.get_default_dtype() == torch.float64
    torch.set_default_dtype(torch.float32)


conv_flag = pytest.mark.skipif(
    not hasattr(torch.backends.cudnn, "conv"), reason="torch has one flag for all operators"
)


@conv_flag
@pytest.mark.parametrize("program", ["tf32", "ieee"])
def test_exact_convolutions_holds_and_restores(program):
    flags, gpu = torch.backends.cudnn, torch.device("cuda")
    with changed(lambda value: setattr(flags.conv, "fp32_precision", value), program, "tf32"):
        with exact_convolutions(gpu), exact_convolutions(gpu):
            assert flags.conv.fp32_precision == "ieee"
        assert flags.conv.fp32_precision == program
        with exact_convolutions(torch.device("cpu")):
            assert flags.conv.fp32_precision == program


@conv_flag
def test_exact_convolutions_of_overlapping_threads():
    flags, gpu = torch.backends.cudnn, torch.device("cuda")
    before = flags.conv.fp32_precision
    first, second = exact_convolutions(gpu), exact_convolutions(gpu)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert flags.conv.fp32_precision == "ieee"  # the second one still computes
    second.__exit__(None, None, None)
    assert flags.conv.fp32_precision == before


@every_state
def test_normalise_does_not_depend_on_torch_state(state, hmn_bundle):
    images = torch.rand(2, 3, 4, 4, generator=stream(0, "images"))
    expected = normalise(images, hmn_bundle.manifest.normalisation)
    found = under(state, normalise, images, hmn_bundle.manifest.normalisation)
    assert torch.equal(expected, found)
