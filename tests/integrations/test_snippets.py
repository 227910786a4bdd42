"""The snippets of docs/frameworks.md run with the libraries that are installed."""

import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import hmnpack

NAMES = [str(digit) for digit in range(10)]


ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="no source tree")


@pytest.fixture
def snippets(tmp_path, monkeypatch):
    """Return the code blocks of the page, and prepare the files that they read."""
    bundles = ROOT / "examples" / "bundles"
    monkeypatch.chdir(tmp_path)
    shutil.copy(bundles / "digits.hmn", "digits.hmn")
    for number, part in enumerate(hmnpack.split("digits.hmn", ["8", "3"], ["1", "0"])):
        part.save(f"task{number}.hmn")
    text = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run(snippets, word, **names):
    """Run the block that contains a word, after the first one; return the names it leaves."""
    found = {}
    for code in (snippets[0], *[code for code in snippets[1:] if word in code]):
        exec(compile(code, "frameworks.md", "exec"), found)
        found.update(names)
    return found


def needs(module, attribute):
    """Skip unless the module is there, and is the right library's: there are many `utils`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other libraries
        found = pytest.importorskip(module, exc_type=ImportError)
    if not hasattr(found, attribute):
        pytest.skip(f"{module} is another library's")


def test_labels_are_numbered_as_the_benchmark_does(snippets):
    found = run(snippets, "no such word")
    files = [hmnpack.load(f"task{n}.hmn") for n in (0, 1)]
    assert found["labels"].tolist() == [int(f.classes[t]) for f in files for t in f.targets]
    assert found["tasks"].tolist() == [n for n, f in enumerate(files) for _ in f.targets]
    assert np.array_equal(found["images"], np.concatenate([f.arrays()[0] for f in files]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_avalanche(snippets):
    needs("avalanche.training.plugins", "ReplayPlugin")
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils import as_classification_dataset

    class Plain(torch.utils.data.Dataset):
        targets = (8, 3) * 3

        def __len__(self):
            return 6

        def __getitem__(self, index):
            return torch.rand(1, 8, 8), self.targets[index]

    parts = [as_classification_dataset(Plain()) for _ in range(3)]
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    found = run(
        snippets,
        "HmnBuffer",
        names=NAMES,
        normalise=lambda image: 2 * image - 1,
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        benchmark=benchmark_from_datasets(train=parts, test=parts),
    )
    buffer = found["memory"].buffer
    assert set(buffer.targets) == {0, 1, 3, 8}
    assert min(image.min() for image, _ in buffer) < -0.5


@pytest.mark.filterwarnings("ignore")
def test_continuum(snippets):
    needs("continuum.datasets", "InMemoryDataset")
    images, labels = hmnpack.load("digits.hmn").arrays()
    images = np.repeat(images, 3, axis=3)
    found = run(snippets, "ClassIncremental", images=images, labels=labels, tasks=labels // 2)
    assert len(found["scenario"]) == 5
    taskset = found["taskset"]
    assert sorted(taskset[index][1] for index in range(len(taskset))) == sorted([0, 1, 2, 3] * 10)


@pytest.mark.filterwarnings("ignore")
def test_mammoth(snippets):
    needs("utils.buffer", "Buffer")
    found = run(snippets, "utils.buffer")
    images, labels = hmnpack.load("digits.hmn").tensors()
    assert torch.equal(found["buffer"].examples, images)
    assert torch.equal(found["buffer"].labels, labels)


@pytest.mark.filterwarnings("ignore")
def test_facil(snippets):
    needs("datasets.exemplars_dataset", "ExemplarsDataset")
    images = run(snippets, "no such word")["images"][..., 0]
    found = run(snippets, "ExemplarsDataset", images=images, transform=np.array)
    assert np.array_equal(found["image"], images[0]) and found["label"] == found["labels"][0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_flower(snippets, tmp_path, monkeypatch):
    needs("flwr.app", "ConfigRecord")
    monkeypatch.setenv("HMNPACK_CACHE", str(tmp_path / "cache"))
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    source = hmnpack.tensor_source((images, [3, 8] * 20), classes=NAMES)
    found = run(snippets, "flwr", source=source, present=["3", "8"])
    assert found["received"].classes == ["3", "8"]
    assert len(found["images"]) == len(found["labels"]) == len(hmnpack.load(found["bundle"]))
