"""Progress: bars on a terminal, lines elsewhere, nothing if quiet."""

import io
from itertools import accumulate

import pytest
from rich.console import Console
from rich.progress import Progress

from hmnpack.cli.progress import Bars, Lines, Speed, format_metrics, progress_display, time_left


def test_metrics_have_four_digits():
    assert format_metrics({"loss": 0.123456, "accuracy": 56.789}) == "loss 0.1235  accuracy 56.79"


def test_bar_follows_its_stage():
    progress = Progress(console=Console(file=io.StringIO()))
    bars = Bars(progress)
    bars("pool", 1, 4, loss=2.0)
    bars("pool", 3, 4, loss=1.0)
    bars("match [red]", 0, 0)
    first, second = progress.tasks
    assert (first.completed, first.total, first.fields["facts"]) == (3, 4, "loss 1")
    assert second.total is None
    assert second.description == "match [red]"


def test_one_line_at_the_end_of_each_stage():
    out = io.StringIO()
    lines = Lines(Console(file=out, width=80))
    for done in range(1, 5):
        lines("pool [x]", done, 4, loss=1.0 / done)
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().startswith("pool [x]: 4 in ")
    assert "loss 0.25" in out.getvalue()


def test_metric_is_shown_until_its_next_value():
    progress = Progress(console=Console(file=io.StringIO()))
    bars = Bars(progress)
    bars("matching", 1, 4, loss=2.0, accuracy=50.0)
    bars("matching", 2, 4, loss=1.0)
    bars("gradient", 1, 4)
    assert [task.fields["facts"] for task in progress.tasks] == ["loss 1  accuracy 50", ""]


def test_bar_speed_excludes_resumed_steps():
    now = [0.0]
    progress = Progress(console=Console(file=io.StringIO()), get_time=lambda: now[0])
    bars = Bars(progress)
    bars("matching", 500, 1000)
    now[0] = 20.0
    bars("matching", 510, 1000)
    assert progress.tasks[0].fields["left"] == "16 min left"


def seconds_left_after(seconds, durations):
    """Return the (estimated, true) remaining time of steps after some time."""
    speed, now, ends = Speed(), 0.0, list(accumulate(durations))
    speed.note(0, now)
    for done, now in enumerate(ends, 1):
        speed.note(done, now)
        if now >= seconds:
            break
    return speed.left(len(ends)), ends[-1] - now


@pytest.mark.parametrize(
    "durations",
    [
        [0.25] * 2300,
        [0.65] * 60 + [0.26] * 2240,
        [40.0] + [0.3] * 2000,
        [max(0.3, 2 - 0.06 * i) for i in range(1500)],
        [3.0 if i % 20 == 0 else 0.2 for i in range(2000)],
        [25.0] * 30,
        [0.01] * 100_000,
    ],
    ids=["even", "slow-start", "slow-first", "gradual", "periodic", "long-steps", "short-steps"],
)
@pytest.mark.parametrize("after", [60, 120, 300])
def test_time_left_is_right_within_a_third_after_a_minute(durations, after):
    estimated, true = seconds_left_after(after, durations)
    assert estimated == pytest.approx(true, rel=1 / 3)


def test_time_left_is_unknown_before_the_second_event_and_after_the_last():
    speed = Speed()
    assert speed.left(9) is None
    speed.note(3, 0.0)
    assert speed.left(9) is None
    speed.note(9, 5.0)
    assert speed.left(9) is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.2, "0 s left"),
        (99, "99 s left"),
        (100, "2 min left"),
        (12 * 60 + 10, "12 min left"),
        (3599, "1 h 0 min left"),
        (12_000, "3 h 20 min left"),
        (400_000, "111 h 7 min left"),
    ],
)
def test_time_left_is_rounded(seconds, expected):
    assert time_left(seconds) == expected


class TestLongStages:
    @pytest.fixture
    def printed(self):
        """Return a function that maps events (second, stage, done, total, metrics) to lines."""

        def lines_of(*events):
            now = [0.0]
            out = io.StringIO()
            lines = Lines(Console(file=out, width=100), every=60.0, clock=lambda: now[0])
            for second, stage, done, total, facts in events:
                now[0] = second
                lines(stage, done, total, **facts)
            return out.getvalue().splitlines()

        return lines_of

    def test_line_with_the_first_event_after_a_minute(self, printed):
        steps = [(10.0 * i, "matching", 10 * i, 1200, {"loss": 1 / i}) for i in range(1, 15)]
        assert printed(*steps) == [
            "matching: 60 of 1,200  loss 0.1667  19 min left",
            "matching: 120 of 1,200  loss 0.08333  18 min left",
        ]

    def test_late_first_event(self, printed):
        events = [(300, "gradient", 10, 1000, {"loss": 1.0}), (600, "gradient", 20, 1000, {})]
        assert printed(*events) == [
            "gradient: 10 of 1,000  loss 1",
            "gradient: 20 of 1,000  loss 1  8 h 10 min left",
        ]

    def test_time_left_excludes_resumed_steps(self, printed):
        events = [(1, "matching", 900, 1000, {}), (61, "matching", 910, 1000, {})]
        assert printed(*events) == ["matching: 910 of 1,000  9 min left"]

    def test_line_at_the_end_of_a_stage_restarts_the_minute(self, printed):
        events = [(50, "pool", 4, 4, {}), (70, "matching", 1, 9, {}), (111, "matching", 2, 9, {})]
        assert printed(*events) == ["pool: 4 in 50.0 s", "matching: 2 of 9  5 min left"]

    def test_rare_metric_is_in_the_next_line(self, printed):
        events = [
            (1, "matching", 1, 9, {"loss": 3.0, "accuracy": 50.0}),
            (62, "matching", 2, 9, {"loss": 2.0}),
            (63, "matching", 9, 9, {"loss": 1.0}),
        ]
        assert printed(*events) == [
            "matching: 2 of 9  loss 2  accuracy 50  7 min left",
            "matching: 9 in 63.0 s  loss 1  accuracy 50",
        ]

    def test_stage_of_unknown_length(self, printed):
        assert printed((1, "read", 1, 0, {}), (70, "read", 5000, 0, {})) == ["read: 5,000"]


def test_progress_goes_to_standard_error(capsys):
    with progress_display() as listener:
        listener("pool", 1, 1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "pool" in shown.err


def test_quiet_prints_nothing(capsys):
    with progress_display(quiet=True) as listener:
        listener("pool", 1, 1)
    assert capsys.readouterr() == ("", "")
