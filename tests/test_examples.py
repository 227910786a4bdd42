"""Every script in examples/ runs, on a bundle or a data set that is as small as can be."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no source tree in reach")


def script(name):
    spec = importlib.util.spec_from_file_location(f"example_{Path(name).stem}", EXAMPLES / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def caches_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNPACK_CACHE", str(tmp_path / "cache"))


def test_packing_and_training(tmp_path, capsys):
    pytest.importorskip("sklearn")
    from hmnpack.recipes import RECIPES

    file = tmp_path / "digits.hmn"
    script("pack_in_python.py").main("digits", str(file), RECIPES["smoke"])
    assert "images in" in capsys.readouterr().out
    accuracy = script("train_on_a_file.py").main(str(file), "digits", epochs=1)
    assert 0 <= accuracy <= 100


def test_a_table_is_made_and_recorded(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    from hmnpack.schema.result import Result

    tables = script("reproduce/accuracy_table.py")
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(tables, "EvaluateConfig", tiny_evaluation)
    words = "--data digits --label digits --name digits --ipc 1 --recipe smoke --epochs 1"
    work = ["--seeds", "0", "1", "--device", "cpu", "--work", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", ["accuracy_table.py", *words.split(), *work])
    tables.main()
    result = Result.model_validate_json((tmp_path / "results" / "digits.json").read_text())
    assert result.recipe == "smoke"
    assert (result.figures["ipc"], result.networks) == (1, 2)
    names = ["random real, same floats", "JPEG real, same bytes", "warm-up alone"]
    assert [row.name for row in result.controls] == names


def test_pngs_are_compared_with_tensors(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    import hmnpack
    from hmnpack.recipes import RECIPES
    from hmnpack.schema.result import Result

    hmnpack.compress("digits", 1, config=RECIPES["smoke"], output=tmp_path / "digits.hmn")
    check = script("reproduce/png_check.py")
    monkeypatch.setattr(check, "RESULTS", tmp_path)
    monkeypatch.setattr(check, "EvaluateConfig", tiny_evaluation)
    words = "--data digits --label digits --name pngs --width 4 --epochs 1 --repeats 2"
    bundle = ["--bundle", str(tmp_path / "digits.hmn"), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["png_check.py", *words.split(), *bundle])
    check.main()
    result = Result.model_validate_json((tmp_path / "pngs.json").read_text())
    tensors, pngs = result.controls
    assert tensors.images == pngs.images == 100
    assert result.figures["difference_points"] == pngs.accuracy_mean - tensors.accuracy_mean


def tiny_evaluation():
    from hmnpack.schema.config import EvaluateConfig, NetworkConfig

    return EvaluateConfig(network=NetworkConfig(width=4), min_steps=1)


class TestTables:
    @pytest.fixture
    def tables(self):
        return script("reproduce/render_tables.py")

    def test_the_readme_has_what_the_result_files_say(self, tables):
        assert tables.main(check=True) == 0, "run python examples/reproduce/render_tables.py"

    def test_every_result_file_is_whole(self, tables):
        tables.results(EXAMPLES / "reproduce" / "results")

    def test_a_result_becomes_a_row(self, tables, tmp_path):
        from hmnpack.measure import machine_facts
        from hmnpack.schema.result import DataFacts, Result, Row

        def row(name, mean):
            return Row(name=name, images=10, accuracy_mean=mean, accuracy_std=1, networks=3)

        result = Result(
            name="x",
            recipe="fast",
            command="hmnpack evaluate x",
            commit="abc",
            machine=machine_facts(),
            data=DataFacts(name="CIFAR-10 (JPEG)", fingerprint="0" * 64),
            accuracy_mean=50.04,
            accuracy_std=0.5,
            networks=3,
            controls=(row("random real, same floats", 20), row("JPEG real, same bytes", 30)),
            figures={"ipc": 1, "images": 850, "network": "convnet", "width": 128, "epochs": 300},
        )
        (tmp_path / "x.json").write_text(result.model_dump_json())
        text = tables.table(tables.results(tmp_path), "results")
        assert "| CIFAR-10 (JPEG) | 1 | fast | 850 | **50.0** &plusmn; 0.5 | 20.0" in text
        assert "30.0 &plusmn; 1.0 | - | 3 x convnet, width 128, 300 epochs" in text
        assert "[json](results/x.json)" in text
        assert tables.table({}, "results") == tables.EMPTY


def test_every_script_is_run_here():
    tested = {"pack_in_python.py", "train_on_a_file.py"}
    tested |= {"render_tables.py", "accuracy_table.py", "png_check.py"}
    assert {path.name for path in EXAMPLES.rglob("*.py")} == tested
