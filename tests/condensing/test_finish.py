"""A finished result that cannot be written is kept, and --resume writes it."""

import shutil
import signal

import pytest

import hmnpack
from hmnpack.condensing import finish
from hmnpack.condensing.request import RunOptions
from hmnpack.errors import BadSettings, OutputExists
from hmnpack.runtime import lock
from hmnpack.settings import recipe_of
from hmnpack.sources import Source, SourceOptions


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the smoke recipe, calling a function at the last step."""
    import torch

    from hmnpack.sources.types import split_of

    labels = torch.arange(2).repeat_interleave(10)
    pixels = torch.arange(20 * 64).reshape(20, 1, 8, 8).remainder(251).to(torch.uint8)
    source = Source("ramps", ("a", "b"), split_of(pixels, labels), None)
    (tmp_path / "out").mkdir()

    def run(at_end=lambda: None, **options):
        def listener(stage, done, total, **facts):
            if stage == "matching" and done == total:
                at_end()

        return hmnpack.compress(
            source,
            8,
            config=recipe_of("smoke"),
            output=tmp_path / "out" / "x.hmn",
            options=RunOptions(device="cpu", **options),
            source_options=SourceOptions(cache_dir=tmp_path / "cache"),
            listener=listener,
        )

    return run


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out" / "x.hmn"


@pytest.fixture
def no_training(monkeypatch):
    """Return a function that makes every further training a failure."""

    def forbid():
        monkeypatch.setattr(
            "hmnpack.condensing.run.fit_container", lambda *_: pytest.fail("trained again")
        )

    return forbid


def test_name_taken_meanwhile_keeps_the_result(run, output, no_training):
    with pytest.raises(OutputExists) as raised:
        run(lambda: output.write_text("mine"))
    message = str(raised.value)
    assert message == (
        f"{output} exists; the finished result is kept in {output}.ckpt: move {output} away and "
        "repeat the command with --resume, or with --resume --force to replace it"
    )
    assert output.read_text() == "mine"
    no_training()
    bundle = run(resume=True, force=True)
    assert output.read_bytes() == bundle.to_bytes()
    assert [path.name for path in output.parent.iterdir()] == ["x.hmn"]


def test_result_that_was_kept_has_the_bytes_of_an_undisturbed_run(run, output):
    whole = run().to_bytes()
    output.unlink()
    with pytest.raises(OutputExists, match=r"move .* away and repeat the command with --resume$"):
        run(output.mkdir)
    output.rmdir()
    assert run(resume=True).to_bytes() == whole
    assert output.read_bytes() == whole


def test_removed_folder_keeps_the_result(run, output, no_training):
    with pytest.raises(BadSettings, match="does not exist; the finished result is kept in"):
        run(lambda: shutil.rmtree(output.parent))
    no_training()
    run(resume=True)
    assert output.exists()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_interruption_while_writing_keeps_the_result(
    run, output, monkeypatch, no_training, interruption
):
    def interrupted(*_, **__):
        raise interruption

    with monkeypatch.context() as patch:
        patch.setattr("hmnpack.bundle.Bundle.save", interrupted)
        with pytest.raises(interruption):
            run()
    no_training()
    run(resume=True)
    assert output.exists()


def test_full_disk_keeps_the_result_elsewhere(run, output, monkeypatch, no_training, tmp_path):
    def full(*_, **__):
        raise BadSettings(f"cannot write {output} (No space left on device)")

    write = finish.Checkpoint.write

    def full_beside(self, **state):
        if self.path.parent == output.parent:
            full()
        write(self, **state)

    with monkeypatch.context() as patch:
        patch.setattr("hmnpack.bundle.Bundle.save", full)
        patch.setattr(finish.Checkpoint, "write", full_beside)
        with pytest.raises(BadSettings, match=r"No space left.*move it to .*x\.hmn\.ckpt and"):
            run()
    (kept,) = (tmp_path / "cache").glob("finished-*/x.hmn.ckpt")
    shutil.move(kept, f"{output}.ckpt")
    no_training()
    run(resume=True)
    assert output.exists()


def test_result_without_any_room_says_so(run, output, monkeypatch):
    def full(*_, **__):
        raise BadSettings(f"cannot write {output} (No space left on device)")

    monkeypatch.setattr("hmnpack.bundle.Bundle.save", full)
    monkeypatch.setattr(finish.Checkpoint, "write", full)
    with pytest.raises(BadSettings, match=r"cannot be kept in another folder either$"):
        run()


def test_second_run_into_an_output_is_refused_at_its_start(run, output):
    def second():
        with pytest.raises(OutputExists, match=r"another run is writing .*x\.hmn; wait for it"):
            run(force=True)

    run(second)
    assert [path.name for path in output.parent.iterdir()] == ["x.hmn"]
    assert not lock.lock_of(output).exists()


def at_step(wanted, action):
    """Return a pause check, called after every step, that acts once and never pauses."""
    calls = iter(range(1, 10_000))

    def check():
        if next(calls) == wanted:
            action()
        return False

    return check


def test_ctrl_c_in_python_saves_the_run_at_any_moment(run, output):
    whole = run().to_bytes()
    output.unlink()
    with pytest.raises(KeyboardInterrupt):
        run(should_pause=at_step(4, lambda: signal.raise_signal(signal.SIGINT)))
    assert not output.exists()
    assert output.with_name("x.hmn.ckpt").exists()
    assert run(resume=True).to_bytes() == whole
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_second_ctrl_c_in_python_interrupts_at_once(run):
    def twice():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(should_pause=at_step(4, twice))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, OSError])
def test_error_of_the_listener_saves_the_run(run, output, error):
    whole = run().to_bytes()
    output.unlink()

    def fail():
        raise error

    with pytest.raises(error):
        run(fail)
    assert output.with_name("x.hmn.ckpt").exists()
    assert run(resume=True).to_bytes() == whole
