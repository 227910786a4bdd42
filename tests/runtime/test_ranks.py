"""Several ranks compute the same losses and container as one; only rank 0 writes files.

`rank_farm.py` forks the ranks; one test starts `torchrun` itself.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hmnpack.errors import BadSettings
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.ranks import ALONE, World, joined

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork"),
]
FARM = Path(__file__).with_name("rank_farm.py")
TIMEOUT = 120
FRESH = {"train_images": 12}
NO_GRADIENT = {"networks": 0}
UNTRAINED = {"train_images": 0}
RUNS = {
    "fresh": {"gradient": FRESH},
    "untrained": {"gradient": UNTRAINED},
    "views": {"gradient": NO_GRADIENT, "match": {"part_images": 2, "views": 2}},
    "characteristic": {"gradient": NO_GRADIENT, "match": {"objective": "characteristic"}},
}
LONG = (
    "--recipe",
    "smoke",
    "--device",
    "cpu",
    "--set",
    "match.steps=1000000",
    "--log",
    "run.jsonl",
)


def module():
    spec = importlib.util.spec_from_file_location("rank_farm", FARM)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


compressed = module().compressed


class Job:
    """The ranks of a request, with their folder."""

    def __init__(self, folder):
        self.folder = folder

    def codes(self):
        return json.loads(read_when_written(self.folder / "codes.json"))

    def pid(self, name):
        return int(read_when_written(self.folder / f"{name}.pid"))

    def launcher(self):
        return json.loads(read_when_written(self.folder / "pids.json"))[0]

    def messages(self, end="err"):
        """Return hmnpack's lines from all ranks."""
        texts = [path.read_text() for path in sorted(self.folder.glob(f"*.{end}"))]
        return [line for line in "".join(texts).splitlines() if line.startswith("hmnpack:")]

    def found(self, rank):
        assert self.codes()[rank] == 0, (self.folder / f"{rank}.err").read_text()
        return torch.load(self.folder / f"{rank}.pt", weights_only=False)

    def events(self):
        lines = (self.folder / "run.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def wait_until_matching(self):
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            log = self.folder / "run.jsonl"
            if log.exists() and '"matching", "done": 10,' in log.read_text():
                return
            time.sleep(0.02)
        raise TimeoutError((self.folder / "0.err").read_text())


def read_when_written(path):
    end = time.monotonic() + TIMEOUT
    while not path.exists() or not path.read_text():
        assert time.monotonic() < end, path
        time.sleep(0.02)
    return path.read_text()


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Function that requests ranks from the farm."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    farm = subprocess.Popen(
        [sys.executable, str(FARM)], stdin=subprocess.PIPE, text=True, env=environment
    )

    def start(job, ranks=1, **request):
        folder = tmp_path_factory.mktemp(job)
        line = json.dumps({"folder": str(folder), "job": job, "ranks": ranks, **request})
        farm.stdin.write(line + "\n")
        farm.stdin.flush()
        return Job(folder)

    yield start
    farm.stdin.close()
    farm.wait()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def data(place):
    """A folder of small images in three classes."""
    from PIL import Image

    for label, name in enumerate("abc"):
        folder = place / "data" / "train" / name
        folder.mkdir(parents=True)
        for index in range(8):
            grey = 60 * label + 9 * index
            Image.new("RGB", (16, 16), (grey, grey, grey)).save(folder / f"{index}.png")
    return place / "data"


@pytest.fixture(scope="module")
def single_rank(place):
    """The results of a single rank."""
    return {
        name: compressed(place / "alone", output=place / f"{name}.hmn", **run)
        for name, run in RUNS.items()
    }


@pytest.fixture(scope="module")
def real_torchrun(place, data):
    """A process of `torchrun` itself."""
    folder = place / "real"
    folder.mkdir()
    words = ["--nproc-per-node", "2", "-m", "hmnpack", "compress", str(data), "--ipc", "8"]
    more = ["-o", "x.hmn", "--cache-dir", str(place / "cache"), "--recipe", "smoke"]
    with subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *words, *more, "--device", "cpu"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield folder, process


