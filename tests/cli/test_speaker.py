"""Which rank prints when torchrun starts the same command several times."""

import os
import signal

import pytest

from hmnpack.cli.cmd_compress import Pausing
from hmnpack.cli.signals import ENDING
from hmnpack.cli.speaker import echo_once
from hmnpack.runtime.notes import is_main_rank


@pytest.fixture
def as_rank(monkeypatch):
    """Return a function that makes this process one of two ranks."""

    def as_rank(rank):
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", str(rank))

    for name in ("WORLD_SIZE", "RANK", "TORCHELASTIC_USE_AGENT_STORE"):
        monkeypatch.delenv(name, raising=False)
    return as_rank


def test_single_process_is_the_main_rank(as_rank, monkeypatch):
    assert is_main_rank()
    monkeypatch.setenv("RANK", "3")
    assert is_main_rank()


def test_rank_0_is_the_main_rank(as_rank):
    as_rank(0)
    assert is_main_rank()
    as_rank(1)
    assert not is_main_rank()


@pytest.mark.parametrize("rank", [None, 0, 1])
def test_every_rank_prints_without_the_store_of_torchrun(as_rank, rank, capsys):
    if rank is not None:
        as_rank(rank)
    echo_once("it rains")
    assert capsys.readouterr().err == "it rains\n"


def test_same_text_is_printed_once_with_the_store_of_torchrun(as_rank, monkeypatch, capsys):
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    as_rank(1)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    for text in ("it rains", "it rains", "it snows", "it rains"):
        echo_once(text)
    assert capsys.readouterr().err == "it rains\nit snows\n"
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    echo_once("it rains")
    assert capsys.readouterr().err == "it rains\n"


def test_usage_error_is_printed_on_rank_0(as_rank, run):
    as_rank(0)
    arguments = ("compress", "digits", "--ipc", "none")
    assert "--ipc" in run(*arguments).stderr
    as_rank(1)
    silent = run(*arguments)
    assert (silent.exit_code, silent.output) == (2, "")


class TestPausing:
    @pytest.fixture(autouse=True)
    def handlers_put_back(self):
        before = {number: signal.getsignal(number) for number in ENDING}
        yield
        for number, handler in before.items():
            signal.signal(number, handler)

    def test_one_of_several_ranks_is_not_interrupted(self, as_rank, capfd):
        as_rank(1)
        with Pausing() as pausing:
            assert not pausing.requested
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
                os.kill(os.getpid(), number)
            assert pausing.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert capfd.readouterr().err == ""

    def test_rank_0_prints_once(self, as_rank, capfd):
        as_rank(0)
        with Pausing():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
        assert capfd.readouterr().err == "hmnpack: pausing after this step\n"

    def test_second_ctrl_c_interrupts_a_single_process(self, as_rank, capfd):
        with pytest.raises(KeyboardInterrupt), Pausing() as pausing:
            pausing.begin()
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)  # a terminal that closes sends several, too
            assert pausing.requested
            os.kill(os.getpid(), signal.SIGINT)
        assert "Ctrl-C again stops immediately" in capfd.readouterr().err


def test_process_without_a_rank_is_the_main_rank(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("RANK", raising=False)
    assert is_main_rank()
