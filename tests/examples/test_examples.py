"""Every script in examples/ runs, on a tiny bundle or dataset."""

import importlib.util
import json
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SHIPPED = EXAMPLES / "bundles" / "fashion-mnist-ipc1.hmn"

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no source tree")


def script(name):
    spec = importlib.util.spec_from_file_location(f"example_{Path(name).stem}", EXAMPLES / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def separate_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HMNPACK_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def scripts_import_each_other(monkeypatch):
    """As when Python runs a script: its folder is first on the path."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "reproduce"))


@pytest.mark.slow
def test_compressed_file_can_be_trained_on(tmp_path, capsys):
    pytest.importorskip("sklearn")
    file = tmp_path / "digits.hmn"
    script("pack_in_python.py").main("digits", str(file), "smoke")
    assert "images in" in capsys.readouterr().out
    script("train_on_bundle.py").main(str(file), "digits", epochs=1)
    assert "test accuracy on real images: " in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["pt", "npz"])
def test_pack_images_packs_images_of_another_method(tmp_path, capsys, ending):
    import numpy as np
    import torch

    from hmnpack.bundle import read

    images, labels = torch.linspace(0, 1, 6 * 3 * 16).view(6, 3, 4, 4), torch.arange(6) % 2
    file, output = tmp_path / f"images.{ending}", tmp_path / "images.hmn"
    if ending == "npz":
        np.savez(file, images=images.numpy(), labels=labels.numpy())
    else:
        torch.save({"images": images, "labels": labels}, file)
    script("pack_images.py").main(str(file), str(output), "4")
    assert capsys.readouterr().out.splitlines() == [
        "6 images of 2 classes",
        "288 of 384 floats, 1152 of 1536 bytes",
    ]
    assert torch.equal(read(output).tensors["pixels"], images[[0, 2, 4, 1, 3, 5]])


@pytest.fixture(scope="module")
def shipped_images(tmp_path_factory):
    """A dataset that needs no download: the first images of a shipped bundle."""
    import hmnpack

    folder = tmp_path_factory.mktemp("shipped")
    for split in ("train", "test"):
        hmnpack.expand(SHIPPED, folder / split, per_class=5)
    return folder


@pytest.mark.parametrize(
    ("name", "package", "options"),
    [
        ("train_on_bundle.py", "torch", {"epochs": 4}),
        ("train_with_fabric.py", "lightning_fabric", {"epochs": 4}),
        ("train_timm_network.py", "timm", {"epochs": 20, "name": "test_resnet"}),
    ],
)
@pytest.mark.slow
def test_training_script_learns_from_a_shipped_bundle(
    name, package, options, shipped_images, capsys
):
    from hmnpack.runtime.seeds import seeded_rng, stream

    pytest.importorskip(package)
    with seeded_rng(stream(0, "example")):
        network = script(name).main(str(SHIPPED), str(shipped_images), **options)
    assert sum(parameter.numel() for parameter in network.parameters()) > 1000
    (accuracy,) = re.findall(r"on real images: ([\d.]+) %$", capsys.readouterr().out, re.MULTILINE)
    assert float(accuracy) > 30, "a tenth is chance"


def test_picture_draws_condensed_above_real_images(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    import numpy as np
    from PIL import Image

    import hmnpack
    from hmnpack.bundle.pictures import to_uint8
    from hmnpack.registry import RECIPES

    file, out = tmp_path / "digits.hmn", tmp_path / "digits.png"
    hmnpack.compress("digits", 1, config=RECIPES["smoke"], output=file)
    picture = script("reproduce/picture.py")
    words = f"--bundle {file} --data digits --output {out} --each 2 --classes 3"
    monkeypatch.setattr(sys, "argv", ["picture.py", *words.split()])
    picture.main()
    assert str(out) in capsys.readouterr().out
    sheet = np.array(Image.open(out))
    # Each image of 8 x 8 pixels is enlarged by 8; one line of names, two captions.
    step, band = 64 + 3, 22
    assert sheet.shape == (band + 2 * (band + 2 * step) + 3, 3 * step + 3, 3)
    loaded, source = hmnpack.load(file, per_class=2), hmnpack.open_source("digits").train
    ours = to_uint8(loaded.tensors()[0])[5]  # class 2, its second
    theirs = source.images[source.labels == 2][1]
    for block, expected in enumerate((ours, theirs)):
        top, left = band + block * (band + 2 * step) + band + step, 3 + 2 * step
        tile = sheet[top : top + 64 : 8, left : left + 64 : 8, 0]
        assert (tile == expected[0].numpy()).all()
    assert picture._fitted("cat", 30) == "cat"
    assert re.fullmatch("a[a-z]+[.]{3}", picture._fitted("automobile", 40))


@pytest.mark.parametrize(
    ("total", "reported_every", "lines"), [(1150, 10, 23), (2300, 10, 21), (286, 1, 29), (8, 1, 8)]
)
def test_progress_is_printed_at_even_intervals(capsys, total, reported_every, lines):
    print_progress = script("reproduce/record.py").print_progress
    for done in [*range(reported_every, total, reported_every), total]:
        print_progress("stage", done, total, loss=1.0)
    printed = [int(line.split()[1].split("/")[0]) for line in capsys.readouterr().err.splitlines()]
    assert len(printed) == lines
    assert printed[-1] == total
    assert len({after - before for before, after in pairwise(printed[:-1])}) <= 1


def test_record_scores_combines_separate_processes(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    import hmnpack
    from hmnpack.registry import RECIPES
    from hmnpack.schema.config import NetworkConfig, TrainConfig
    from hmnpack.schema.evaluation import EvaluateConfig
    from hmnpack.schema.result import Result

    file, work = tmp_path / "digits.hmn", tmp_path / "runs"
    bundle = hmnpack.compress("digits", 1, config=RECIPES["smoke"], output=file)
    pieces = script("reproduce/record_scores.py")
    settings = ["network.width=4", "train.epochs=2", 'rows=["floats"]', "min_steps=1"]
    words = (
        f"--bundle {file} --data digits --protocol short --networks 2 --device cpu --work {work}"
    )
    words = ["x.py", *words.split(), *(w for one in settings for w in ("--set", one))]
    before = file.read_bytes()
    monkeypatch.setattr(sys, "argv", [*words, "--only", "1"])
    pieces.main()
    assert len(list(work.iterdir())) == 1
    assert file.read_bytes() == before
    shipped = EXAMPLES / "reproduce" / "results"
    packed = ["--packed", str(shipped / "p1-fast.json")]
    monkeypatch.setattr(pieces, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sys, "argv", [*words, "--name", "made", "--label", "Digits", *packed])
    pieces.main()
    assert "of 2 networks recorded" in capsys.readouterr().out
    assert len(list(work.iterdir())) == 4  # plus two of the baseline

    config = EvaluateConfig(
        network=NetworkConfig(width=4),
        train=TrainConfig(epochs=2, weight_decay=0.0002),
        repeats=2,
        rows=("floats",),
        min_steps=1,
    )
    found = hmnpack.evaluate(bundle, "digits", config, device="cpu")
    manifest = hmnpack.verify(file).manifest
    (score,) = manifest.scores
    assert (
        score.model_copy(
            update=dict.fromkeys(("versions", "device", "arithmetic")) | {"baselines": ()}
        )
        == found.score
    )
    assert [(row.name, row.mean) for row in score.baselines] == [
        (row.name, row.accuracy_mean) for row in found.rows[1:]
    ]
    assert manifest.model_copy(update={"scores": ()}) == bundle.manifest

    result = Result.model_validate_json((tmp_path / "results" / "made.json").read_text())
    assert result.accuracy_mean == found.rows[0].accuracy_mean
    assert result.baselines == found.rows[1:]
    assert result.figures["protocol"] == "short"
    assert result.accuracies == found.score.accuracies
    assert result.protocol == found.config
    spent = json.loads((shipped / "p1-fast.json").read_text())["figures"]
    minutes = spent["processor_minutes_pool"] + spent["processor_minutes_after_pool"]
    assert result.figures["processor_minutes_packing"] == round(minutes, 1)
    # By hand: layers of 1 and 4 channels on 8, 4 and 2 pixels; forward pass and weight gradients.
    forward = 2 * 9 * 4 * 8 * 8, 2 * 9 * 4 * 4 * (4 * 4 + 2 * 2), 2 * 4 * 10
    training = 2 * forward[0] + 3 * forward[1] + 3 * forward[2]
    assert result.figures["flops_network"] == 2 * 100 * training
    row = script("reproduce/render_accuracies.py").table({"made": result})
    assert f"| {minutes:.0f} min | 100 | short | 2 x convnet of width 4, 2 epochs | **" in row

    other = RECIPES["smoke"].model_copy(update={"seed": 1})
    hmnpack.compress("digits", 1, config=other).save(file, force=True)
    monkeypatch.setattr(sys, "argv", words)
    pieces.main()
    assert len(list(work.iterdir())) == 6  # new networks for the bundle, the baseline is cached

    monkeypatch.setattr(sys, "argv", [*words, "--only", "2"])
    with pytest.raises(SystemExit):
        pieces.main()
    assert "numbered 0 to 1" in capsys.readouterr().err


def test_png_check_compares_pngs_with_tensors(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    import hmnpack
    from hmnpack.registry import RECIPES
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
    tensors, pngs = result.baselines
    assert tensors.images == pngs.images == 100
    assert result.figures["difference_points"] == pngs.accuracy_mean - tensors.accuracy_mean


def test_rounding_equals_a_run_with_that_dtype(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    import hmnpack
    from hmnpack.schema.result import Result

    def packed(dtype):
        output, settings = tmp_path / f"{dtype}.hmn", {"container.dtype": dtype}
        hmnpack.compress("digits", 1, recipe="smoke", settings=settings, output=output)
        return str(output)

    rounding = script("reproduce/rounding.py")
    monkeypatch.setattr(rounding, "RESULTS", tmp_path)
    out = tmp_path / "out.hmn"
    words = ["--bundle", packed("F32"), "--out", str(out), "--name", "rounded"]
    monkeypatch.setattr(sys, "argv", ["rounding.py", *words])
    rounding.main()
    assert out.read_bytes() == Path(packed("I8")).read_bytes()
    figures = Result.model_validate_json((tmp_path / "rounded.json").read_text()).figures
    assert 0 < figures["mean_difference_of_255"] < figures["rms_difference_of_255"] < 2
    assert figures["bytes_before"] == 4 * 611 > 3 * figures["bytes"]
    monkeypatch.setattr(sys, "argv", ["rounding.py", *words[2:], "--bundle", str(out)])
    with pytest.raises(SystemExit):
        rounding.main()


class TestProxy:
    @pytest.fixture
    def run(self, tmp_path, monkeypatch):
        """Return a function that runs proxy `smoke` with options and returns its exit code."""
        pytest.importorskip("sklearn")
        proxy = script("reproduce/proxy.py")
        monkeypatch.setattr(proxy, "RESULTS", tmp_path / "results")

        def run(*words):
            work = ["--device", "cpu", "--work", str(tmp_path / "runs")]
            monkeypatch.setattr(sys, "argv", ["proxy.py", "--name", "smoke", *words, *work])
            return proxy.main()

        return run

    @pytest.fixture
    def result(self, tmp_path):
        from hmnpack.schema.result import Result

        def result(name):
            return Result.model_validate_json((tmp_path / "results" / name).read_text())

        return result

    def test_result_on_other_data_is_not_replaced(self, tmp_path):
        from hmnpack.errors import BadSettings
        from hmnpack.schema.result import DataFacts

        write = script("reproduce/record.py").write_result
        facts = {"name": "x", "device": "cpu", "typed_data": "digits", "accuracy_mean": 50.0}
        first = DataFacts(name="CIFAR-10", fingerprint="1")
        path = write(tmp_path, data=first, **facts)
        before = path.read_text()
        with pytest.raises(
            BadSettings, match=r"on CIFAR-10, this result on digits; use another name"
        ):
            write(tmp_path, data=DataFacts(name="digits", fingerprint="2"), **facts)
        assert path.read_text() == before

    def test_paused_run_is_resumed_and_evaluated_by_several_processes(
        self, run, result, tmp_path, capsys
    ):
        from hmnpack.bundle import read

        assert run("--stop-after-minutes", "0") == 5
        assert "not evaluated yet" in capsys.readouterr().err
        assert not (tmp_path / "results").exists()
        assert run("--seeds", "1") == 0
        one = result("smoke.json")
        bundle = (tmp_path / "runs" / "smoke.hmn").stat().st_mtime_ns
        assert run("--seeds", "0", "1") == 0
        both = result("smoke.json")
        assert (tmp_path / "runs" / "smoke.hmn").stat().st_mtime_ns == bundle
        assert (one.networks, both.networks) == (1, 2)
        assert run("--seeds", "0") == 0
        assert "has more networks than this result" in capsys.readouterr().err
        assert result("smoke.json") == both
        assert both.figures["accuracy_seed_1"] == one.accuracy_mean
        mean = (both.figures["accuracy_seed_0"] + both.figures["accuracy_seed_1"]) / 2
        assert both.accuracy_mean == pytest.approx(mean)
        assert both.command.endswith("--seeds 0 1 --device cpu --work runs")
        assert both.figures["steps"] == 20
        assert both.minutes is not None
        assert 0 <= both.figures["minutes_pool"] <= both.minutes
        assert both.figures["processor_minutes_after_pool"] >= 0.001
        assert 0.1 < both.figures["peak_gb"] < 100
        held_out = read(tmp_path / "runs" / "smoke.hmn").manifest.source.held_out
        assert both.figures["tested_on"] == f"{held_out} held-out images of the training split"
        text = script("reproduce/render_proxies.py").sections({"smoke": both})
        assert f"| [smoke](results/smoke.json) | {both.accuracy_mean:.1f} &plusmn;" in text

    def test_other_settings_need_another_name(self, run, result, capsys):
        words = ["--seeds", "0", "--set", "match.steps=1", "--set", "pool.network.width=4"]
        assert run("--seeds", "0") == 0
        assert run(*words) == 2
        assert "--tag" in capsys.readouterr().err
        assert run(*words, "--tag", "short") == 0
        short = result("smoke-short.json")
        assert short.figures["settings"] == "match.steps=1 pool.network.width=4"
        assert 0 < short.figures["flops_packing"] < result("smoke.json").figures["flops_packing"]
        # Same pool as the first run, which trained it.
        assert short.figures["minutes_pool"] == result("smoke.json").figures["minutes_pool"]

    def test_several_bundles_are_combined(self, run, result, tmp_path):
        packed = "--seeds", "0", "--set", "match.steps=1", "--seed"
        assert run(*packed, "0") == run(*packed, "3") == 0
        files = sorted((tmp_path / "runs").glob("smoke-*.seed-0.json"))
        assert len(files) == 2
        for file, accuracy in zip(
            files, (20, 30), strict=True
        ):  # such short trainings end at chance
            (row,) = json.loads(file.read_text())
            file.write_text(json.dumps([{**row, "accuracy_mean": accuracy}]))
        assert run(*packed, "0", "3") == 0
        both = result("smoke.json")
        assert (both.networks, both.figures["bundles"], both.seed) == (2, 2, 0)
        assert both.accuracy_mean == 25
        assert both.accuracy_std == pytest.approx(50**0.5)
        named = {both.figures[f"accuracy_bundle_{seed}_seed_0"] for seed in (0, 3)}
        assert named == {20, 30}
        text = script("reproduce/render_proxies.py").sections({"smoke": both})
        assert "| 2 on 2 bundles |" in text

    def test_existing_file_is_evaluated_if_it_has_held_out_images(
        self, run, result, tmp_path, capsys
    ):
        import hmnpack
        from hmnpack.registry import RECIPES

        held_out = []
        for holdout in (0.2, 0.0):
            config = RECIPES["smoke"].model_copy(update={"holdout": holdout})
            file = tmp_path / f"{holdout}.hmn"
            bundle = hmnpack.compress("digits", 1, config=config, output=file)
            held_out.append(bundle.manifest.source.held_out)
        assert run("--bundle", str(tmp_path / "0.2.hmn"), "--seeds", "0") == 0
        found = result("smoke.json")
        assert found.minutes is None
        assert "--bundle 0.2.hmn" in found.command
        assert found.figures["tested_on"].startswith(f"{held_out[0]} held-out images")
        assert run("--bundle", str(tmp_path / "0.0.hmn")) == 3
        assert "no held-out images" in capsys.readouterr().err

    def test_conflicting_options_are_rejected(self, run):
        with pytest.raises(SystemExit):
            run("--bundle", "x.hmn", "--set", "match.steps=1")
        with pytest.raises(SystemExit):
            run("--name", "p1")


def test_recorded_command_omits_local_folders(tmp_path):
    command_line = script("reproduce/record.py").command_line
    words = ["x/y.py", "--data", str(tmp_path), "--work", "/a/b/runs", "--seeds", "0"]
    line = command_line(words, str(tmp_path))
    assert line == "python examples/reproduce/y.py --data DATA --work runs --seeds 0"
    assert command_line(["y.py", "--data", "digits"], "digits").endswith("--data digits")


def test_minutes_of_several_processes_add_up(tmp_path, monkeypatch):
    minutes = script("reproduce/minutes.py")
    path = tmp_path / "a[1].minutes.json"
    for process in (1, 2, 1):
        monkeypatch.setattr(minutes.os, "getpid", lambda process=process: process)
        mine = minutes.Minutes(path)
        mine.add("pool", minutes.Spent(1.0, 0.5, process))
        mine.add("rest", minutes.Spent(2.0, 0.0, 0.0))
    assert mine.of(["pool"]) == minutes.Spent(3.0, 1.5, 2)
    assert mine.of(mine.stages) == minutes.Spent(9.0, 1.5, 2)
    assert len(list(tmp_path.iterdir())) == 2


def test_rows_over_seeds_are_aggregated(tmp_path):
    from hmnpack.schema.result import Row

    record = script("reproduce/record.py")
    for seed, (images, quality) in enumerate([(290, 30), (610, 10)]):
        figures = {"jpeg_quality": quality, "bytes": 100 + seed, "steps": 7}
        row = Row(
            name="JPEG",
            images=images,
            accuracy_mean=40.0 + seed,
            accuracy_std=0.0,
            networks=1,
            figures=figures,
        )
        record.cached_rows(tmp_path / f"{seed}.json", lambda row=row: [row])
    (found,) = record.over_seeds(sorted(tmp_path.iterdir()))
    assert (found.images, found.networks, found.accuracy_mean) == (450, 2, 40.5)
    assert found.accuracy_std == pytest.approx(0.5**0.5)
    assert found.accuracies == (40.0, 41.0)
    assert found.figures == {"bytes": 100, "steps": 7}


def tiny_evaluation():
    from hmnpack.schema.config import NetworkConfig
    from hmnpack.schema.evaluation import EvaluateConfig

    return EvaluateConfig(network=NetworkConfig(width=4), min_steps=1)


class TestTables:
    @pytest.fixture
    def recorded(self):
        return script("reproduce/recorded.py")

    @pytest.fixture
    def found(self, recorded):
        return recorded.load(EXAMPLES / "reproduce" / "results")

    @pytest.fixture
    def accuracies(self):
        return script("reproduce/render_accuracies.py")

    @pytest.fixture
    def result(self):
        from hmnpack.runtime.machine import machine_facts
        from hmnpack.schema.result import DataFacts, Result, Row

        def row(name, mean):
            return Row(name=name, images=10, accuracy_mean=mean, accuracy_std=1, networks=3)

        return Result(
            name="x",
            recipe="fast",
            command="hmnpack evaluate x",
            commit="abc",
            machine=machine_facts(),
            data=DataFacts(name="CIFAR-10 (JPEG)", fingerprint="0" * 64),
            accuracy_mean=50.04,
            accuracy_std=0.5,
            networks=3,
            baselines=(row("random real, same floats", 20), row("JPEG real, same bytes", 30)),
            figures={
                **{"ipc": 1, "images": 850, "network": "convnet", "width": 128, "epochs": 300},
                **{"paper_accuracy": 65.7, "processor_minutes_packing": 25.9},
            },
        )

    def test_pages_match_the_result_files(self):
        tables = script("reproduce/render_tables.py")
        assert tables.main(check=True) == 0, "run python examples/reproduce/render_tables.py"

    def test_results_page_links_each_file_once(self, found):
        page = (EXAMPLES / "reproduce" / "RESULTS.md").read_text(encoding="utf-8")
        links = re.findall(r"\]\(results/([\w.-]+)\.json\)", page)
        assert sorted(links) == sorted(found)

    def test_notes_are_of_files_or_headings(self, recorded, found):
        page = (EXAMPLES / "reproduce" / "RESULTS.md").read_text(encoding="utf-8")
        headings = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
        assert recorded.notes().keys() <= found.keys() | headings

    def test_decisions_cite_files_that_exist(self, found):
        page = (EXAMPLES / "reproduce" / "DECISIONS.md").read_text(encoding="utf-8")
        defined = dict(re.findall(r"^\[([\w.-]+)\]: results/([\w.-]+)\.json$", page, re.MULTILINE))
        cited = set(re.findall(r"\[([\w.-]+)\](?![(:])", page))
        assert cited == set(defined)
        assert all(name == file and name in found for name, file in defined.items())

    def test_removed_settings_are_marked(self, result):
        settings = "match.steps=10 match.objective=mmd"
        figures = {"proxy": "q2", "settings": settings, "steps": 20, "images": 100}
        proxy = result.model_copy(update={"figures": figures})
        text = script("reproduce/render_proxies.py").sections({"q2-x": proxy})
        assert "| fast, `match.steps=10`, `match.objective=mmd`&dagger; |" in text

    def test_result_becomes_a_row(self, accuracies, recorded, result, tmp_path):
        (tmp_path / "x.json").write_text(result.model_dump_json())
        text = accuracies.sections(recorded.load(tmp_path))
        assert text.startswith("### CIFAR-10 (JPEG)\n")
        assert "| [x](results/x.json) | 1 | fast | 26 min | 850 | 3 x convnet of width 128" in text
        assert "300 epochs | **50.0** &plusmn; 0.5 | 65.7 | 20.0 &plusmn; 1.0 | 30.0" in text
        assert "warm-up alone" not in text
        quick = result.model_copy(update={"figures": {"processor_minutes_packing": 0.5}})
        assert "| 30 s |" in accuracies.table({"q": quick})

    def test_proxies_have_no_test_accuracy(self, accuracies, result):
        proxy = result.model_copy(update={"figures": {**result.figures, "proxy": "p1"}})
        assert accuracies.accuracies({"x": proxy}) == {}
        assert accuracies.sections({"x": proxy}) == ""

    def test_results_with_the_same_figures_share_a_table(self, result):
        def measured(**figures):
            facts = {"figures": figures, "accuracy_mean": None, "baselines": ()}
            return result.model_copy(update=facts)

        one, two = measured(seconds=0.12345, images=2000), measured(seconds=1234.5, images=7)
        sections = script("reproduce/render_figures.py").sections
        text = sections({"views-a": one, "step": two, "views-b": two})
        assert re.findall("^### (.*)$", text, re.MULTILINE) == ["step", "views"]
        assert "| `seconds` | 1,234 |" in text
        assert "| views-a | 0.1235 | 2,000 |\n| views-b | 1,234 | 7 |" in text


def test_scaling_is_measured_and_recorded(tmp_path, monkeypatch, capsys):
    from hmnpack.schema.result import Result

    words = "--measure --classes 2 --width 4 --images 2 --train-images 4 --repeats 1 --device cpu"
    monkeypatch.setattr(sys, "argv", ["scaling.py", *words.split()])
    script("cluster/scaling.py").main([*words.split(), "--save", str(tmp_path / "scaling.json")])
    assert "speed_up_predicted" in capsys.readouterr().out
    result = Result.model_validate_json((tmp_path / "scaling.json").read_text())
    assert (result.figures["ranks"], result.figures["speed_up_predicted"]) == (1, 1.0)


def test_view_check_measures_three_kinds_of_views(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    import hmnpack
    from hmnpack.errors import HmnError
    from hmnpack.registry import RECIPES
    from hmnpack.schema.result import Result

    monkeypatch.setenv("HMNPACK_CACHE", str(tmp_path / "cache"))
    smoke, reported, losses = RECIPES["smoke"], [], []
    # A step so small that the single loss is that of the file.
    few = {"steps": 1, "lr": 1e-9, "classification": 0.0, "part_images": 9, "views": 1}
    config = smoke.model_copy(update={"match": smoke.match.model_copy(update=few)})

    def record_loss(stage, done, total, **facts):
        reported.extend([facts["loss"]] if (stage, done) == ("matching", 1) else [])

    file = tmp_path / "digits.hmn"
    hmnpack.compress("digits", 1, config=config, output=file, listener=record_loss)
    views = script("reproduce/view_check.py")
    monkeypatch.setattr(views, "RESULTS", tmp_path)
    words = [
        "x.py",
        "--bundle",
        str(file),
        *["--data", "digits", "--label", "digits", "--views", "1"],
    ]
    for name, more in (("same", []), ("large", ["--real-batch", "80"])):
        monkeypatch.setattr(sys, "argv", [*words, "--name", name, *more])
        views.main()
        result = Result.model_validate_json((tmp_path / f"{name}.json").read_text())
        losses.append(
            [result.figures[f"loss_{x}"] for x in ["own_views", "new_views", "other_networks"]]
        )
    assert losses[0][0] == pytest.approx(reported[-1], rel=1e-4)
    assert len({round(loss, 6) for loss in losses[0] + losses[1]}) == 6
    hmnpack.compress("digits", 1, config=smoke).save(file, force=True)
    with pytest.raises(HmnError, match="not made by matching mean features"):
        views.main()


def test_cifar10_jpeg_is_made_from_its_folders(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pyarrow")
    import torch
    from PIL import Image

    import hmnpack

    copy = script("reproduce/cifar10_jpeg.py")
    for split, count in (("train", 6), ("test", 2)):
        for shade, name in enumerate(("cat", "ant")):
            folder = tmp_path / "clone" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = Image.new("RGB", (32, 32), (90 * shade, 20 * number, 0))
                image.save(folder / f"{number:04}.jpg")
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "clone"), str(tmp_path / "made")])
    with pytest.raises(SystemExit, match="check out the commit"):
        copy.main()
    assert "train.parquet: 12 images" in capsys.readouterr().out
    made = hmnpack.open_source(tmp_path / "made")
    folders = hmnpack.open_source(tmp_path / "clone")
    assert made.classes == folders.classes == ("ant", "cat")
    assert torch.equal(made.train.images, folders.train.images)
    assert made.train.fingerprint == folders.train.fingerprint
    monkeypatch.setattr(copy, "FINGERPRINT", made.train.fingerprint)
    copy.main()
    with pytest.raises(SystemExit, match="give the path of the clone"):
        copy.table(tmp_path, "train")


def test_every_script_is_tested():
    tested = {"pack_images.py", "pack_in_python.py", "train_on_bundle.py"}
    tested |= {"train_with_fabric.py", "train_timm_network.py", "picture.py", "record_scores.py"}
    tested |= {"render_tables.py", "png_check.py", "view_check.py", "proxy.py"}
    tested |= {"record.py", "packing.py", "minutes.py", "scoring.py"}  # run by those above
    tested |= {
        "cifar10_jpeg.py",
        "rounding.py",
        "scaling.py",
        "recorded.py",
        "render_accuracies.py",
        "render_figures.py",
        "render_front.py",
        "render_paper.py",
        "render_proxies.py",
        "render_results.py",
        "markdown.py",
    }
    ablations = {path.name for path in (EXAMPLES / "reproduce" / "ablations").glob("*.py")}
    tested |= {"paper.py", *ablations}  # run by test_paper_tables.py
    tested |= {"figure4.py", "figure4_page.py"}  # run by test_figure4.py
    tested |= {"methods.py", "containers.py", "cells.py", "comparisons.py"}
    tested |= {"assignments.py"}  # of paper.py and of these
    tested |= {"fitting_to_time.py", "render_comparisons.py"}  # run by test_comparisons.py
    federated = {path.name for path in (EXAMPLES / "federated").glob("*.py")}
    tested |= {"federated.py", *federated}  # run by test_federated.py
    tested |= {"avalanche_replay.py"}  # run by tests/integrations/test_avalanche.py
    assert {path.name for path in EXAMPLES.rglob("*.py")} == tested
