"""`plan`, `expand`, `compress`, `evaluate`: options become one call, its result is printed."""

import json
import os
from math import prod
from pathlib import Path

import pytest
import torch

import hmnpack.condensing.compress
import hmnpack.evaluation
from hmnpack.bundle import read
from hmnpack.condensing.estimate import Estimate
from hmnpack.container.budget import budget_of, plan
from hmnpack.errors import BadSettings, Diverged
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import Result, Row
from hmnpack.sources import Source
from hmnpack.sources.types import split_of


def split(count, classes=3, channels=1, side=16):
    generator = torch.Generator().manual_seed(count)
    shape = (count, channels, side, side)
    images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    return split_of(images, torch.arange(count) % classes)


@pytest.fixture
def source(monkeypatch):
    """A dataset that every name opens; `calls` lists the calls that opened it."""
    made = Source("pets [x]", ("cat", "dog", "[red]elk"), split(60), split(12))
    calls = []

    def open_source(spec, options, listener, **_):
        calls.append((spec, options))
        listener("decode", 1, 1)
        return made

    monkeypatch.setattr("hmnpack.sources.open_source", open_source)
    monkeypatch.setattr("hmnpack.condensing.plan.open_source", open_source)
    made.__dict__["calls"] = calls
    return made


@pytest.fixture(autouse=True)
def rates(monkeypatch):
    """Replace the speed measurement: every device has 10^12 operations per second."""
    monkeypatch.setattr(
        "hmnpack.condensing.estimate.measured_rates",
        lambda device, precisions: dict.fromkeys(precisions, 1e12),
    )


