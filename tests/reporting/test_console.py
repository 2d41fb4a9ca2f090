"""The four modes of one stream, and that names stay inert in each of them."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from structure_net.reporting import Console, Mode, choose_mode
from structure_net.schema import Event, TournamentResumed, event_line
from tests.reporting import stream

DIRECTORY = Path("runs/2026-11-23_143012_quick")
FILES = (DIRECTORY / "run.db", Path("/elsewhere/report.html"))
NEXT = "structure-net show runs/2026-11-23_143012_quick"
HOSTILE = "[red]x[/red]\x1b[31m\nsecond\r\x07\u202eline\ud800"


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same terminal wherever the tests run."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LINES", "40")


def shown(
    mode: Mode,
    events: Sequence[Event],
    *,
    width: int | None = None,
    color: bool | None = None,
    end: bool = True,
    wait: float = 0,
) -> tuple[str, str]:
    """What a console writes to stdout and to stderr."""
    out, err = io.StringIO(), io.StringIO()
    with Console(
        mode, out=out, err=err, generations=2, epochs=10, width=width, color=color
    ) as console:
        for event in events:
            console.show(event)
        time.sleep(wait if mode == "interactive" else 0)
        if end:
            console.end(DIRECTORY, FILES, NEXT)
    return out.getvalue(), err.getvalue()


def without_escapes(text: str) -> str:
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize(
    ("asked", "environ", "mode"),
    [
        ({"err_is_terminal": True}, {"TERM": "xterm"}, "interactive"),
        ({"err_is_terminal": True}, {"TERM": "xterm", "CI": "false"}, "interactive"),
        ({"err_is_terminal": True}, {"TERM": "xterm", "CI": "1"}, "plain"),
        ({"err_is_terminal": True}, {"TERM": "dumb"}, "plain"),
        ({"err_is_terminal": False}, {"TERM": "xterm"}, "plain"),
        ({"err_is_terminal": True, "quiet": True}, {}, "quiet"),
        ({"err_is_terminal": False, "json": True}, {"CI": "1"}, "json"),
        ({"err_is_terminal": True, "json": True, "quiet": True}, {}, "json"),
    ],
)
def test_mode_follows_what_was_asked_then_the_terminal(
    asked: dict[str, bool], environ: dict[str, str], mode: str
) -> None:
    assert choose_mode(**{"json": False, "quiet": False, **asked}, environ=environ) == mode


def test_plain_tells_the_run_line_by_line() -> None:
    out, err = shown("plain", stream.whole_run())
    assert out == ""
    told = err.splitlines()
    expected = [
        "Tournament on digits",
        "  data: 1,294 training and 143 validation samples, 10 classes, verified by SHA-256",
        "  4 competitors, 2 generations, 10 epochs each, batch size 32, engine csr, seed 7",
        "  without: growth, residual blocks",
        "  fault injected: worker-1:kill",
        "GENERATION 1/2: evaluating 4 competitors",
        "trial 0 started on worker-0 (cpu): [64, 74, 37, 18, 10], COSINE, batch 32, 8,409 params",
        "trial 3 FAILED, diverged in epoch 3: the loss is not finite",
        "GENERATION 2/2: evaluating 4 competitors (1 carried over)",
        "RETRAINING: the champion, trial 0, again on 1 fresh seed",
        "Champion: trial 0, genome " + stream.GENOME.id,
        "  architecture:        [64, 74, 37, 18, 10]",
        "  test accuracy:       0.943 on 360 samples",
        "  retrained:           mean test accuracy 0.923 over 1 fresh seed (0.923 to 0.923), the "
        "champion's is 0.020 above",
        "  not met:      Evolution: figure of evolution",
        "  not measured: Logging: figure of logging",
        "  run.db",
        "  /elsewhere/report.html",
        "  " + NEXT,
    ]
    assert list(dict.fromkeys(line for line in told if line in expected)) == expected
    assert sum(" started" in line for line in told) == 9
    (stopped,) = (line.split(" (")[0] for line in told if " stopped early" in line)
    assert stopped == "trial 6 stopped early after 5 epochs: accuracy 0.912, rank 3 of 4"
    assert sum(" finished: accuracy" in line for line in told) == 6
    assert "Epoch" not in err


def test_plain_states_the_density_of_the_champion() -> None:
    _, err = shown("plain", stream.whole_run())
    possible = 64 * 74 + 74 * 37 + 37 * 18 + 18 * 10
    assert f"{8270 / possible:.3f} (8,270 connections)" in err


def test_more_failures_than_allowed_are_told() -> None:
    events = stream.whole_run()
    assert "more than the allowed share of 0.1" in shown("plain", events)[1]
    events[-1] = stream.tournament_finished(failed=1, trials=10)
    assert "more than the allowed" not in shown("plain", events)[1]


def test_json_is_the_stored_lines_and_nothing_else() -> None:
    events = stream.whole_run()
    out, err = shown("json", events)
    assert err == ""
    assert out.split("\n") == [*(event_line(event) for event in events), ""]
    assert [json.loads(line)["kind"] for line in out.splitlines()] == [one.kind for one in events]


def test_quiet_tells_failures_and_one_last_line() -> None:
    out, err = shown("quiet", stream.whole_run())
    assert out == ""
    lost, failed, last = err.splitlines()
    assert lost.startswith("trial 3 lost an attempt, out of memory (charged to the trial)")
    assert failed == "trial 3 FAILED, diverged in epoch 3: the loss is not finite"
    assert last.startswith("champion trial 0: fitness 0.9000, validation accuracy 0.912, test acc")
    assert last.endswith(str(DIRECTORY))


def test_a_lost_generation_is_a_failure() -> None:
    lost = stream.generation_finished(0, failed=4, lost=True)
    _, err = shown("quiet", [stream.generation_started(0), lost], end=False)
    assert "no new trial has a result" in err
    _, err = shown("plain", [stream.generation_started(0), lost], end=False)
    assert "best fitness none, mean none, 4 failed" in err


@pytest.mark.parametrize("mode", ["plain", "quiet", "interactive"])
def test_a_stopped_run_says_so(mode: Mode) -> None:
    _, err = shown(mode, stream.whole_run()[:2])
    assert "topped: generation 1/2, 0 trials ended" in without_escapes(err)
    assert "Champion" not in err


def test_resume_tells_what_was_done_and_what_differs() -> None:
    event = TournamentResumed(start_number=2, finished_trials=5, warnings=("torch is newer",))
    _, err = shown("plain", [event], end=False)
    assert err == ("Resumed (start 2): 5 trials already finished\n  warning: torch is newer\n")


class NetworkFolded(Event):
    """A kind that this console has no words for."""

    layer: int


def test_an_unknown_kind_is_one_neutral_line() -> None:
    event = NetworkFolded(generation=0, trial=7, layer=2)
    assert shown("plain", [event], end=False)[1] == "NetworkFolded (generation 1, trial 7)\n"
    assert shown("quiet", [event], end=False) == ("", "")
    assert "NetworkFolded (generation 1, trial 7)" in shown("interactive", [event], end=False)[1]
    assert json.loads(shown("json", [event])[0])["layer"] == 2


@pytest.mark.parametrize("width", [40, 80])
def test_lines_stay_inside_the_width(width: int) -> None:
    for mode in ("plain", "interactive"):
        _, err = shown(mode, stream.whole_run(), width=width, end=False, wait=0.6)
        pieces = re.split(r"[\r\n]", without_escapes(err))
        assert max(len(piece) for piece in pieces) <= width
        assert "[64, 74, 37, 18, 10]" in err  # not broken in the middle
        assert "[3072, 512" in err


@pytest.mark.parametrize("width", [40, 100])
def test_a_ranking_names_the_normalisation_where_there_is_one(width: int) -> None:
    plain = stream.performer(1)
    normal = plain.model_copy(update={"normalisation": "rms"})
    event = stream.generation_finished(0, plain, normal)
    _, err = shown("plain", [event], width=width, end=False)
    named = [line for line in err.splitlines() if "leaky_relu" in line]
    assert ["rms leaky_relu" in line for line in named] == [False, True]


def test_columns_of_the_environment_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert shown("plain", stream.whole_run()) == shown("plain", stream.whole_run(), width=40)
    for nonsense in ("0", "-3", "wide", ""):
        monkeypatch.setenv("COLUMNS", nonsense)
        assert "GENERATION 1/2" in shown("plain", stream.whole_run())[1]


@pytest.mark.parametrize("mode", ["plain", "quiet", "json"])
def test_no_escape_byte_without_a_terminal(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR_FORCE"):
        monkeypatch.setenv(name, "1")
    out, err = shown(mode, stream.whole_run(), color=True)
    assert "\x1b" not in out + err
    assert "\r" not in out + err


def hostile_run() -> list[Event]:
    """Every text that may come from outside, poisoned; its lone surrogate left out of JSON."""
    started = stream.tournament_started(HOSTILE, fault=HOSTILE)
    best = stream.performer(0, strategy=HOSTILE)
    return [
        started.model_copy(update={"without": (HOSTILE,), "engine": HOSTILE}),
        TournamentResumed(start_number=2, finished_trials=0, warnings=(HOSTILE,)),
        stream.generation_started(0),
        stream.trial_started(0, worker=HOSTILE, strategy=HOSTILE),
        stream.trial_failed(1, HOSTILE),
        stream.generation_finished(0, best),
        stream.trial_started(2, worker=HOSTILE, strategy=HOSTILE),
    ]


@pytest.mark.parametrize("width", [40, 80, None])
@pytest.mark.parametrize("mode", ["plain", "quiet", "interactive"])
def test_hostile_names_are_inert(mode: Mode, width: int | None) -> None:
    _, err = shown(mode, hostile_run(), width=width, color=False, end=False, wait=0.6)
    assert "\x1b[31m" not in err
    assert not re.search("[\x07\u202e\ud800]", err)
    if mode != "interactive":
        assert "\x1b" not in err
    assert "[red]x[/red]" in err
    err.encode("utf-8")
    if width is None:  # a wrapped line may begin with any word
        assert not [line for line in err.splitlines() if line.startswith("second")]


def test_a_reason_of_any_length_stays_short() -> None:
    _, err = shown("plain", [stream.trial_failed(1, "long " * 100_000)], end=False)
    assert len(err) < 600


def test_interactive_shows_what_each_worker_trains() -> None:
    events = stream.whole_run()[:20]
    _, err = shown("interactive", events, width=100, end=False, wait=0.8)
    view = without_escapes(err)
    assert re.search(r"worker-0 +cpu +0 +\[64, 74, 37, 18, 10\] +COSINE +32 +8,409 +5/10", view)
    assert re.search(r"5/10 +0\.234 +2\.1234", view)
    assert re.search(r"Generation 1/2 .*0/4 trials", view)
    assert "4 running, 0 waiting, 0 failed" in view
    assert "started on" not in view  # the rows tell it


def test_interactive_gives_the_terminal_back_when_something_fails() -> None:
    err = io.StringIO()
    console = Console("interactive", out=io.StringIO(), err=err, generations=2, epochs=10)
    stderr = sys.stderr

    def fail() -> None:
        with console:
            for event in stream.whole_run()[:20]:
                console.show(event)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    text = err.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert text.rindex("\x1b[?25h") > text.rindex("Generation 1/2")
    assert sys.stderr is stderr
    length = len(text)
    console.close()
    time.sleep(0.6)
    assert len(err.getvalue()) == length  # nobody draws any more


def test_interactive_redraws_at_most_four_times_a_second() -> None:
    events = [
        stream.tournament_started(),
        stream.generation_started(0),
        stream.trial_started(0),
        *(stream.epoch_finished(0, epoch % 10) for epoch in range(2000)),
    ]
    before = time.monotonic()
    _, err = shown("interactive", events, width=80, end=False, wait=1.0)
    seconds = time.monotonic() - before
    assert 1 <= err.count("running, ") <= 4 * seconds + 2  # one with the header, one at the end


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 8), (40, 5), (3, 2)])
def test_the_live_view_fits_a_small_terminal(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINES", str(height))
    many = [stream.trial_started(number, worker=f"worker-{number // 4}") for number in range(200)]
    events = [stream.generation_started(0), *many]
    _, err = shown("interactive", events, width=width, end=False, wait=0.6)
    moved_up = [
        len(run) // len("\x1b[1A\x1b[2K") for run in re.findall(r"(?:\x1b\[1A\x1b\[2K)+", err)
    ]
    assert max(moved_up) <= height
    if height == 24:
        assert "more workers" in err
        assert "0-3 4 trials" in err


def test_no_color_takes_colors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    colors = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|9[0-7])[;m]")
    events = stream.whole_run()
    assert colors.search(shown("interactive", events)[1])
    assert not colors.search(shown("interactive", events, color=False)[1])
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colors.search(shown("interactive", events)[1])


def test_importing_the_front_door_is_cheap() -> None:
    program = (
        "import sys, structure_net.reporting;"
        "print([name for name in ('rich', 'torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