@pytest.fixture(scope="module")
def two(real_torchrun, start, place, single_rank):
    """All runs of two ranks, by name.

    `torchrun` is started first because it takes longest; it runs in the background.
    """
    paused = compressed(place / "alone", FRESH, output=place / "from-1.hmn", pause_at=13)
    text = "paused at step 4 of 6 of gradient; pass --resume to continue"
    assert paused["error"] == ("Paused", text)
    (place / "seen-by-0.hmn.ckpt").write_bytes((place / "from-1.hmn.ckpt").read_bytes())
    run = {"cache": str(place / "two"), "gradient": FRESH}

    def path(name):
        return str(place / f"{name}.hmn")

    return start(
        "compress",
        ranks=2,
        runs={
            **{name: run | settings for name, settings in RUNS.items()},
            "written": run | {"output": path("written")},
            "from-1": run | {"output": path("from-1"), "resume": True},
            "paused": run | {"output": path("from-2"), "of_rank": {"1": {"pause_at": 12}}},
            "matching": run
            | RUNS["views"]
            | {"output": path("matching"), "of_rank": {"1": {"pause_at": 8}}},
            "exists": run | {"output": path("fresh")},
            "unfinished": run | {"output": path("from-2")},
            "other settings": run | {"of_rank": {"1": {"gradient": UNTRAINED}}},
            "other folder": run
            | {"resume": True, "output": path("seen-by-0")}
            | {"of_rank": {"1": {"output": path("seen-by-1")}}},
        },
    )


def assert_same(ours, theirs):
    """Compare losses and containers; ranks sum the same float32 values in another order."""
    ours_events, theirs_events = (
        [event for event in run["events"] if not event[0].startswith("pool")]
        for run in (ours, theirs)
    )
    assert len(ours_events) == len(theirs_events)
    for (*ours_step, ours_facts), (*theirs_step, theirs_facts) in zip(
        ours_events, theirs_events, strict=True
    ):
        assert ours_step == theirs_step
        assert ours_facts == pytest.approx(theirs_facts, rel=1e-5)
    assert_same_container(ours, theirs)


def assert_same_container(ours, theirs):
    for name, tensor in theirs["tensors"].items():
        torch.testing.assert_close(ours["tensors"][name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_match_a_single_rank(two, single_rank, name):
    assert_same(two.found(0)[name], single_rank[name])


def test_every_rank_returns_the_same_container(two):
    first, second = two.found(0), two.found(1)
    for name in (*RUNS, "from-1"):
        for key, tensor in first[name]["tensors"].items():
            assert torch.equal(tensor, second[name]["tensors"][key]), key
        assert second[name]["events"] == []


def test_rank_0_writes_the_bundle_and_leaves_no_checkpoint(two, place):
    import hmnpack

    first = two.found(0)["written"]  # rank 1 would fail if it wrote
    written = hmnpack.bundle.read(place / "written.hmn")
    assert all(torch.equal(written.tensors[key], first["tensors"][key]) for key in written.tensors)
    assert not (place / "written.hmn.ckpt").exists()


def test_two_ranks_resume_the_checkpoint_of_one(two, single_rank):
    run = two.found(0)["from-1"]
    assert [event[:2] for event in run["events"]] == [("gradient", 4), ("gradient", 6)]
    assert_same_container(run, single_rank["fresh"])


def test_pause_on_one_rank_pauses_all(two):
    text = "paused at step 3 of 6 of gradient; pass --resume to continue"
    assert [two.found(rank)["paused"]["error"] for rank in (0, 1)] == [("Paused", text)] * 2


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("exists", "OutputExists", "fresh.hmn exists"),
        ("unfinished", "OutputExists", "from-2.hmn.ckpt holds an unfinished run"),
        ("other settings", "BadSettings", "the ranks have different data, settings"),
        ("other folder", "BadSettings", "a folder that all machines share"),
    ],
)
def test_every_rank_raises_the_same_error(two, name, kind, text):
    for rank in (0, 1):
        found = two.found(rank)[name]
        assert found["error"][0] == kind
        assert text in found["error"][1]
        assert "\n" not in found["error"][1]
        assert found["events"] == []