class TestPlan:
    def test_prints_the_ledger_without_training(self, run, source):
        done = run("plan", "pets", "--ipc", 10)
        spec = plan(10, 3, source.image)
        assert done.exit_code == 0, done.output
        assert f"{spec.ledger().floats:,}" in done.stdout
        assert f"{spec.images:,}" in done.stdout
        assert "pets [x] at 10 ipc" in done.stdout

    def test_json_contains_container_ledger_and_budget(self, run, source):
        document = json.loads(run("plan", "pets", "--ipc", 10, "--json").stdout)
        image = ImageShape(channels=1, height=16, width=16)
        assert document["data"] == "pets [x]"
        assert document["budget"] == budget_of(10, 3, image).model_dump()
        assert sum(prod(row["shape"]) for row in document["ledger"]["rows"]) <= 10 * 3 * 256

    @pytest.mark.parametrize("setting", ["match.objective=feature", "pool.network.depth=10"])
    def test_rejects_settings_that_compress_rejects(self, run, source, setting):
        done = run("plan", "pets", "--ipc", 10, "--recipe", "fast", "--set", setting)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.count("hmnpack: ") == 1

    def test_prints_the_cost_of_a_run(self, run, source):
        fast = run("plan", "pets", "--ipc", 10)
        assert "feature matching" in fast.stdout
        paper = run("plan", "pets", "--ipc", 10, "--recipe", "paper")
        assert paper.exit_code == 0, paper.output
        assert "Cost of recipe paper" in paper.stdout
        assert "gradient matching" in paper.stdout
        assert "feature matching" not in paper.stdout
        assert "about" in paper.stdout

    def test_rejects_a_dataset_of_one_class(self, run, source):
        object.__setattr__(source, "classes", ("cat",))
        done = run("plan", "pets", "--ipc", 10)
        assert (done.exit_code, "has one class" in done.stderr) == (3, True)

    def test_json_contains_the_cost(self, run, source):
        def cost(*options):
            given = run("plan", "pets", "--ipc", 10, "--json", "--device", "cpu", *options)
            return json.loads(given.stdout)["cost"]

        paper = ("--recipe", "paper", "--set", "gradient.networks=2")
        stages = cost(*paper, "--set", "prune.strategy=none")["stages"]
        assert [stage["stage"] for stage in stages] == ["warm-up", "gradient"]
        pruned = cost(*paper)["stages"]
        assert [stage["stage"] for stage in pruned][2:] == ["pruning"]
        document = cost("--recipe", "smoke")
        assert document["device"] == "cpu"
        for figure in ("flops", "seconds"):
            assert document[figure] == sum(stage[figure] for stage in document["stages"])
        longer = cost("--recipe", "smoke", "--set", "match.steps=8")
        twice = longer["stages"][-1]["flops"]
        assert twice == 2 * document["stages"][-1]["flops"]

    def test_recipe_depends_on_the_dataset(self, run, source, monkeypatch):
        """Grey images use the L1 distance and 500 training images after a step."""
        seen = []
        monkeypatch.setattr(
            "hmnpack.condensing.plan.estimate",
            lambda config, *given, **more: seen.append(config) or Estimate((), "cpu"),
        )
        options = ("--recipe", "paper", "--set", "gradient.lr=0.5")
        assert run("plan", "pets", "--ipc", 10, *options).exit_code == 0
        (config,) = seen
        assert (config.gradient.train_images, config.gradient.distance) == (500, "l1")
        assert config.gradient.lr == 0.5

    @pytest.mark.parametrize(
        ("recipe", "setting", "stage"),
        [
            ("paper", "prune.network.name=vgg16", "pruning"),
            ("paper", "gradient.network.name=torchvision:resnet18", "gradient"),
            ("fast", "pool.network.name=resnet-ap", "matching"),
        ],
    )
    def test_cost_is_known_for_every_network(self, run, source, recipe, setting, stage):
        options = ("--recipe", recipe, "--set", setting, "--device", "cpu")
        done = run("plan", "pets", "--ipc", 10, *options, "--json")
        assert done.exit_code == 0, done.output
        costs = json.loads(done.stdout)["cost"]["stages"]
        (found,) = [each for each in costs if each["stage"] == stage]
        assert found["seconds"] > 0

    @pytest.mark.parametrize(
        "wrong", [("--set", "match.stesp=3"), ("--recipe", "papre"), ("--device", "abacus")]
    )
    def test_mistyped_settings_fail_before_data_are_read(self, run, source, wrong):
        assert run("plan", "pets", "--ipc", 10, *wrong).exit_code == 2
        assert source.calls == []

    def test_source_options_reach_the_reader(self, run, source, tmp_path):
        options = ("--size", 8, "--skip-bad", "--data-dir", tmp_path, "--cache-dir", tmp_path)
        options += ("--image-column", "photo", "--label-column", "kind")
        assert run("plan", "pets", "--ipc", 10, *options).exit_code == 0
        ((spec, given),) = source.calls
        assert spec == "pets"
        assert (given.size, given.skip_bad) == (8, True)
        assert (given.image_column, given.label_column) == ("photo", "kind")
        assert (given.data_dir, given.cache_dir) == (tmp_path, tmp_path)

    def test_options_from_environment_variables(self, run, source):
        assert run("plan", "pets", HMNPACK_PLAN_IPC="10", HMNPACK_PLAN_SIZE="8").exit_code == 0
        assert source.calls[0][1].size == 8

    def test_too_small_budget_names_the_smallest_ipc(self, run, monkeypatch):
        tiny = Source("tiny", ("a", "b"), split(8, 2, side=8), None)
        monkeypatch.setattr("hmnpack.condensing.plan.open_source", lambda *given, **_: tiny)
        done = run("plan", "pets", "--ipc", 1)
        assert done.exit_code == 2
        assert "smallest ipc" in done.stderr


class TestExpand:
    def test_writes_png_files_and_prints_the_path(self, run, bundle, bundle_file, tmp_path):
        out = tmp_path / "images"
        done = run("expand", bundle_file, "-o", out)
        assert (done.exit_code, done.stdout) == (0, f"{out}\n")
        assert len(list(out.rglob("*.png"))) == bundle.manifest.container.images

    def test_writes_some_images_as_a_sheet(self, run, bundle_file, tmp_path):
        sheet = tmp_path / "sheet.png"
        given = ("expand", bundle_file, "--out", sheet, "--format", "sheet", "--per-class", 2)
        assert run(*given).exit_code == 0
        assert run(*given).exit_code == 2
        assert run(*given, "--force").exit_code == 0
        assert sheet.read_bytes().startswith(b"\x89PNG")

    def test_unknown_format_is_a_usage_error(self, run, bundle_file, tmp_path):
        done = run("expand", bundle_file, "--out", tmp_path / "x", "--format", "gif")
        assert done.exit_code == 2
        assert "sheet" in done.stderr


