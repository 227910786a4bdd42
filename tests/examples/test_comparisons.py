"""Tables 2 and 3: methods at equal minutes and containers under one objective, on digits."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPRODUCE = ROOT / "examples" / "reproduce"

pytestmark = pytest.mark.skipif(not REPRODUCE.is_dir(), reason="no source tree")

SMALL = [
    *("evaluate.train.epochs=1", "evaluate.min_steps=2", "evaluate.network.width=4"),
    *("gradient.network.width=4", "match.real_batch=8", "warmup.steps=5"),
]
SMALL_POOL = ["pool.network.width=8", "pool.min_steps=5", "pool.train.epochs=1"]


def script(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", REPRODUCE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(REPRODUCE))
    return script


@pytest.fixture
def run(scripts, monkeypatch, tmp_path):
    """Return a function that runs a script on digits and returns its exit code."""
    pytest.importorskip("sklearn")
    import cells
    import torch

    threads = torch.get_num_threads()
    monkeypatch.setenv("HMNPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cells, "RESULTS", tmp_path / "results")

    def run(name, *words, settings=()):
        common = ["--data", "digits", "--device", "cpu", "--work", str(tmp_path / "runs")]
        typed = [word for setting in (*SMALL, *settings) for word in ("--set", setting)]
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *common, *typed, *words])
        return scripts(name).main()

    yield run
    torch.set_num_threads(threads)


@pytest.fixture
def result(tmp_path):
    from hmnpack.schema.result import Result

    def result(name):
        return Result.model_validate_json((tmp_path / "results" / f"{name}.json").read_text())

    return result


class Timings:
    """Trials whose epoch of an expert takes a second per channel of its network, squared."""

    def epoch_seconds(self, config):
        return config.rival.network.width**2 / 128**2


class TestFitting:
    @pytest.fixture
    def fitting(self, scripts):
        return scripts("fitting_to_time")

    @pytest.mark.parametrize(
        ("seconds", "most", "expected"), [(100, 10**6, 194), (100, 50, 50), (3, 10**6, 1)]
    )
    def test_steps_fill_the_time(self, fitting, seconds, most, expected):
        def taken(steps):
            return 3 + steps / 2

        assert fitting.steps_within(seconds, most, taken, taken(1)) == expected

    def test_short_runs_take_a_small_part_of_the_time(self, fitting):
        asked = []

        def taken(steps):
            asked.append(steps)
            return steps / 10

        assert fitting.steps_within(1000, 10**6, taken, taken(1)) == 10_000
        assert sum(asked) / 10 < 0.1 * 1000

    def test_short_steps_that_cannot_be_told_apart_do_not_divide_by_zero(self, fitting):
        assert fitting.steps_within(100, 500, lambda steps: 7.0, 7.0) >= 1

    def test_steps_keep_the_authors_loops_where_the_time_suffices(self, fitting):
        from hmnpack.settings import recipe_of

        def loops(recipe, steps):
            rival = fitting.with_steps(recipe_of(recipe), steps).rival
            return rival.iterations, rival.steps

        assert loops("dm", 77) == (77, 77)
        assert loops("idc", 40) == (1, 40)
        assert loops("idc", 20_000) == (200, 20_000)
        assert loops("idc", 250) == (3, 249)
        assert loops("cafe", 22) == (2, 22)

    def test_experts_take_half_of_the_time_or_are_narrower(self, fitting):
        from hmnpack.settings import recipe_of

        def chosen(recipe, seconds):
            rival = fitting.with_experts(recipe_of(recipe), Timings(), seconds).rival
            return rival.experts, rival.network.width

        assert chosen("mtt", 30) == (5, 128)  # an expert has 3 epochs
        assert chosen("mtt", 3) == (2, 64)
        assert chosen("mtt", 10**6) == (100, 128)
        assert fitting.with_experts(recipe_of("dm"), None, 1) == recipe_of("dm")

    def test_runs_of_a_given_time_can_count_processor_time(self, fitting):
        import time

        with fitting.on_processor_time():
            assert time.monotonic is time.perf_counter is time.process_time
        assert time.monotonic is not time.process_time


class TestMethods:
    def test_cells_are_recorded_one_by_one_and_failures_with_their_reason(
        self, run, result, monkeypatch
    ):
        words = ["--minutes", "0.01", "--only", "dsa", "idc", "random", "haba"]
        small = ["rival.network.width=4"]
        assert run("methods", *words, settings=small) == 2
        found = result("table2-methods")
        dsa, idc, random = found.baselines
        assert [row.name for row in found.baselines] == ["dsa", "idc", "random"]
        assert (dsa.images, idc.images, random.images) == (10, 40, 10)
        assert dsa.figures["floats"] == idc.figures["floats"] == 640
        assert dsa.figures["steps"] == dsa.figures["iterations"] >= 1
        assert dsa.figures["processor_minutes"] > 0
        assert {row.networks for row in found.baselines} == {1}
        assert "mtt" in found.figures["open"].split()
        assert "640 floats" in found.figures["failed_haba"]
        monkeypatch.setattr("packing.compress", None)
        monkeypatch.setattr("fitting_to_time.compress", None)
        monkeypatch.setattr("cells.evaluate", None)
        assert run("methods", *words[:-1], settings=small) == 0  # cells are kept
        assert result("table2-methods").baselines == found.baselines

    @pytest.mark.slow
    def test_our_own_run_is_fitted_and_sets_a_budget_of_bytes(self, run, result):
        words = ["--minutes", "0.1", "--only", "fast", "jpeg-fast"]
        assert run("methods", *words, settings=["pool.network.width=8"]) == 0
        ours, jpeg = result("table2-methods").baselines
        assert ours.figures["container"] == "hmn"
        assert ours.figures["processor_minutes"] > 0
        assert jpeg.figures["bytes"] <= ours.figures["bytes"]

    @pytest.mark.slow
    def test_experts_count(self, run, result, tmp_path):
        settings = ["rival.network.width=16", "rival.student_lr_step=0", "rival.student_steps=2"]
        assert run("methods", "--minutes", "0.02", "--only", "mtt", settings=settings) == 0
        (row,) = result("table2-methods").baselines
        (recorded,) = tmp_path.glob("runs/mtt-*/experts.minutes.*.json")
        spent = json.loads(recorded.read_text())["expert trajectories"]["processor"]
        assert 0 < spent < row.figures["processor_minutes"]
        assert row.figures["experts"] >= 1

    def test_an_unknown_cell_is_refused(self, run, capsys):
        assert run("methods", "--only", "dcc") == 2
        assert "no cell 'dcc' in table2-methods; there are dc, dsa" in capsys.readouterr().err


class TestContainers:
    def test_containers_share_steps_and_the_pool(self, run, result):
        cells = ["features-1-images", "features-1-hmn", "gradient-1-multi-formation"]
        words = ["--scale", "0.002", "--ipc", "1", "--only", *cells]
        assert run("containers", *words, settings=SMALL_POOL) == 0
        found = {row.name: row for row in result("table3-containers").baselines}
        assert list(found) == ["gradient-1-multi-formation", *cells[:2]]
        images, hmn = (found[name].figures for name in cells[:2])
        assert images["steps"] == hmn["steps"] == 5
        assert images["processor_minutes_pool"] == hmn["processor_minutes_pool"] > 0
        assert hmn["floats"] <= images["floats"] == 640
        gradient = found["gradient-1-multi-formation"]
        assert (gradient.images, gradient.figures["steps"]) == (40, 20)
        assert gradient.figures["processor_minutes_pool"] == 0
        assert "features-1-linear-basis" in result("table3-containers").figures["open"].split()


class TestPage:
    def test_cells_without_a_measurement_are_open(self, scripts):
        render = scripts("render_comparisons")
        text = render.tables({})
        assert "Table 2 is not measured yet." in text
        assert len(re.findall(r"\| open \|", text)) == 14 + 20
        assert render.sections({}) == "Not measured yet.\n"

    def test_measured_cells_are_shown_beside_the_published_ones(self, run, result, scripts):
        words = ["--scale", "0.002", "--ipc", "1", "--only", "gradient-1-images"]
        assert run("containers", *words) == 0
        three = result("table3-containers")
        row = three.baselines[0].model_copy(update={"accuracy_mean": 21.04})
        three = three.model_copy(update={"baselines": (row,)})
        two = three.model_copy(
            update={
                "name": "table2-methods",
                "figures": {**three.figures, "minutes_each": 6, "failed_haba": "too small"},
                "baselines": (row.model_copy(update={"name": "dc"}),),
            }
        )
        render = scripts("render_comparisons")
        found = {"table2-methods": two, "table3-containers": three}
        text = render.tables(found)
        assert "- `haba` could not be measured: too small" in text
        line = re.search(r"^\| gradient matching \| 1 \| `images` .*$", text, re.M)[0]
        assert line.startswith("| gradient matching | 1 | `images` | 10 | 640 | 2,560 | 20 | 0.0")
        assert line.endswith("| 21.0 | 36.7 |")
        assert re.search(r"^\| `dc` \| images \| 4 \| 10 .*\| 21.0 \| 28.3 \|$", text, re.M)
        assert "digits, 6 CPU minutes each, protocol `short`" in " ".join(text.split())
        assert render.sections(found).startswith("- [table2-methods](results/table2-methods.json)")

    def test_each_table_has_a_make_target(self):
        text = (ROOT / "Makefile").read_text()
        for number in (2, 3):
            assert re.search(rf"^reproduce-table{number}: ", text, re.M)