def test_one_rank_and_three_resume_the_checkpoint_of_two(two, start, place, single_rank):
    two.codes()
    shutil.copy(place / "from-2.hmn.ckpt", place / "for-3.hmn.ckpt")
    run = {"cache": str(place / "two"), "gradient": FRESH}
    three = start(
        "compress",
        ranks=3,
        runs={
            "three ranks": run | {"output": str(place / "for-3.hmn"), "resume": True},
            "two classes": run | {"classes": 2},
        },
    )
    one = compressed(place / "two", FRESH, output=place / "from-2.hmn", resume=True)
    for run in (one, three.found(0)["three ranks"]):
        assert [event[:2] for event in run["events"]] == [("gradient", 3), ("gradient", 6)]
        assert_same_container(run, single_rank["fresh"])
    for rank in range(3):
        error = three.found(rank)["two classes"]["error"]
        assert error == ("BadSettings", "3 ranks for 2 classes; start at most one rank per class")


def test_one_rank_resumes_the_matching_of_two(two, place, single_rank):
    text = "paused at step 3 of 4 of matching; pass --resume to continue"
    assert two.found(0)["matching"]["error"] == ("Paused", text)
    output = place / "matching.hmn"
    one = compressed(place / "two", output=output, resume=True, **RUNS["views"])
    assert [event[:2] for event in one["events"]][-2:] == [("matching", 3), ("matching", 4)]
    assert_same_container(one, single_rank["views"])


def test_ranks_communicate_and_detect_a_lost_rank(start):
    job = start("communicate", ranks=2)
    assert job.codes() == [1, 0]
    error = (job.folder / "0.err").read_text().splitlines()[-1]
    assert error.startswith("hmnpack.errors.RankLost: another rank ended")
    assert (job.folder / "1.out").read_text() == "leader failed\n"


def test_rank_may_be_late_in_long_work(start):
    job = start("be_late", ranks=2)
    assert job.codes() == [0, 0], (job.folder / "0.err").read_text()


def test_scaling_example_measures_two_ranks(start):
    path = FARM.parents[2] / "examples" / "cluster" / "scaling.py"
    if not path.is_file():
        pytest.skip("needs the source tree")
    words = "--measure --classes 3 --width 4 --images 2 --train-images 4 --repeats 1 --device cpu"
    request = {"path": str(path), "words": [*words.split(), "--save", "scaling.json"]}
    job = start("script", ranks=2, **request)
    assert job.codes() == [0, 0], (job.folder / "0.err").read_text()
    result = json.loads((job.folder / "scaling.json").read_text())
    figures = result["figures"]
    assert figures["ranks"] == 2
    assert all(figures[name] > 0 for name in ("seconds_all_ranks", "cpu_seconds_messages"))
    assert result["command"].endswith("--device cpu --save scaling.json")


class TestUnderTorchrun:
    """The command line in two processes."""

    @pytest.fixture
    def torchrun(self, start, place, data):
        def torchrun(*words):
            cache = ["--cache-dir", str(place / "cache")]
            request = ["compress", str(data), "--ipc", "8", *cache, "-o", "x.hmn", *words]
            return start("torchrun", words=request)

        return torchrun

    def resume(self, job, data, place, monkeypatch):
        """Resume a job with one rank for one step; return its standard error."""
        from click.testing import CliRunner

        from hmnpack.cli.group import main

        monkeypatch.chdir(job.folder)
        words = ["--cache-dir", str(place / "cache"), "-o", "x.hmn", *LONG]
        more = ["--resume", "--max-minutes", "0"]
        run = CliRunner().invoke(main, ["compress", str(data), "--ipc", "8", *words, *more])
        assert run.exit_code == 5, run.output
        return run.stderr

    def test_sigterm_pauses_every_rank(self, torchrun, data, place, monkeypatch):
        job = torchrun(*LONG)
        job.wait_until_matching()
        os.kill(job.launcher(), signal.SIGTERM)
        assert job.codes() == [1]  # torchrun's exit code
        pausing, paused = job.messages()
        assert pausing == "hmnpack: pausing after this step"
        assert paused.startswith("hmnpack: paused at step ")
        last = job.events()[-1]
        assert (last["event"], last["why"][:15]) == ("stopped", "Paused: paused ")
        done = int(paused.split()[4])
        assert f"paused at step {done + 1} of" in self.resume(job, data, place, monkeypatch)

    def test_killed_rank_ends_the_job_and_keeps_the_checkpoint(
        self, torchrun, data, place, monkeypatch
    ):
        job = torchrun(*LONG)
        job.wait_until_matching()
        os.kill(job.pid(1), signal.SIGKILL)
        assert job.codes() == [1]
        assert job.events()[-1]["why"].startswith("RankLost: ")  # rank 0 ended by itself
        (lost,) = [line for line in job.messages() if "pausing after" not in line]
        assert lost.startswith("hmnpack: another rank ended or is unreachable")
        assert "--resume" in lost
        saved = torch.load(job.folder / "x.hmn.ckpt", weights_only=True)
        assert (saved["stage"], saved["step"] >= 10) == ("matching", True)
        assert not (job.folder / "x.hmn").exists()
        text = f"paused at step {saved['step'] + 1} of"
        assert text in self.resume(job, data, place, monkeypatch)

    def test_bad_data_is_reported_once(self, start):
        words = ["compress", "./missing", "--ipc", "8", "-o", "x.hmn", "--device", "cpu"]
        job = start("torchrun", words=words)
        assert job.codes() == [1]
        (line,) = job.messages()
        assert line.startswith("hmnpack: './missing' does not exist")

    def test_only_rank_0_prints_and_writes(self, real_torchrun):
        folder, process = real_torchrun
        stdout, stderr = process.communicate()
        assert process.returncode == 0, stderr
        assert stdout.count("x.hmn: ") == stderr.count("Compressing into x.hmn") == 1
        assert stderr.count("matching: 4 in") == 1
        assert [path.name for path in folder.iterdir()] == ["x.hmn"]


