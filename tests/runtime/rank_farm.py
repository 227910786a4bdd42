"""Runs small jobs in several forked ranks, so that torch is imported only once.

A test starts this file as a program and writes requests to its standard input, one JSON object per
line: ``{"folder": F, "job": J, "ranks": R, ...}``. R processes run the function named J below in
folder F, with the environment that ``torchrun`` sets. Their output goes to ``F/<rank>.out`` and
``F/<rank>.err``. Process ids are written to ``F/pids.json`` at once, and exit codes to
``F/codes.json`` at the end.
"""

import itertools
import json
import os
import runpy
import socket
import sys
import time
import traceback
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
from torch.distributed import distributed_c10d
from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import hmnpack
import hmnpack.condensing.compress  # before `command` replaces RunOptions
from hmnpack.bundle import Bundle
from hmnpack.cli import main
from hmnpack.condensing import fitting
from hmnpack.condensing import request as request_module
from hmnpack.errors import HmnError, Paused
from hmnpack.pruning.trainings import Trainings
from hmnpack.runtime import devices
from hmnpack.runtime.ranks import joined
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import GradientConfig, NetworkConfig, TrainConfig
from hmnpack.settings import recipe_of
from hmnpack.sources import Source, SourceOptions
from hmnpack.sources.types import split_of

CPU = torch.device("cpu")
GRADIENT = GradientConfig(
    networks=2,
    inner_steps=3,
    network=NetworkConfig(width=4, depth=2),
    train_images=12,
    train=TrainConfig(epochs=0, batch=6, schedule="constant", precision="float32"),
    real_batch=5,
    synthetic_batch=3,
    precision="float32",
)


def stripes(classes=3):
    labels = torch.arange(classes).repeat_interleave(20)
    noise = torch.randint(0, 120, (len(labels), 1, 16, 16), generator=stream(0, "pixels"))
    images = (noise + 50 * labels[:, None, None, None]).to(torch.uint8)
    return Source("stripes", tuple("abcde"[:classes]), split_of(images, labels), None)


def compressed(cache, gradient, *, match=None, classes=3, output=None, pause_at=None, resume=False):
    """Return the bundle's tensors, or the error's type and message, and the progress events."""
    events, polls = [], itertools.count(1)

    def listener(stage, done, total, **facts):
        events.append((stage, done, total, facts))

    smoke, exact = recipe_of("smoke"), {"precision": "float32"}
    changes = {
        "pool": smoke.pool.model_copy(update={"train": smoke.pool.train.model_copy(update=exact)}),
        "match": smoke.match.model_copy(update=exact | (match or {})),
        "gradient": GRADIENT.model_copy(update=gradient),
    }
    try:
        bundle = hmnpack.compress(
            stripes(classes),
            8,
            config=smoke.model_copy(update=changes),
            output=output,
            options=request_module.RunOptions(
                device="cpu", resume=resume, should_pause=lambda: next(polls) == pause_at
            ),
            source_options=SourceOptions(cache_dir=Path(cache)),
            listener=listener,
        )
    except HmnError as error:
        return {"error": (type(error).__name__, str(error)), "events": events}
    return {"tensors": bundle.tensors, "events": events}


def compress(request, rank):
    """Execute the runs of the request and save their results as ``<rank>.pt``.

    ``"of_rank": {"1": {...}}`` changes a run's arguments on one rank.
    """
    if rank:
        Bundle.save = fitting.write_state = forbidden
    found = {}
    with joined(CPU) as world:
        assert (world.rank, world.size) == (rank, request["ranks"])
        for name, run in request["runs"].items():
            changes = run.pop("of_rank", {}).get(str(rank), {})
            found[name] = compressed(**run | changes)
    torch.save(found, f"{rank}.pt")


def forbidden(*args, **options):
    raise AssertionError("only rank 0 writes")


def communicate(request, rank):
    """Call each method of the world; then rank 1 leaves while rank 0 waits for it."""
    with joined(CPU) as world:
        full = torch.arange(6.0).view(3, 2)
        rows, own = torch.full((3, 2), 9.0), world.share(3)
        rows[own.start : own.stop] = full[own.start : own.stop]
        counts = torch.tensor([rank + 1])
        mine = torch.tensor(float(rank)), torch.full((2,), float(rank))
        world.collect([rows], 3)
        world.add([counts])
        world.broadcast(mine)
        assert torch.equal(rows, full)
        assert counts.item() == 3
        assert [value.tolist() for value in mine] == [0, [0, 0]]
        assert world.any(rank == 1, False, True) == (True, False, True)
        assert world.of_leader(f"rank {rank}") == "rank 0"
        try:
            with world.leader_first():
                Path("leader").touch(exist_ok=rank != 0)
                if rank == 0:
                    raise Paused("leader failed")
        except Paused as error:
            print(error)
        with world.leader_first():
            assert Path("leader").exists()
        if rank == 0:
            world.wait()


def be_late(request, rank):
    """Let rank 1 be late in long work by more than the timeout of a step."""

    def train(names, listener):
        time.sleep(3 * rank)
        return torch.tensor([float(name) for name in names])

    with joined(CPU) as world:
        distributed_c10d._set_pg_timeout(timedelta(seconds=1), distributed_c10d.GroupMember.WORLD)
        with world.leader_first():
            time.sleep(3 * rank)
        world.broadcast([torch.zeros(1)])
        made = Trainings(world).run("t", ["3", "4", "5"], train, torch.zeros(()), CPU)
    assert {name: value.item() for name, value in made.items()} == {"3": 3, "4": 4, "5": 5}


def command(request, rank):
    """Run the command line, with a checkpoint after every step."""
    request_module.RunOptions = partial(request_module.RunOptions, checkpoint_seconds=0)
    Path(f"{os.environ.get('RANK')}.pid").write_text(str(os.getpid()))
    main(request["words"])


def torchrun(request, rank):
    """Run the command line in two processes, supervised by torchrun's agent."""
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        run_id="test",
        max_restarts=0,
        monitor_interval=0.1,
        start_method="fork",
    )
    record(elastic_launch(config, command))(request, rank)


def script(request, rank):
    """Run an example script."""
    sys.argv = [request["path"], *request["words"]]
    runpy.run_path(request["path"], run_name="__main__")


def fork(work):
    """Run a function in a forked process; return its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1  # Python's exit code after an uncaught exception
    try:
        work()
        code = 0
    except SystemExit as leaving:
        code = leaving.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def as_rank(request, rank, port):
    os.chdir(request["folder"])
    for number, end in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{rank}.{end}", os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    if request["ranks"] > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(request["ranks"])}
    globals()[request["job"]](request, rank)


def serve(request):
    folder = Path(request["folder"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ranks = range(request["ranks"])
    pids = [fork(partial(as_rank, request, rank, port)) for rank in ranks]
    write(folder / "pids.json", pids)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    write(folder / "codes.json", codes)


def write(path, value):
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value))
    new.replace(path)


def preload():
    """Import modules once that would take seconds to import in every rank."""
    import PIL.Image  # noqa: F401

    import hmnpack.cli.cmd_compress
    import hmnpack.cli.progress
    import hmnpack.condensing.estimate  # noqa: F401

    parameter = torch.zeros(1, requires_grad=True)
    parameter.grad = torch.zeros(1)
    torch.optim.Adam([parameter]).step()


if __name__ == "__main__":
    # As in the tests' own process, which resumes the ranks' runs: see conftest.py.
    devices.multiplies_bfloat16 = lambda device: False
    preload()
    for line in sys.stdin:
        fork(partial(serve, json.loads(line)))
