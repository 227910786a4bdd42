"""Images that are read when they are indexed behave as the tensor of them does."""

import os

import pytest
import torch

from hmnpack.runtime.kept import digest_of
from hmnpack.runtime.seeds import stream
from hmnpack.sources import lazy, open_source
from hmnpack.sources.lazy import LazyImages, chunks, in_memory, lazily, on_device, with_channels
from hmnpack.sources.pixel_file import PixelFile
from hmnpack.sources.types import split_of

STORED = torch.randint(0, 256, (7, 3, 4, 5), generator=stream(0, "stored"), dtype=torch.uint8)
ORDER = torch.tensor([3, 1, 6, 0, 2])
CPU = torch.device("cpu")


@pytest.fixture(params=["file", "tensor"])
def images(request, tmp_path):
    stored = STORED
    if request.param == "file":
        (tmp_path / "pixels").write_bytes(STORED.numpy().tobytes())
        stored = PixelFile(tmp_path / "pixels", STORED.shape)
        (tmp_path / "pixels").unlink()  # the cache may be cleared during a run
    return LazyImages(stored, ORDER, CPU, 3)


def test_indexing_equals_that_of_the_tensor(images):
    every = STORED[ORDER]
    assert (len(images), images.shape, images.numel()) == (5, tuple(every.shape), every.numel())
    assert (images.dtype, images.device) == (every.dtype, every.device)
    for which in (torch.tensor([4, 0, 0]), torch.tensor([[1, 2], [3, 3]]), slice(1, 4), slice(0)):
        found = images[which]
        assert torch.equal(found, every[which])
        assert found.is_contiguous()
    assert torch.equal(in_memory(images), every)
    for size in (1, 2, 5, 9):
        parts = list(images.split(size))
        assert [len(part) for part in parts] == [len(part) for part in every.split(size)]
        assert torch.equal(torch.cat(parts), every)


def test_what_is_read_can_be_changed(images):
    images[ORDER[:2]].fill_(0)
    images[:].fill_(0)
    assert torch.equal(in_memory(images), STORED[ORDER])


def test_rows_of_rows_are_not_read(images, monkeypatch):
    monkeypatch.setattr(LazyImages, "_read", lambda *_: pytest.fail("read"))
    some = lazily(lazily(images, torch.tensor([4, 2, 0])), torch.tensor([2, 1]))
    monkeypatch.undo()
    assert torch.equal(in_memory(some), STORED[[3, 6]])


def test_grey_images_fill_three_channels():
    grey = LazyImages(STORED[:, :1], ORDER, CPU, 1)
    assert torch.equal(in_memory(with_channels(grey, 3)), STORED[ORDER, :1].repeat(1, 3, 1, 1))


def test_hash_is_that_of_the_tensor(images, monkeypatch):
    monkeypatch.setattr("hmnpack.runtime.kept._HASHED_AT_ONCE", 2)
    assert digest_of(images, "x") == digest_of(STORED[ORDER], "x")


def test_split_is_that_of_the_tensor(images, monkeypatch):
    monkeypatch.setattr(lazy, "_CHUNK_BYTES", 1)
    labels = torch.tensor([1, 0, 1, 0, 0])
    found, expected = split_of(images, labels), split_of(STORED[ORDER], labels)
    assert found.fingerprint == expected.fingerprint
    assert torch.equal(found.images, expected.images)
    chosen = torch.tensor([True, False, True, True, False])
    assert torch.equal(found.subset(chosen).images, expected.images[chosen])
    swapped = found.of_classes([1, 0])
    assert torch.equal(swapped.images, expected.images[[3, 4, 0, 1, 2]])
    assert torch.equal(swapped.labels, torch.tensor([0, 0, 1, 1, 1]))


def test_file_of_another_size_is_refused(tmp_path):
    (tmp_path / "pixels").write_bytes(b"123")
    with pytest.raises(ValueError, match="has 3 bytes, not 4"):
        PixelFile(tmp_path / "pixels", (1, 1, 2, 2))


def test_memory_of_a_large_dataset_is_bounded(tmp_path, monkeypatch):
    """All of a file is read in parts: the memory of the process stays below its size."""
    if not os.path.exists("/proc/self/statm"):  # noqa: PTH110
        pytest.skip("needs /proc")
    monkeypatch.setattr(lazy, "_CHUNK_BYTES", 2**20)
    shape, size = (4096, 1, 128, 128), 2**26
    (tmp_path / "pixels").write_bytes(bytes(size))
    images = LazyImages(PixelFile(tmp_path / "pixels", shape), torch.arange(4096), CPU, 1)
    before, most = _resident(), 0
    for chunk in chunks(images):
        assert not chunk.any()
        most = max(most, _resident() - before)
    assert most < size / 2


def test_file_that_is_cut_short_is_an_error(tmp_path):
    path = tmp_path / "pixels"
    path.write_bytes(STORED.numpy().tobytes())
    file = PixelFile(path, STORED.shape)
    path.write_bytes(b"")
    with pytest.raises(OSError, match="cut short"):
        file[ORDER]


def _resident():
    """Return the bytes of this process in memory."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("kind", ["lazy", "tensor"])
@pytest.mark.parametrize(("free", "fits"), [(None, True), (840, True), (599, False)])
def test_images_that_fit_an_accelerator_are_uploaded_once(monkeypatch, kind, free, fits):
    """The device ``meta`` stands for an accelerator: it holds shapes."""
    images = LazyImages(STORED, ORDER, CPU, 3) if kind == "lazy" else STORED[ORDER]
    monkeypatch.setattr(lazy, "free_memory", lambda _: free)
    monkeypatch.setattr(lazy, "_CHUNK_BYTES", 130)
    found = on_device(images, torch.device("meta"))
    assert isinstance(found, torch.Tensor if fits else LazyImages)
    assert found.device.type == "meta"
    assert tuple(found.shape) == (5, 3, 4, 5)
    assert found[torch.tensor([4, 1])].device.type == "meta"
    if not fits:
        assert torch.equal(in_memory(lazy.replace(found, device=CPU)), STORED[ORDER])


@pytest.mark.parametrize(
    ("modes", "channels"), [("LLLL", 1), ("LLRL", 3), ("RLLL", 3), ("LLLR", 3)]
)
def test_first_colour_image_makes_all_images_colour(
    options, tmp_path, image_of, monkeypatch, modes, channels
):
    monkeypatch.setattr("hmnpack.sources.decode._CHUNK", 1)
    monkeypatch.setattr("hmnpack.sources.sink._COPIED", 30)
    folder = tmp_path / "pets" / "train" / "cat"
    folder.mkdir(parents=True)
    expected = []
    for number, mode in enumerate(modes):
        image = image_of(number, mode="L" if mode == "L" else "RGB")
        image.save(folder / f"{number}.png")
        shown = image.convert("L" if channels == 1 else "RGB").tobytes()
        pixels = torch.frombuffer(bytearray(shown), dtype=torch.uint8)
        expected.append(pixels.view(4, 6, channels).permute(2, 0, 1))
    images = torch.stack(expected)
    labels = torch.zeros(4, dtype=torch.int64)
    found = open_source(tmp_path / "pets", options).train
    assert found.fingerprint == split_of(images, labels).fingerprint
    assert torch.equal(found.images, split_of(images, labels).images)