class TestWorld:
    @pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 100, 1000])
    @pytest.mark.parametrize("size", [1, 2, 3, 8, 64])
    def test_shares_are_contiguous_and_even(self, size, count):
        shares = [World(rank, size).share(count) for rank in range(size)]
        assert [label for share in shares for label in share] == list(range(count))
        assert max(map(len, shares)) == -(-count // size)
        assert min(map(len, shares)) == count // size

    def test_single_process_methods_are_no_ops(self, tmp_path):
        rows = torch.arange(6.0)
        for change in (ALONE.add, ALONE.broadcast, lambda tensors: ALONE.collect(tensors, 3)):
            change([rows])
            assert torch.equal(rows, torch.arange(6.0))
        assert ALONE.any(True, False) == (True, False)
        assert ALONE.of_leader("x") == "x"
        with ALONE.leader_first():
            pass
        ALONE.wait()

    def test_joined_without_torchrun_is_alone(self, monkeypatch):
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        with joined(torch.device("cpu")) as world:
            assert world is ALONE
            assert not torch.distributed.is_initialized()

    def test_joined_reports_why_ranks_cannot_connect(self, monkeypatch):
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.delenv("RANK", raising=False)
        with (
            pytest.raises(BadSettings, match=r"WORLD_SIZE is 2.*RANK"),
            joined(torch.device("cpu")),
        ):
            pass
        with (
            pytest.raises(BadSettings, match="mps does not support 2 ranks; use --device cpu"),
            joined(torch.device("mps")),
        ):
            pass


class TestDevice:
    @pytest.fixture
    def chosen(self, monkeypatch):
        chosen = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
        return chosen

    @pytest.mark.parametrize("name", ["auto", "cuda"])
    def test_each_process_gets_its_own_accelerator(self, chosen, monkeypatch, name):
        assert choose_device(name) == torch.device("cuda", 0)
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert choose_device(name) == chosen[-1] == torch.device("cuda", 1)
        assert choose_device("cpu") == torch.device("cpu")

    def test_meta_device_is_rejected(self):
        with pytest.raises(BadSettings, match=r"'meta' cannot be used .it does not compute.; try"):
            choose_device("meta")

    def test_too_few_accelerators_are_rejected(self, chosen, monkeypatch):
        monkeypatch.setenv("LOCAL_RANK", "2")
        with pytest.raises(BadSettings, match="has 2 accelerators, none for its process 3"):
            choose_device("auto")

    def test_accelerator_shared_by_processes_is_rejected(self, chosen, monkeypatch):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
        with pytest.raises(BadSettings, match="2 processes would share cuda:1"):
            choose_device("cuda:1")