class TestCompress:
    @pytest.fixture
    def calls(self, monkeypatch, bundle):
        seen = []

        def compress(data, ipc, *, on_plan, recipe, settings, source_options, **given):
            plan = hmnpack.plan(
                data, ipc, recipe=recipe, settings=settings, source_options=source_options
            )
            on_plan(plan)
            seen.append((data, ipc, plan.config, given))
            return bundle

        monkeypatch.setattr("hmnpack.condensing.compress.compress", compress)
        return seen

    def test_prints_the_plan_and_the_result(self, run, source, calls, tmp_path):
        out = tmp_path / "pets.hmn"
        done = run("compress", "pets", "--ipc", 10, "-o", out)
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith(f"{out}: ")
        for expected in ("pets [x]", "[red]elk", "10 ipc = 7,680 floats", "fast, seed 0", "cpu"):
            assert expected in done.stderr
        for expected in ("300 of warm-up, 2,300 of feature matching", "about"):
            assert expected in done.stderr

    def test_recipe_depends_on_the_dataset(self, run, source, calls, tmp_path):
        options = ("--recipe", "paper", "--set", "gradient.lr=0.5")
        done = run("compress", "pets", "--ipc", 10, "-o", tmp_path / "pets.hmn", *options)
        assert done.exit_code == 0, done.output
        assert "200,000 of gradient matching" in done.stderr
        gradient = calls[0][2].gradient
        assert (gradient.train_images, gradient.distance, gradient.lr) == (500, "l1", 0.5)

    def test_quiet_prints_only_the_result(self, run, source, calls, tmp_path):
        done = run("compress", "pets", "--ipc", 10, "-o", tmp_path / "pets.hmn", "--quiet")
        assert done.stderr == ""
        assert done.stdout.count("\n") == 1

    def test_options_reach_their_settings(self, run, source, calls, tmp_path):
        out = tmp_path / "pets.hmn"
        options = ("--recipe", "smoke", "--seed", 7, "--set", "match.steps=3", "--holdout", 0.2)
        limits = ("--device", "cpu", "--max-minutes", 5, "--resume", "--force")
        done = run("compress", "pets", "--ipc", 10, "-o", out, *options, *limits)
        assert done.exit_code == 0, done.output
        ((data, ipc, config, given),) = calls
        chosen = given["options"]
        assert (data, ipc, given["output"]) == ("pets", 10, out)
        assert (config.recipe, config.seed, config.holdout) == ("smoke", 7, 0.2)
        assert config.match.steps == 3
        assert (chosen.device, chosen.max_minutes) == ("cpu", 5)
        assert (chosen.resume, chosen.force) == (True, True)
        assert chosen.should_pause() is False

    def test_config_file_is_read(self, run, source, calls, tmp_path):
        file = tmp_path / "run.toml"
        file.write_text("[match]\nsteps = 9\n")
        done = run("compress", "pets", "--ipc", 1, "-o", tmp_path / "p", "--config", file, "-q")
        assert done.exit_code == 0, done.output
        assert calls[0][2].match.steps == 9

    def test_existing_output_and_mistyped_settings_fail_before_data_are_read(
        self, run, source, tmp_path
    ):
        out = tmp_path / "pets.hmn"
        mistyped = run("compress", "pets", "--ipc", 10, "-o", out, "--set", "match.stesp=3")
        out.write_text("mine")
        existing = run("compress", "pets", "--ipc", 10, "-o", out)
        assert (mistyped.exit_code, existing.exit_code) == (2, 2)
        assert "match.steps" in mistyped.stderr
        assert "--force" in existing.stderr or "force" in existing.stderr
        assert source.calls == []
        assert out.read_text() == "mine"


