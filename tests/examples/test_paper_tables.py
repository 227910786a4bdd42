"""The commands for the paper's tables and figures, each at scale `smoke` on digits."""

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPRODUCE = ROOT / "examples" / "reproduce"

pytestmark = pytest.mark.skipif(not REPRODUCE.is_dir(), reason="no source tree")


def script(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", REPRODUCE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Work directory shared by all tests, so that they reuse bundles."""
    return tmp_path_factory.mktemp("paper")


@pytest.fixture
def paper(monkeypatch, folder):
    pytest.importorskip("sklearn")
    monkeypatch.setenv("HMNPACK_CACHE", str(folder / "cache"))
    monkeypatch.syspath_prepend(str(REPRODUCE))
    module = script("paper")
    monkeypatch.setattr(module, "RESULTS", folder / "results")
    return module


@pytest.fixture
def run(paper, monkeypatch, folder):
    """Return a function that runs a study on digits and returns its exit code."""

    def run(name, *words, work="runs", scale="smoke"):
        common = ["--data", "digits", "--scale", scale, "--device", "cpu"]
        words = [*common, "--work", str(folder / work), *words]
        monkeypatch.setattr(sys, "argv", ["paper.py", name, *words])
        return paper.main()

    return run


@pytest.fixture
def result(folder):
    from hmnpack.schema.result import Result

    def result(name):
        return Result.model_validate_json((folder / "results" / f"{name}.json").read_text())

    return result


def names(result):
    return [row.name for row in result.baselines]


class TestCommands:
    def test_table_6(self, run, result, folder):
        assert run("table6") == 0
        found = result("paper-table6")
        assert names(found) == ["double-end", "easy", "hard", "random", "in-budget"]
        assert {row.images for row in found.baselines} == {100}
        assert {row.networks for row in found.baselines} == {2}
        assert len(list((folder / "runs").glob("*.over.hmn"))) == 1
        assert found.figures["instances_over_budget_ipc1"] == 11
        assert found.figures["tested_on"] == "445 images of the test split"
        assert (found.recipe, found.figures["scale"], found.seed) == ("smoke", "smoke", 0)
        assert found.command.startswith("python examples/reproduce/paper.py table6 --data digits")
        assert str(folder) not in found.model_dump_json()
        assert found.accuracy_mean is None  # not a row of the README
        first, random = found.baselines[0], found.baselines[3]
        assert first.figures["beta"] in (0.0, 0.5)
        above = first.accuracy_mean - random.accuracy_mean
        assert found.figures["double_end_above_random_ipc1"] == pytest.approx(above)
        seeds = [first.figures[f"accuracy_seed_{seed}"] for seed in (0, 1)]
        assert first.accuracy_mean == pytest.approx(sum(seeds) / 2)

    def test_table_2(self, run, result):
        assert run("table2-hmn") == 0
        found = result("paper-table2-hmn")
        rows = ["bundle", "random real, same floats", "random real, same number", "whole data"]
        assert [name for name in names(found) if not name.startswith("JPEG")] == rows
        assert all(row.figures["ipc"] == 1 for row in found.baselines)
        assert not any("paper" in row.figures for row in found.baselines)

    @pytest.mark.slow
    def test_table_4(self, run, result):
        words = ["--size", "16", "--networks", "convnet", "resnet18", "--seeds", "0"]
        assert run("table4", *words, work="other-size") == 0
        found = result("paper-table4")
        assert names(found) == ["convnet", "resnet18"]
        assert len({row.images for row in found.baselines}) == 1

    @pytest.mark.slow
    def test_table_5(self, run, result):
        assert run("table5", "--ipc", "1") == 0
        found = result("paper-table5")
        assert found.baselines == ()
        assert found.figures["images_ipc1"] == 100
        assert 1 < found.figures["mb_ipc1"] < 2000
        assert 0 < found.figures["decode_seconds_ipc1"] < 10
        assert found.figures["mb_paper_ipc1"] is None

    def test_figure_5(self, run, result):
        assert run("figure5") == 0
        found = result("paper-figure5")
        assert names(found) == ["1 channel", "4 channels"]
        counts = [row.figures["images_per_class"] for row in found.baselines]
        assert counts[0] == 10 > counts[1] >= 2

    def test_figure_6(self, run, result):
        assert run("figure6") == 0
        found = result("paper-figure6")
        trained = [name for name in names(found) if name.endswith("steps of training")]
        assert trained == [
            f"{row}: {steps} steps of training"
            for steps in (1, 2)
            for row in ("bundle", "random real, same floats")
        ]
        whole = ["bundle: 1 steps of condensing", "bundle: 4 steps of condensing"]
        assert names(found)[4:] == whole

    def test_figure_7(self, run, result):
        assert run("figure7") == 0
        found = result("paper-figure7")
        both = [
            f"{strategy}, {rate} %" for rate in (5, 70) for strategy in ("double-end", "random")
        ]
        assert names(found) == ["unpruned", *both]
        counts = [row.figures["images_per_class"] for row in found.baselines]
        assert counts == [11, 10, 10, 3, 3]

    def test_studies_are_listed_without_a_name(self, paper, monkeypatch, capsys):
        monkeypatch.setattr(sys, "argv", ["paper.py"])
        assert paper.main() == 0
        shown = capsys.readouterr().out
        for name, ablation in paper.ABLATIONS.items():
            assert f"{name}: {ablation.title}" in shown

    def test_each_study_has_a_make_target(self, paper):
        text = (ROOT / "Makefile").read_text()
        line = re.search(r"^REPRODUCED := \$\(addprefix reproduce-,(.*)\)$", text, re.M)
        assert line[1].split() == list(paper.ABLATIONS)
        used = set(re.findall(r"make reproduce-(\w+)", (REPRODUCE / "README.md").read_text()))
        assert used <= {*paper.ABLATIONS, "figure4", "table2", "table3"}


class TestWorkDirectory:
    def test_cached_bundles_and_networks_are_reused(self, run, result, monkeypatch, folder):
        tables = ("table2-hmn", "table6", "figure5", "figure6", "figure7")
        for name in tables:
            assert run(name) == 0
        before = result("paper-table6")
        calls = []
        from ablations import bundles, judging

        evaluate = judging.evaluate
        monkeypatch.setattr(bundles, "pruned", None)
        monkeypatch.setattr("packing.compress", None)
        monkeypatch.setattr(
            judging, "evaluate", lambda *a, **f: calls.append(a) or evaluate(*a, **f)
        )
        assert run("table6") == 0
        assert calls == []
        assert result("paper-table6").baselines == before.baselines
        next((folder / "runs").glob("rows-*.seed-1.json")).unlink()
        for name in tables:
            assert run(name) == 0
        assert len(calls) == 1
        assert result("paper-table6").baselines == before.baselines

    def test_interrupted_choice_resumes_and_margins_are_shared(self, run, monkeypatch):
        from hmnpack.pruning import margins, search

        calls, limit = [], 3

        def count_calls(module, name):
            real = getattr(module, name)

            def count_call(*arguments):
                calls.append(name)
                if len(calls) > limit:
                    raise KeyboardInterrupt
                return real(*arguments)

            monkeypatch.setattr(module, name, count_call)

        count_calls(margins, "areas_under_margins")
        count_calls(search, "_accuracies")
        words = ["--seeds", "0", "--set", "prune.network.width=3"]  # affects pruning only
        with pytest.raises(KeyboardInterrupt):
            run("figure7", *words)
        assert calls == ["areas_under_margins"] * 2 + ["_accuracies"] * 2
        calls.clear()
        assert run("figure7", *words) == 0
        assert (
            calls == ["_accuracies"] * 2
        )  # of three: at one rate betas 0 and 0.5 select the same images

    def test_networks_of_several_processes_are_combined(self, run, result):
        for seeds in (["7"], ["8"], ["7", "8"]):
            assert run("table6", "--seeds", *seeds, "--tag", "-".join(seeds)) == 0
        one, other, both = (result(f"paper-table6-{tag}").baselines for tag in ("7", "8", "7-8"))
        for row, others, together in zip(one, other, both, strict=True):
            assert (row.networks, row.accuracy_ci95, together.networks) == (1, None, 2)
            mean = (row.accuracy_mean + others.accuracy_mean) / 2
            assert together.accuracy_mean == pytest.approx(mean)
            assert together.accuracy_ci95 is not None

    def test_existing_files_are_pruned_and_evaluated(self, run, result, folder, monkeypatch):
        assert run("table6") == 0
        monkeypatch.setattr("packing.compress", None)
        over = next((folder / "runs").glob("*.over.hmn"))
        assert run("table6", "--bundle", str(over), "--tag", "file") == 0
        found = result("paper-table6-file")
        assert names(found) == ["double-end", "easy", "hard", "random"]
        assert found.baselines == result("paper-table6").baselines[:4]
        assert found.recipe is None
        assert "--bundle " + over.name in found.command
        assert run("table2-hmn", "--bundle", str(over)) == 2


class TestHeldOut:
    def test_test_split_is_not_needed(self, run, result, paper, monkeypatch):
        real = paper.open_source
        monkeypatch.setattr(paper, "open_source", lambda *a: replace(real(*a), test=None))
        for name in ("table2-hmn", "table6", "figure6", "figure7"):
            assert run(name, "--on", "held-out", "--seeds", "0", "--tag", "held-out") == 0
        found = result("paper-table6-held-out")
        assert found.figures["tested_on"].startswith("half of the held-out images")
        assert run("table6", "--seeds", "0") == 3

    def test_choices_and_tests_use_disjoint_held_out_images(self, paper, monkeypatch, folder):
        """Each held-out image is used for one of the two; with a test split all are for choices."""
        from hmnpack.bundle import read

        studies = []
        measured = replace(paper.ABLATIONS["table6"], measure=studies.append)
        monkeypatch.setattr(paper, "ABLATIONS", {"table6": measured})
        monkeypatch.setattr(paper, "_record", lambda *arguments: None)
        for on in ("held-out", "test"):
            words = ["table6", "--data", "digits", "--scale", "smoke", "--on", on]
            monkeypatch.setattr(sys, "argv", ["paper.py", *words, "--work", str(folder / "runs")])
            assert paper.main() == 0
        bundle = read(next((folder / "runs").glob("*.over.hmn")))

        def images(split):
            return {image.numpy().tobytes() for image in split.images}

        apart, together = studies
        choosing, testing = apart.chosen_by(bundle), apart.tested(bundle).test
        everything = together.chosen_by(bundle)
        assert not images(choosing) & images(testing)
        assert images(choosing) | images(testing) == images(everything)
        assert len(everything) == bundle.manifest.source.held_out
        assert not images(everything) & images(apart.tested(bundle).train)
        assert together.tested(bundle) is together.source
        assert abs(len(choosing) - len(testing)) <= 10


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table6", "--scale", "huge"], "unknown scale 'huge'; give a number"),
        (["table6", "--scale", "0"], "at most 1, or one of full, cpu, smoke"),
        (["table6", "--scale", "1.5"], "scale '1.5'"),
        (["table6", "--scale", "nan"], "scale 'nan'"),
        (["table6", "--set", "match.step=1"], "match.steps"),
        (["table6", "--set", "evaluate.train.epoch=1"], "train.epochs"),
        (["table6", "--recipe", "quick"], "unknown recipe"),
        (["table4", "--networks", "vgg17"], "vgg16"),
        (["figure5", "--bundle", "x.hmn"], "leave out --bundle"),
    ],
    ids=" ".join,
)
def test_invalid_settings_are_one_line_errors(run, capsys, words, message):
    assert run(*words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("paper: ")
    assert message in error


def test_usage_errors_exit(paper, monkeypatch, capsys):
    for words, message in (
        (["table7", "--data", "digits"], "invalid choice"),
        (["table6"], "needs --data"),
        (["table6", "--data", "digits", "--networks", "vgg16"], "applies to table4"),
        (["table6", "--data", "digits", "--on", "train"], "invalid choice"),
        (["table6", "--data", "digits", "--ipc", "0"], "'0' is not a valid budget"),
    ):
        monkeypatch.setattr(sys, "argv", ["paper.py", *words])
        with pytest.raises(SystemExit):
            paper.main()
        assert message in capsys.readouterr().err


class TestScale:
    def test_full_scale_is_the_papers(self, paper):
        from hmnpack.registry import PROTOCOLS
        from hmnpack.schema.recipes import CIFAR10
        from hmnpack.settings import recipe_of

        for name in ("full", "1"):
            scale = paper.scale_of(name)
            assert (scale.recipe, scale.protocol, scale.networks) == ("paper", "paper", 10)
            assert scale.condensed(recipe_of("paper")) == {}
            assert scale.evaluated(PROTOCOLS["paper"](CIFAR10, 1)) == {}

    def test_fraction_scales_steps_epochs_networks_and_widths(self, paper):
        from hmnpack.registry import PROTOCOLS
        from hmnpack.schema.recipes import CIFAR10
        from hmnpack.settings import recipe_of

        scale = paper.scale_of("0.25")
        assert (scale.width, scale.networks) == (64, 3)
        changes = scale.condensed(recipe_of("paper"))
        assert changes["gradient.networks"] == 250
        assert changes["gradient.network.width"] == 64
        assert changes["prune.margin_epochs"] == 50
        assert "gradient.inner_steps" not in changes
        assert "match.steps" not in changes  # a fraction of 0 is 0
        evaluation = scale.evaluated(PROTOCOLS["paper"](CIFAR10, 1))
        assert evaluation == {"network.width": 64, "train.epochs": 500}

    def test_fraction_of_one_network_reduces_its_steps(self, paper):
        from ablations.scale import part_of, part_of_gradient

        from hmnpack.schema.config import GradientConfig

        def part(networks, fraction):
            config = GradientConfig(networks=networks, inner_steps=200)
            found = part_of_gradient(config, fraction)
            return found["gradient.networks"], found["gradient.inner_steps"]

        assert part(1000, 0.001) == (1, 200)
        assert part(1000, 0.0001) == (1, 20)
        assert part(10, 0.5) == (5, 200)
        assert part(1, 1.0) == (1, 200)
        assert part(0, 0.5) == (0, 200)
        assert [part_of(0, 0.5), part_of(3, 0.01), part_of(1000, 0.3)] == [0, 1, 300]

    def test_thinned_curve_keeps_both_ends(self, paper):
        points = (0, 1, 2, 3, 4, 5)
        assert paper.scale_of("full").thinned(points) == points
        assert paper.scale_of("cpu").thinned(points) == (0, 2, 3, 5)
        assert paper.scale_of("smoke").thinned(points) == (0, 5)
        assert paper.scale_of("smoke").thinned((7,)) == (7,)


TEXTS = {
    "table4": """
        convnet     65.7 73.7 76.9
        vgg16       58.5 64.3 70.2
        resnet18    56.8 62.9 69.1
        densenet121 50.7 56.9 65.1
    """,
    "table5": """
        mb             2680  4540 10426
        decode_seconds 0.036 0.11 0.52
    """,
    "table6": """
        double-end 65.7 73.7 76.9
        easy       65.3 73.1 76.6
        random     65.2 72.9 75.3
        in-budget  65.1 73.2 75.4
    """,
}
"""Rows of the paper's tables at 1, 10 and 50 images per class, transcribed by hand."""


class TestPaperValues:
    @pytest.mark.parametrize("name", TEXTS)
    def test_tables_have_the_printed_values(self, paper, name):
        rows = [line.split() for line in TEXTS[name].strip().splitlines()]
        printed = {
            (row[0], ipc): float(value)
            for row in rows
            for ipc, value in zip((1, 10, 50), row[1:], strict=True)
        }
        assert paper.ABLATIONS[name].paper == printed
        assert paper.ABLATIONS[name].ipcs == (1, 10, 50)

    def test_figures_have_the_values_in_the_text(self, paper):
        """Only points of the figures that the paper's text states are known."""
        numbers = {name: paper.ABLATIONS[f"figure{name}"].paper for name in (5, 6, 7)}
        # "a decrease in GIPC from 85 to 13, results in an accuracy drop from 65.1% to 48.2%"
        assert list(numbers[5].values()) == [65.1, 48.2]
        # "for 1 IPC at the 900th iteration, HMN achieves an accuracy of 60.1%"
        assert numbers[6] == {("bundle: 900 steps of training", 1): 60.1}
        # "from 66.2% to 62.2% ... from 76.7% to 76.5% with the same increase in pruning rate"
        assert list(numbers[7].values()) == [66.2, 62.2, 76.7, 76.5]

    def test_values_apply_to_cifar10_only(self, paper, image_shape):
        from ablations.study import Study

        numbers = paper.ABLATIONS["table6"].paper

        def found(label, shape=(3, 32, 32), classes=10):
            class Like:
                image = image_shape(*shape)

            Like.classes = tuple(range(classes))
            study = object.__new__(Study)
            vars(study).update(label=label, source=Like)
            return study.paper_value(numbers, "easy", 1)

        for label in ("CIFAR-10", "CIFAR-10 (JPEG)", "cifar10"):
            assert found(label) == 65.3
        assert found("CIFAR-100", classes=100) is found("cifar-100") is None
        assert found("cifar10", shape=(3, 16, 16)) is found("svhn") is None


class TestPage:
    @pytest.fixture
    def render(self, paper):
        return script("render_paper")

    @pytest.mark.slow
    def test_results_are_rendered_with_the_papers_values(self, render, run, result, folder):
        assert render.sections({}) == ""
        assert run("table5", "--ipc", "1") == run("table6") == 0
        six, five = result("paper-table6"), result("paper-table5")
        row = six.baselines[0].model_copy(
            update={"accuracy_mean": 60.04, "figures": {**six.baselines[0].figures, "paper": 65.7}}
        )
        six = six.model_copy(update={"baselines": (row, *six.baselines[1:])})
        numbers = {"mb_ipc1": 383.6, "mb_paper_ipc1": 2680, "decode_seconds_ipc1": 0.0123}
        five = five.model_copy(update={"figures": {**five.figures, **numbers}})
        found = {"paper-figure5": six, "paper-table6": six, "paper-table5": five, "q1-x": six}
        text = render.sections(found)
        titles = re.findall(r"^### (\S+ \d)", text, re.M)
        assert titles == ["Table 5", "Table 6", "Table 6"]
        assert "| 1 | double-end | 100 | 60.0 &plusmn; " in text
        assert re.search(r"\| 1 \| double-end .*\| 65.7 \|$", text, re.M)
        assert re.search(r"\| 1 \| hard .*\| - \|$", text, re.M)
        assert "| 1 | 100 | 384 | 2,680 | 0.012 | - |" in text
        assert "digits, scale `smoke`, recipe `smoke`, 2 networks a row" in " ".join(text.split())
        assert "([paper-table6](results/paper-table6.json), commit" in " ".join(text.split())

    def test_page_without_markers_is_not_overwritten(self, paper):
        tables = script("render_tables")
        assert tables.rendered("a<x>old<y>b", "<x>", "<y>", "new") == "a<x>new<y>b"
        with pytest.raises(SystemExit, match="lacks the marker"):
            tables.rendered("a<x>b", "<x>", "<y>", "new")
