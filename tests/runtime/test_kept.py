"""A store of resumable work: an entry is finished, unfinished or not started."""

import multiprocessing

import pytest
import torch

from hmnpack.errors import BadSettings
from hmnpack.runtime.kept import Store, digest_of, entry_name, read_state

STATE = {"epoch": 3, "weights": {"w": torch.arange(4.0)}}


def files_in(folder):
    return sorted(path.suffix for path in folder.iterdir())


@pytest.fixture
def entry(tmp_path):
    return Store(tmp_path / "made" / "when needed").entry("network-1", "facts")


def test_entry_goes_from_empty_to_state_to_value(entry):
    assert entry.value() is None
    assert entry.state() is None
    assert not entry.path.parent.exists()
    for epoch in (3, 4):
        entry.save(STATE | {"epoch": epoch})
        assert entry.value() is None
        assert entry.state()["epoch"] == epoch
        assert torch.equal(entry.state()["weights"]["w"], torch.arange(4.0))
    entry.finish({"accuracy": 12.5})
    assert entry.value() == {"accuracy": 12.5}
    assert entry.state() is None
    assert files_in(entry.path.parent) == [".pt"]


def test_entry_can_be_finished_twice_without_a_state(entry):
    for value in (1, 2):
        entry.finish({"value": value})
        assert entry.value() == {"value": value}


@pytest.mark.parametrize("optional", [False, True])
def test_damaged_value_counts_as_missing(tmp_path, optional):
    entry = Store(tmp_path, optional).entry("network-1")
    entry.finish(STATE)
    for data in (b"", b"nonsense", entry.path.read_bytes()[:99]):
        entry.path.write_bytes(data)
        assert entry.value() is None
    torch.save([1.0], entry.path)
    assert entry.value() is None


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_state_that_does_not_fit_in_memory_is_kept(tmp_path, monkeypatch, error):
    def load(*_, **__):
        raise error

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(type(error)):
        read_state(tmp_path / "state")


def test_state_that_may_not_be_read_is_not_to_be_deleted(tmp_path, monkeypatch):
    def load(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(BadSettings, match=r"cannot read .*state \(Permission denied\)$"):
        read_state(tmp_path / "state")


def test_damaged_state_is_an_error_unless_optional(tmp_path):
    entry = Store(tmp_path).entry("network-1")
    entry.unfinished.write_bytes(b"nonsense")
    with pytest.raises(BadSettings, match=f"cannot read .*{entry.unfinished.name}; delete it"):
        entry.state()
    assert Store(tmp_path, optional=True).entry("network-1").state() is None


def test_state_finished_by_another_process_is_missing(entry, monkeypatch):
    """The file disappears while it is read."""

    def finished_by_another(path, **given):
        entry.finish({})
        raise FileNotFoundError(path)

    entry.save(STATE)
    monkeypatch.setattr("torch.load", finished_by_another)
    assert entry.state() is None


def test_failed_write_preserves_the_previous_state(entry, monkeypatch):
    def half(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    entry.save(STATE)
    monkeypatch.setattr("torch.save", half)
    for write in (entry.save, entry.finish):
        with pytest.raises(BadSettings, match=r"cannot write .* [(]No space left on device[)]"):
            write({"epoch": 4})
    assert entry.state()["epoch"] == 3
    assert files_in(entry.path.parent) == [".part"]


def test_unwritable_directory_is_an_error_unless_optional(tmp_path):
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "folder")
    with pytest.raises(BadSettings, match=r"cannot write to the work directory .* [(].*; name ano"):
        store.check_writable()
    assert not store.is_writable()
    for write in (store.entry("network-1").save, store.entry("network-1").finish):
        with pytest.raises(BadSettings, match="cannot create"):
            write(STATE)
    optional = Store(store.folder, optional=True).entry("network-1")
    optional.save(STATE)
    optional.finish(STATE)
    assert optional.value() is optional.state() is None


def test_check_writable_creates_an_empty_directory(tmp_path):
    store = Store(tmp_path / "new" / "folder")
    store.check_writable()
    assert store.is_writable()
    assert not list(store.folder.iterdir())


def _write_often(folder, number):
    entry = Store(folder).entry("network-1")
    for _ in range(20):
        entry.save({"by": torch.full((1000,), number)})
        entry.state()  # complete, or gone if the other process has finished
        entry.finish({"by": torch.full((1000,), number)})


def test_concurrent_processes_can_write_one_entry(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write_often, args=(tmp_path, n)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert files_in(tmp_path) == [".pt"]
    assert Store(tmp_path).entry("network-1").value()["by"].unique().numel() == 1


def test_file_name_depends_on_kind_facts_and_versions(tmp_path, monkeypatch):
    store = Store(tmp_path)
    entries = [
        store.entry("network-1", "a", 1),
        store.entry("network-2", "a", 1),
        store.entry("pool-1", "a", 1),
        store.entry("network-1", "a", 2),
        store.entry("network-1", "a"),
        store.entry("network-1", "a", torch.ones(1)),
        store.entry("network-1", "a", torch.ones(1, dtype=torch.int64)),
    ]
    monkeypatch.setattr("torch.__version__", "2.0")
    entries.append(store.entry("network-1", "a", 1))
    monkeypatch.setattr("hmnpack.runtime.kept.__version__", "99")
    entries.append(store.entry("network-1", "a", 1))
    names = [entry.path.name for entry in entries]
    assert len(set(names)) == len(names)
    assert {name.partition("-")[0] for name in names} == {"network", "pool"}
    assert len({path for one in entries for path in (one.path, one.unfinished)}) == 2 * len(names)


def test_entry_name_separates_facts():
    assert digest_of(1, 10) != digest_of(11, 0)
    assert digest_of("a", "b") != digest_of("ab")
    assert entry_name("network-1", 100, 1) != entry_name("network-1", 10, 1)
    assert entry_name("network-1", 1) == entry_name("network-1", 1) != entry_name("network-2", 1)


def test_read_state_executes_no_code(tmp_path):
    path = tmp_path / "file.pt"
    torch.save({"code": print}, path)
    with pytest.raises(BadSettings, match="cannot read"):
        read_state(path)