class TestEvaluate:
    @pytest.fixture
    def calls(self, monkeypatch, bundle):
        from hmnpack.evaluation import Evaluation
        from hmnpack.schema.score import Score

        seen = []

        def evaluate(bundle, data, config, *, device, source_options, at_once, work, listener):
            seen.append((data, config, (device, at_once, work)))
            assert source_options.size is None
            rows = tuple(
                Row(name=name, images=9, accuracy_mean=mean, accuracy_std=0.5, networks=3)
                for name, mean in (("pets.hmn [x]", 50.0), ("random real", 25.25))
            )
            score = Score(
                protocol="short",
                network=config.network.name,
                seed=config.seed,
                held_out=config.held_out,
                data=data.name,
                fingerprint=data.test.fingerprint,
                images=9,
                accuracies=(49.5, 50.0, 50.5),
            )
            return Evaluation(rows=rows, score=score, config=config)

        monkeypatch.setattr("hmnpack.evaluation.evaluate", evaluate)
        return seen

    def test_explicit_epochs_disable_the_minimum_of_steps(self, run, source, calls, bundle_file):
        run("evaluate", bundle_file, "--data", "pets")
        run("evaluate", bundle_file, "--data", "pets", "--epochs", 2)
        run("evaluate", bundle_file, "--data", "pets", "--epochs", 2, "--set", "min_steps=9")
        found = [(config.train.epochs, config.min_steps) for _, config, _ in calls]
        assert found == [(300, 1000), (2, 0), (2, 9)]

    def test_config_file_overrides_the_protocol_and_options_override_the_file(
        self, run, source, calls, bundle_file, tmp_path
    ):
        file = tmp_path / "mine.toml"
        file.write_text("repeats = 2\nmin_steps = 7\n[train]\nlr = 0.5\n")
        given = ("evaluate", bundle_file, "--data", "pets", "--config", file)
        assert run(*given, "--protocol", "paper").exit_code == 0
        assert run(*given, "--epochs", 2).exit_code == 0
        found = [(c.repeats, c.min_steps, c.train.lr, c.train.epochs) for _, c, _ in calls]
        assert found == [(2, 7, 0.5, 2000), (2, 0, 0.5, 2)]

    def test_result_must_not_overwrite_the_bundle(self, run, source, calls, bundle_file):
        before = bundle_file.read_bytes()
        done = run("evaluate", bundle_file, "--data", "pets", "--save", bundle_file, "--force")
        assert (done.exit_code, calls) == (2, [])
        assert "is the bundle itself; name another file" in done.stderr
        assert bundle_file.read_bytes() == before

    def test_prints_a_row_for_the_bundle_and_each_baseline(self, run, source, calls, bundle_file):
        done = run("evaluate", bundle_file, "--data", "pets")
        assert done.exit_code == 0, done.output
        assert "pets.hmn [x]" in done.stdout
        assert "50.00 %" in done.stdout
        assert "25.25 %" in done.stdout

    def test_options_reach_their_settings(self, run, source, calls, bundle_file):
        options = ("--net", "resnet-ap", "--width", 8, "--epochs", 2, "--batch", 16, "--seed", 4)
        more = ("--repeats", 5, "--no-baselines", "--set", "min_steps=0", "--device", "cpu")
        more = (*more, "--at-once", 3, "--work", "runs")
        done = run("evaluate", bundle_file, "--data", "pets", *options, *more)
        assert done.exit_code == 0, done.output
        ((_, config, where),) = calls
        assert (config.network.name, config.network.width) == ("resnet-ap", 8)
        assert (config.train.epochs, config.train.batch) == (2, 16)
        assert (config.seed, config.repeats, config.baselines, config.min_steps) == (4, 5, False, 0)
        assert where == ("cpu", 3, Path("runs"))
        assert (config.rows, config.jpeg_quality) == ((), None)

    def test_interrupted_evaluation_is_resumable_with_a_work_directory(
        self, run, source, bundle_file, tmp_path, monkeypatch
    ):
        read_as = f"{bundle_file}: the data are read with --skip-bad, as recorded\n"

        def interrupt(*args, **given):
            raise KeyboardInterrupt

        monkeypatch.setattr("hmnpack.evaluation.evaluate", interrupt)
        given = ("evaluate", bundle_file, "--data", "pets", "--quiet")
        interrupted = run(*given)
        assert (interrupted.exit_code, interrupted.stderr) == (
            130,
            read_as + "hmnpack: interrupted\n",
        )
        paused = run(*given, "--work", tmp_path / "w")
        assert paused.exit_code == 5
        expected = f"interrupted; rerun the same command to resume from {tmp_path / 'w'}"
        assert paused.stderr == f"{read_as}hmnpack: {expected}\n"

    def test_rows_none_means_no_baselines(self, run, source, calls, bundle_file):
        for given in (
            ("--rows", "none"),
            ("--rows", " none "),
            ("--no-baselines",),
            ("--no-controls",),
        ):
            assert run("evaluate", bundle_file, "--data", "pets", *given).exit_code == 0
        assert [config.baselines for _, config, _ in calls] == [False] * 4

    def test_rows_are_comma_separated_or_repeated(self, run, source, calls, bundle_file):
        given = ("--rows", "floats, count", "--rows", "whole", "--jpeg-quality", 30)
        assert run("evaluate", bundle_file, "--data", "pets", *given).exit_code == 0
        ((_, config, _),) = calls
        assert (config.rows, config.jpeg_quality) == (("floats", "count", "whole"), 30)

    def test_held_out_option_selects_the_held_out_images(self, run, source, calls, bundle_file):
        done = run("evaluate", bundle_file, "--data", "pets", "--held-out")
        run("evaluate", bundle_file, "--data", "pets")
        assert [config.held_out for _, config, _ in calls] == [True, False]
        assert "convnet, tested on images held out of pets" in done.stdout

    def test_protocol_depends_on_the_bundle(self, run, source, calls, bundle_file):
        """CIFAR-10 is nearest to 3 classes of 16 x 16 pixels; options override its values."""
        given = ("--protocol", "paper", "--set", "train.lr=0.5", "--repeats", 2)
        assert run("evaluate", bundle_file, "--data", "pets", *given).exit_code == 0
        assert run("evaluate", bundle_file, "--data", "pets", "--protocol", "short").exit_code == 0
        (_, paper, where), (_, short, _) = calls
        assert where == ("auto", None, None)
        assert (paper.train.epochs, paper.train.lr, paper.min_steps) == (2000, 0.5, 0)
        assert paper.repeats == 2
        assert short == EvaluateConfig()

    def test_several_networks_give_one_table_and_one_document(
        self, run, source, calls, bundle_file
    ):
        nets = ("--net", "convnet", "--net", "vgg16", "--net", "convnet")
        done = run("evaluate", bundle_file, "--data", "pets", *nets)
        assert done.exit_code == 0, done.output
        assert [config.network.name for _, config, _ in calls] == ["convnet", "vgg16"]
        lines = [line.strip() for line in done.stdout.splitlines()]
        assert [line for line in lines if line in ("convnet", "vgg16")] == ["convnet", "vgg16"]
        assert done.stdout.count("25.25 %") == 2
        result = Result.model_validate_json(
            run("evaluate", bundle_file, "--data", "pets", "--json", *nets).stdout
        )
        assert result.figures["network"] == "convnet"
        assert [row.name for row in result.baselines] == [
            *("random real", "pets.hmn [x] (vgg16)", "random real (vgg16)")
        ]

    @pytest.mark.parametrize(
        ("wrong", "expected"),
        [
            (("--rows", "floats,bits"), "--rows 'bits': "),
            (("--rows", "none,floats"), "--rows 'none': "),
            (("--set", 'rows=["bits"]'), "setting rows.0 = 'bits'"),
            (("--rows", "none", "--rows", "count"), "--rows 'none': "),
            (("--seed", 2**70), "--seed 1180591620717411303424: "),
            (("--rows", "floats", "--no-baselines"), "contradict"),
            (("--net", "convnet", "--net", "vgg61"), "vgg16"),
            (("--net", "torchvision:alexnet"), "3x16x16"),
            (("--protocol", "papre"), "paper"),
            (("--set", "train.epoch=3"), "train.epochs"),
            (("--device", "abacus"), "abacus"),
        ],
    )
    def test_mistyped_settings_fail_before_data_are_read(
        self, run, source, calls, bundle_file, wrong, expected
    ):
        done = run("evaluate", bundle_file, "--data", "pets", *wrong)
        assert done.exit_code == 2
        assert expected in done.stderr
        assert source.calls == calls == []

    def test_failing_network_does_not_discard_earlier_results(
        self, run, source, calls, bundle_file, monkeypatch
    ):
        real = hmnpack.evaluation.evaluate

        def fail_after_the_first(bundle, data, config, **given):
            if config.network.name != "convnet":
                raise Diverged("the loss became nan")
            return real(bundle, data, config, **given)

        monkeypatch.setattr("hmnpack.evaluation.evaluate", fail_after_the_first)
        given = ("evaluate", bundle_file, "--data", "pets", "--net", "convnet", "--net", "resnet18")
        done = run(*given, "--record")
        assert done.exit_code == Diverged.exit_code
        assert "the loss became nan" in done.stderr
        assert "convnet, tested on pets" in done.stdout
        (score,) = read(bundle_file).manifest.scores
        assert score.network == "convnet"
        part = Result.model_validate_json(run(*given, "--json", "--save", "r.json").stdout)
        assert part.protocol.network.name == "convnet"
        assert not Path("r.json").exists()  # it would block a rerun of the command

    def test_unrecordable_score_does_not_stop_the_evaluation(
        self, run, source, calls, bundle_file, tmp_path, monkeypatch
    ):
        def full(*_, **__):
            raise BadSettings("there is no room")

        monkeypatch.setattr("hmnpack.evaluation.scores.record", full)
        nets = ("--net", "convnet", "--net", "resnet18", "--record", "--save", tmp_path / "r.json")
        done = run("evaluate", bundle_file, "--data", "pets", *nets)
        assert (done.exit_code, len(calls)) == (2, 2)
        assert "there is no room" in done.stderr
        assert "resnet18" in done.stdout
        assert (tmp_path / "r.json").exists()

    def test_json_and_save_contain_the_same_result(self, run, source, calls, bundle_file, tmp_path):
        saved = tmp_path / "result.json"
        given = ("evaluate", bundle_file, "--data", "pets", "--json", "--save", saved)
        done = run(*given)
        assert done.exit_code == 0, done.output
        result = Result.model_validate_json(done.stdout)
        assert result == Result.model_validate_json(saved.read_text())
        assert (result.accuracy_mean, result.accuracy_std, result.networks) == (50.0, 0.5, 3)
        assert [row.name for row in result.baselines] == ["random real"]
        assert result.data.fingerprint == source.train.fingerprint
        assert result.machine.versions["torch"]
        assert run(*given).exit_code == 2
        assert run(*given, "--force").exit_code == 0

    def test_table_that_cannot_be_printed_is_a_message(
        self, run, source, calls, bundle_file, tmp_path, monkeypatch
    ):
        def full():
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("hmnpack.cli.streams.flush_stdout", full)
        saved = tmp_path / "scores.json"
        done = run("evaluate", bundle_file, "--data", "pets", "--save", saved, "-q")
        assert done.exit_code == 1
        assert "convnet, tested on pets" in done.stderr
        assert done.stderr.endswith("hmnpack: No space left on device\n")
        assert saved.exists()

    def test_unsaved_result_is_printed(
        self, run, source, calls, bundle_file, tmp_path, monkeypatch
    ):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("hmnpack.runtime.output.write_atomically", full)
        saving = ("--save", tmp_path / "result.json")
        done = run("evaluate", bundle_file, "--data", "pets", *saving)
        assert done.exit_code == 1
        assert "50.00 %" in done.stdout
        assert "No space left" in done.stderr

    def test_recorded_command_may_contain_any_bytes(
        self, run, source, calls, bundle_file, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("sys.argv", ["hmnpack", "evaluate", os.fsdecode(b"caf\xe9.hmn")])
        done = run("evaluate", bundle_file, "--data", "pets", "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["command"] == "hmnpack evaluate 'caf\\udce9.hmn'"

    def test_bad_bundle_fails_before_data_are_read(self, run, source, calls, tmp_path):
        done = run("evaluate", tmp_path / "absent.hmn", "--data", "pets")
        assert done.exit_code == 4
        assert source.calls == []


def test_complete_run_from_dataset_to_images(run, tmp_path: Path):
    """A complete run on real digits with minimal settings; accuracy is not checked."""
    pytest.importorskip("sklearn")
    out = tmp_path / "digits.hmn"
    cache = ("--cache-dir", tmp_path / "cache")
    made = run("compress", "digits", "--ipc", 5, "-o", out, "--recipe", "smoke", *cache)
    assert made.exit_code == 0, made.output
    assert run("inspect", out, "--verify").exit_code == 0
    assert run("expand", out, "--out", tmp_path / "d.png", "--format", "sheet").exit_code == 0
    evaluated = run(
        *("evaluate", out, "--data", "digits", "--epochs", 1, "--repeats", 1, "--width", 8),
        *("--rows", "whole", "--set", "min_steps=1", "--quiet", *cache),
    )
    assert evaluated.exit_code == 0, evaluated.output
    assert "digits" in evaluated.stdout
    assert len(list((tmp_path / "cache" / "accuracies").iterdir())) == 1
