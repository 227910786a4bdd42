"""examples/cluster: the scaling model, its table and the SLURM script."""

import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "cluster"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no source tree")


@pytest.fixture(scope="module")
def scaling():
    spec = importlib.util.spec_from_file_location("scaling", FOLDER / "scaling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_step_time_is_training_plus_largest_share_plus_messages(scaling):
    step = scaling.Step(classes=10, training=3.0, matching=20.0, messages=0.5)
    times = {ranks: step.of_ranks(ranks) for ranks in (1, 2, 3, 10)}
    assert times == pytest.approx({1: 23.0, 2: 13.5, 3: 11.5, 10: 5.5})
    assert step.speed_up(2) == pytest.approx(23 / 13.5)


def test_flops_match_the_package(scaling):
    from hmnpack.networks.flops import SECOND_DERIVATIVES, TRAINING, WEIGHT_GRADIENTS
    from hmnpack.schema.container import ImageShape
    from hmnpack.schema.recipes import DataShape

    shape = ImageShape(channels=3, height=32, width=32)
    run = scaling._run(DataShape(name="cifar10", classes=10, image=shape), 50_000, 1)
    profile, step = run.profile(run.config.gradient.network), scaling.count_operations(run)
    # Eight batches of 256 after every step of a network except the last.
    assert step.training == 2048 * profile.flops(TRAINING) * 199 / 200
    gradients = 640 * profile.flops(WEIGHT_GRADIENTS)
    gradients += 850 * profile.flops(SECOND_DERIVATIVES)
    assert 1 < step.matching / gradients < 1.01  # the rest is the decoder


def test_readme_table_matches_the_script(scaling):
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- scaling: [^\n]*-->\n(.*?)<!-- end", page, flags=re.DOTALL)
    assert shown == scaling.table(1) + "\n", "run python examples/cluster/scaling.py"


@pytest.fixture
def slurm(tmp_path):
    """Return a function that runs the script with a stub `srun` that executes `does`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    stubs = {
        "srun": 'echo "$@" > "$SHARED/srun"; eval "$DOES"',
        "scontrol": 'if [ "$1" = requeue ]; then echo "$2" > "$SHARED/requeued"; else echo n7; fi',
    }
    for name, text in stubs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)

    def slurm(does):
        environment = {
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "SHARED": str(tmp_path),
            "DOES": does,
            "SLURM_JOB_ID": "42",
            "SLURM_NNODES": "2",
            "SLURM_GPUS_ON_NODE": "8",
            "SLURM_JOB_NODELIST": "n[7-8]",
        }
        script = ["bash", str(FOLDER / "compress.slurm"), "cifar10", "--ipc", "1"]
        done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, (tmp_path / "requeued").exists()

    return slurm


def event(**facts):
    return f"echo '{json.dumps(facts)}' >> $SHARED/run.jsonl"


PAUSED = event(event="stopped", why="Paused: paused at step 3 of 4 of gradient; --resume")
DIVERGED = event(event="stopped", why="Diverged: the loss of gradient became nan")


class TestSlurm:
    @pytest.mark.parametrize(
        ("does", "expected"),
        [
            (f"touch $SHARED/bundle.hmn; {event(event='ended')}", (0, False)),
            (f"{PAUSED}; exit 1", (0, True)),
            (f"{DIVERGED}; exit 1", (1, False)),
            ("exit 1", (1, False)),
        ],
        ids=["done", "paused", "diverged", "failed before the log"],
    )
    def test_job_is_requeued_after_a_pause_only(self, slurm, does, expected):
        assert slurm(does) == expected

    def test_pause_of_an_earlier_job_is_ignored(self, slurm, tmp_path):
        assert slurm(f"{PAUSED}; exit 1") == (0, True)
        (tmp_path / "requeued").unlink()
        assert slurm("exit 1") == (1, False)

    def test_srun_launches_compress_by_torchrun_on_every_node(self, slurm, tmp_path):
        from hmnpack.cli.group import main

        slurm("exit 1")
        words = (tmp_path / "srun").read_text().split()
        launch, command = words[: words.index("--")], words[words.index("--") + 2 :]
        assert "--nnodes 2 --nproc-per-node 8" in " ".join(launch)
        assert "--rdzv-endpoint n7:29500 --rdzv-id 42-0 -m" in " ".join(launch)
        compress = main.get_command(None, command[0])
        params = compress.make_context("compress", command[1:]).params
        assert (params["data"], params["resume"], params["max_minutes"]) == ("cifar10", True, 220)
        assert params["output"] == tmp_path / "bundle.hmn"

    def test_finished_bundle_is_not_condensed_again(self, slurm, tmp_path):
        (tmp_path / "bundle.hmn").touch()
        assert slurm("exit 1") == (0, False)
        assert not (tmp_path / "srun").exists()
