"""An evaluation as a table and as a document."""

import io

import pytest
from rich.console import Console

from hmnpack.cli.outcome import accuracy_table
from hmnpack.cli.show import PIPE_WIDTH
from hmnpack.evaluation import BUNDLE_ROW, BYTES_ROW, FLOATS_ROW, WHOLE_ROW, Evaluation
from hmnpack.evaluation.result import result_of
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.pruning import Pruning
from hmnpack.schema.result import Result, Row
from hmnpack.schema.score import Score
from hmnpack.sources import Source, Split


def row(name, mean, networks=3, **figures):
    once = networks == 1
    return Row(
        name=name,
        images=11_680,
        accuracy_mean=mean,
        accuracy_std=0 if once else 0.25,
        accuracy_ci95=None if once else 0.62,
        networks=networks,
        figures={"epochs": 300, "steps": 234_600, **figures},
    )


BUNDLE, FLOATS, WHOLE = row(BUNDLE_ROW, 60.0), row(FLOATS_ROW, 22.5), row(WHOLE_ROW, 85.25)
FILES = row(BYTES_ROW, 40.0, jpeg_quality=30, held_out_images=4990)


def evaluation(*rows, **protocol):
    config = EvaluateConfig(**protocol)
    score = Score(
        protocol="short",
        network=config.network.name,
        seed=config.seed,
        held_out=config.held_out,
        data="[red]pets",
        fingerprint="0" * 64,
        images=9,
        accuracies=(60.0,),
    )
    return Evaluation(rows, score, config)


@pytest.fixture
def printed(hmn_bundle):
    """Return a function that renders evaluations of a bundle as text."""

    def text(found, width=PIPE_WIDTH, manifest=hmn_bundle.manifest):
        console = Console(file=io.StringIO(), width=width)
        console.print(accuracy_table(found, manifest))
        return console.file.getvalue()

    return text


def cells(text, start):
    (line,) = [line.strip() for line in text.splitlines() if line.strip().startswith(start)]
    return line.removeprefix(start).split()


def test_table_has_mean_deviation_and_interval(printed):
    text = printed({"convnet": evaluation(BUNDLE)})
    assert "tested on [red]pets" in text
    assert text.count("convnet") == 1  # in the title, with no line of its own
    assert "+- 95 %" in text
    assert cells(text, BUNDLE_ROW) == ["11,680", "300", "234600", "60.00", "%", "0.25", "0.62", "3"]
    assert "random" not in text
    assert "whole" not in text


def test_one_network_has_no_deviation_or_interval(printed):
    text = printed({"convnet": evaluation(row(BUNDLE_ROW, 60.0, networks=1))})
    assert cells(text, BUNDLE_ROW)[5:] == ["1"]
    assert "std" not in text


def test_comparison_columns_need_their_baselines(printed):
    text = printed({"convnet": evaluation(BUNDLE, FLOATS, WHOLE)})
    assert cells(text, BUNDLE_ROW)[-2:] == ["+37.50", "25.25"]
    assert cells(text, FLOATS_ROW)[-2:] == ["-", "62.75"]
    assert cells(text, WHOLE_ROW)[-2:] == ["+62.75", "-"]
    assert "below" not in printed({"convnet": evaluation(BUNDLE, FLOATS)})


def test_widest_table_fits_the_pipe_width(printed):
    """Every row fits one line, with one network and with two."""
    one = evaluation(BUNDLE, FLOATS, FILES, WHOLE)
    for found in ({"convnet": one}, {"convnet": one, "torchvision:resnet18": one}):
        text = printed(found)
        for name in (BUNDLE_ROW, FLOATS_ROW, BYTES_ROW, WHOLE_ROW):
            lines = [line for line in text.splitlines() if name in line and "%" in line]
            assert len(lines) == len(found)


def test_jpeg_quality_is_in_the_caption(printed):
    text = printed({"convnet": evaluation(BUNDLE, FILES)})
    assert "quality 30, selected on 4,990 held-out images" in text
    both = printed(dict.fromkeys(("convnet", "vgg16"), evaluation(BUNDLE, FILES)))
    assert "vgg16, JPEG real, same bytes: quality 30" in both
    fixed = row(BYTES_ROW, 40.0, jpeg_quality=75, held_out_images=0)
    assert printed({"convnet": evaluation(BUNDLE, fixed)}).rstrip().endswith("quality 75")


@pytest.fixture
def source():
    return Source("pets", ("a", "b"), Split(None, None, None, "1" * 64), None)


def test_document_contains_interval_and_comparisons(bundle, source):
    found = {"convnet": evaluation(BUNDLE, FLOATS, WHOLE), "vgg16": evaluation(FILES)}
    result = result_of(found, bundle.manifest, source, "cpu", 1.5, "hmnpack evaluate x")
    assert result.command == "hmnpack evaluate x"
    assert Result.model_validate_json(result.model_dump_json()) == result
    assert (result.accuracy_mean, result.accuracy_ci95) == (60.0, 0.62)
    assert [one.name for one in result.baselines] == [FLOATS_ROW, WHOLE_ROW, f"{BYTES_ROW} (vgg16)"]
    assert result.baselines[0].accuracy_ci95 == 0.62
    assert result.figures["points_over_random"] == 37.5
    assert result.figures["points_below_whole"] == 25.25
    assert result.figures["steps"] == 234_600
    assert result.protocol == EvaluateConfig()


def test_document_omits_unknown_comparisons(bundle, source):
    result = result_of({"convnet": evaluation(BUNDLE)}, bundle.manifest, source, "cpu", 1.5, "x")
    assert not [name for name in result.figures if name.startswith("points")]


def test_caption_warns_if_held_out_images_selected_beta(printed, hmn_bundle):
    """Held-out images that selected beta make the score optimistic."""
    manifest, found = hmn_bundle.manifest, {"convnet": evaluation(BUNDLE, held_out=True)}
    text = printed(found, manifest=manifest)
    assert "tested on images held out of [red]pets" in text
    assert "optimistic" not in text
    pruning = Pruning(strategy="double-end", seed=0, instances=9, beta=0.5, held_out=5)
    made = manifest.provenance.model_copy(update={"prunings": (pruning,)})
    pruned = manifest.model_copy(update={"provenance": made})
    expected = " ".join(printed(found, manifest=pruned).split())
    assert "these images selected its beta" in expected
    assert "optimistic" not in printed({"convnet": evaluation(BUNDLE)}, manifest=pruned)
