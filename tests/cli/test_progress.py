"""Progress: bars on a terminal, lines elsewhere, nothing if quiet."""

import io

from rich.console import Console
from rich.progress import Progress

from hmnpack.cli.progress import Bars, Lines, drawn, figures


def test_figures_have_four_digits():
    assert figures({"loss": 0.123456, "accuracy": 56.789}) == "loss 0.1235  accuracy 56.79"


def test_a_bar_follows_its_stage():
    progress = Progress(console=Console(file=io.StringIO()))
    bars = Bars(progress)
    bars("pool", 1, 4, loss=2.0)
    bars("pool", 3, 4, loss=1.0)
    bars("match [red]", 0, 0)
    first, second = progress.tasks
    assert (first.completed, first.total, first.fields["facts"]) == (3, 4, "loss 1")
    assert second.total is None
    assert second.description == r"match \[red]"


def test_a_log_gets_one_line_at_the_end_of_each_stage():
    out = io.StringIO()
    lines = Lines(Console(file=out, width=80))
    for done in range(1, 5):
        lines("pool [x]", done, 4, loss=1.0 / done)
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().startswith("pool [x]: 4 in ")
    assert "loss 0.25" in out.getvalue()


def test_progress_goes_to_standard_error(capsys):
    with drawn() as listener:
        listener("pool", 1, 1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "pool" in shown.err


def test_quiet_is_silent(capsys):
    with drawn(quiet=True) as listener:
        listener("pool", 1, 1)
    assert capsys.readouterr() == ("", "")
