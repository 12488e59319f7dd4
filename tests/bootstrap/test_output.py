"""How tables and lines are laid out on a terminal, narrow or wide, with letters of any width."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import click
import pytest
from attrs import evolve
from click.testing import CliRunner

from evidence_courier.bootstrap.cli import exits, output, saying
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.bootstrap.cli.output import (
    first_of,
    print_in_lines,
    print_json,
    print_statuses,
    print_table,
    without_repeats,
)
from evidence_courier.bootstrap.cli.saying import say, width_of
from evidence_courier.domain.upload.status import StatusError, status_of_upload
from evidence_courier.testing.contracts.stored import entry


@pytest.fixture(params=["rich", "without rich"])
def terminal(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> pytest.CaptureFixture[str]:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    if request.param == "without rich":
        monkeypatch.setattr(output, "_print_with_rich", output._print_aligned)
    return capsys


NAMED = 'it\'s --a tenant "of" ours'


def wide(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert os.environ["COLUMNS"]


KEY = "Sprinto refused the credentials: ask the Sprinto admin for a new key, and put it there"
SEEN = [
    ("acme", f"the check 'A' is activated; but blocked since 10:00: {KEY}"),
    ("globex", f"the check 'B' is activated; but blocked since 11:00: {KEY}"),
    ("hooli", KEY),
    ("initech", KEY),
    ("umbrella", "ready; ready"),
    ("wayne", "ready; ready"),
]


@pytest.mark.usefixtures("terminal")
def test_a_terminal_has_what_to_do_once_and_whose_row_it_is_in() -> None:
    assert without_repeats(SEEN) == [
        SEEN[0][1],
        "the check 'B' is activated; but blocked since 11:00: as for acme",
        "as for acme",
        "as for acme",
        "ready; ready",
        "ready; ready",
    ]


def test_a_pipe_has_the_whole_text_of_each() -> None:
    assert without_repeats(SEEN) == [text for _, text in SEEN]


COLUMNS = ("tenant", "open", "failed", "last success")
ROWS = [["x" * 60, "1", "2", "2026-02-21T10:00:00Z"], ["acme", "0", "0", ""]]


def test_a_table_that_does_not_fit_is_a_few_lines_for_each_row(
    terminal: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(80, monkeypatch)
    print_table(COLUMNS, ROWS)
    assert terminal.readouterr().out.splitlines() == [
        f"tenant {'x' * 60}",
        "    open 1, failed 2, last success 2026-02-21T10:00:00Z",
        "tenant acme",
        "    open 0, failed 0",
    ]


def test_a_row_whose_cells_have_commas_has_semicolons_between_them(
    terminal: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(80, monkeypatch)
    print_table(("tenant", "outcomes", "target"), [["x" * 60, "passed, exhausted", "y" * 30]])
    lines = terminal.readouterr().out.splitlines()
    assert lines[1] == f"    outcomes passed, exhausted; target {'y' * 30}"


@pytest.mark.parametrize("columns", [80, 160])
def test_only_what_happened_before_is_as_above(
    terminal: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    wide(columns, monkeypatch)
    waits = status_of_upload(entry().upload, None)
    error = StatusError("document_gone", "the file is gone", None)
    gone = evolve(waits, status="failed", error=error)
    assert waits.waits_for is None
    print_statuses([waits, waits, gone, gone, waits])
    shown = terminal.readouterr().out
    assert (shown.count("as above"), shown.count("the file is gone")) == (1, 1)
    assert shown.rindex("as above") > shown.index("the file is gone")


def test_one_that_fits_is_a_table(
    terminal: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(160, monkeypatch)
    print_table(COLUMNS, ROWS)
    lines = [line.rstrip() for line in terminal.readouterr().out.splitlines()]
    assert lines[0].split() == ["tenant", "open", "failed", "last", "success"]
    assert lines[1] == f"{'x' * 60}  1     2       2026-02-21T10:00:00Z"


def test_a_word_to_copy_stays_whole_on_a_narrow_terminal(
    terminal: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(80, monkeypatch)
    target = (
        "workflow check 3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77 at app.sprinto.com/dev-api/graphql"
    )
    print_table(
        ("tenant", "name", "provider", "outcomes", "target"),
        [("acme", "ACME Corp", "sprinto", "passed, exhausted", target)],
    )
    shown = terminal.readouterr().out.split()
    assert [word for word in target.split() if word not in shown] == []


def test_an_attempt_that_has_begun_and_not_ended_is_under_way() -> None:
    status = status_of_upload(entry("ev-1").upload, None)
    sending = evolve(status, status="pending", attempts=1, next_attempt_at=None)
    assert output.what_happened(sending) == "attempt 1 is under way"
    assert output.what_happened(evolve(sending, waits_for="a courier")) == "waits for: a courier"
    for settled in ("succeeded", "failed", "held"):
        assert "under way" not in output.what_happened(evolve(sending, status=settled))


def test_wide_letters_keep_the_columns_in_line(
    terminal: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(80, monkeypatch)
    print_table(("tenant", "open"), [["株式会社", "1"], ["ÄÖÜ", "2"], ["e\u0301", "3"]])
    lines = [line.rstrip() for line in terminal.readouterr().out.splitlines()]
    assert [width_of(line) for line in lines[1:]] == [11, 11, 11]


def test_a_command_to_copy_goes_on_as_a_shell_reads_it(
    terminal: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(60, monkeypatch)
    command = "`evidence-courier release --db courier.db --tenant acme --by NAME --reason TEXT`"
    print_in_lines(
        ("acme", "blocked"),
        (
            "",
            f"to do: mend it; or {command} if it works",
        ),
    )
    assert terminal.readouterr().out.splitlines() == [
        "acme  blocked",
        "    to do: mend it; or",
        "    `evidence-courier release --db courier.db \\",
        "        --tenant acme --by NAME --reason TEXT` if it works",
    ]
    print_in_lines(("acme", "blocked"), (f"or {command.replace('acme', shlex.quote(NAMED))} then",))
    shown = terminal.readouterr().out
    (typed,) = re.findall("`([^`]*)`", shown)
    assert typed.count("\\\n") == 2
    assert shlex.split(typed)[5:7] == ["--tenant", NAMED]
    wide(120, monkeypatch)
    print_in_lines(("acme", "blocked"), (f"or {command} if it works",))
    assert terminal.readouterr().out.splitlines()[1] == f"    or {command} if it works"


@pytest.mark.parametrize(
    ("called", "program"),
    [
        ("/nowhere/evidence-courier", "/nowhere/evidence-courier"),
        ("a folder/evidence-courier", "'a folder/evidence-courier'"),
        ("/x/evidence_courier/__main__.py", "/x/python3 -m evidence_courier"),
        ("/usr/bin/pytest", "evidence-courier"),
    ],
)
def test_a_command_to_copy_calls_the_program_as_it_was_called(
    monkeypatch: pytest.MonkeyPatch,
    standard_error: pytest.CaptureFixture[str],
    called: str,
    program: str,
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "blocks"])
    monkeypatch.setattr(sys, "executable", "/x/python3")
    wide(120, monkeypatch)
    saying.say("see `evidence-courier blocks`")
    assert standard_error.readouterr().err == f"see `{program} blocks`\n"


def test_a_program_on_the_path_is_called_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "evidence-courier"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(file)])
    assert saying.program() == str(file)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    assert saying.program() == "evidence-courier"


def test_a_backtick_alone_is_a_letter_as_others(terminal: pytest.CaptureFixture[str]) -> None:
    print_in_lines(("acme", "held"), ("it said ` and no more",))
    assert terminal.readouterr().out.splitlines()[1] == "    it said ` and no more"


def test_wide_letters_are_wrapped_by_their_width(
    terminal: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(30, monkeypatch)
    print_in_lines(("acme", "held"), (" ".join(["証跡証跡"] * 6),))
    lines = terminal.readouterr().out.splitlines()[1:]
    assert [width_of(line) for line in lines] == [30, 30]


def test_no_letter_steers_the_terminal(terminal: pytest.CaptureFixture[str]) -> None:
    print_in_lines(("ac\x1b[2Jme", "held"), ("a\x1b]0;title\x07b",))
    assert "\x1b" not in terminal.readouterr().out and "\x07" not in terminal.readouterr().out


@pytest.fixture
def standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> pytest.CaptureFixture[str]:
    monkeypatch.setattr(saying, "_is_terminal", lambda: True)
    wide(30, monkeypatch)
    return capsys


HIDING = "a\u202eb\u2066c\u061cd\x1b[2Je\xadf\u3000g"
SHOWN = r"a\u202eb\u2066c\u061cd\x1b[2Je\xadf g"


def test_a_table_writes_out_marks_of_direction(terminal: pytest.CaptureFixture[str]) -> None:
    print_table(("tenant", "why"), [(HIDING, HIDING)])
    assert terminal.readouterr().out.splitlines()[-1].split("  ") == [SHOWN, SHOWN]


def test_a_pipe_has_marks_of_direction_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("tenant", "why"), [(HIDING, "why")])
    say(f"{HIDING}\n{HIDING}")
    assert capsys.readouterr() == (f"tenant\twhy\n{SHOWN}\twhy\n", f"{SHOWN}\n{SHOWN}\n")


def test_json_has_every_letter_and_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    given = {"ä \u202e": [HIDING, "\U000e0001", "日本"]}
    print_json(given)
    out = capsys.readouterr().out
    assert json.loads(out) == given
    assert out.replace("\n", "").isprintable()
    assert "ä" in out
    assert "日本" in out


def test_a_message_on_a_terminal_ends_its_lines_between_words(
    standard_error: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        exits.end("the database is locked by another\x07 process: `stop the courier` first", 3)
    assert standard_error.readouterr().err.splitlines() == [
        "evidence-courier: the",
        "  database is locked by",
        r"  another\x07 process:",
        "  `stop the courier` first",
    ]


def test_no_letter_of_what_fits_steers_the_terminal(
    standard_error: pytest.CaptureFixture[str],
) -> None:
    say("a\x1b[2Jb: c\x07\nd")
    assert standard_error.readouterr().err == "a\\x1b[2Jb: c\\x07\nd\n"


def test_a_message_that_fits_or_goes_to_a_file_is_written_as_it_is(
    standard_error: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    say("this  fits well")
    monkeypatch.setattr(saying, "_is_terminal", lambda: False)
    say("and this is far longer than 30 columns")
    assert standard_error.readouterr().err.splitlines() == [
        "this  fits well",
        "and this is far longer than 30 columns",
    ]


@pytest.mark.parametrize(
    "typed",
    [
        ["status", "--status", "nonsense"],
        ["submit", "--recorded-at", "on the day before yesterday in the evening", "ev-1.pdf"],
        ["status", "--since", "2026-02-30"],
        ["sandbox", "sprinto", "--port", "1000000"],
        ["pause"],
        ["frobnicate"],
    ],
)
def test_a_mistake_in_what_was_typed_keeps_to_the_width_of_a_terminal(
    typed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saying, "_is_terminal", lambda: True)
    wide(60, monkeypatch)
    done = CliRunner().invoke(app, typed)
    assert (done.exit_code, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[0].startswith("Usage: ")
    assert any(line.startswith("Error: ") for line in lines)
    assert "--help' for help." in done.stderr


def every_help() -> list[list[str]]:
    names = [[], *([name] for name in app.commands)]
    sandboxes = app.commands["sandbox"]
    assert isinstance(sandboxes, click.Group)
    return [*names, *(["sandbox", name] for name in sandboxes.commands)]


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("command", every_help(), ids=" ".join)
def test_every_help_has_examples_and_fits_the_terminal(
    command: list[str], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(columns, monkeypatch)
    shown = CliRunner().invoke(app, [*command, "--help"]).stdout
    assert max(map(len, shown.splitlines())) <= columns
    assert "For example:\n    evidence-courier " in shown


def test_the_help_of_all_commands_says_how_a_shell_completes_them() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    for shell in ("bash", "zsh", "fish"):
        assert f"_EVIDENCE_COURIER_COMPLETE={shell}_source evidence-courier" in shown
    assert "Exit codes: 0 done" in shown


def test_of_many_names_the_first_are_listed_and_the_rest_counted() -> None:
    assert first_of(["a", "b", "c"], most=3) == "a, b, c"
    assert first_of(["a", "b", "c", "d"], most=3) == "a, b, c and 1 more"
    assert first_of(["a"] * 1_005) == "a, a, a, a, a and 1,000 more"
