"""What the command line understands, and what it answers to the rest."""

import re

import pytest

import app
from app import cli
from app.__main__ import main
from app.cli.program import COMMANDS, Entry
from app.settings import Settings
from tests.system import run, run_here


def assert_one_line(text: str, *words: str) -> None:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    for word in words:
        assert word in lines[0]


def test_help_is_a_table_of_contents() -> None:
    done = run_here({}, "--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f"\n{command.group}:\n" in done.stdout
        assert re.search(f"^  {command.name} +{re.escape(command.summary)}$", done.stdout, re.M)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_of_a_command_has_examples_and_exit_codes(
    command: Entry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command.name, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"\n  python -m app {command.name}" in said or f" python -m app {command.name}\n" in said
    assert "exit codes: 0 " in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audti"], "No such command 'audti'. Did you mean 'audit'?"),
        (["audit", "--fxi"], "No such option '--fxi'. Did you mean '--fix'?"),
        (["rejected", "show", "--rwa", "7"], "'--raw'?"),
        (["show-config", "all"], "unexpected extra argument (all)"),
        (["audit", "--day", "yesterday"], "'--day': must be a day, YYYY-MM-DD, not yesterday"),
        (["--jsno", "audit"], "No such option '--jsno'"),
    ],
)
def test_what_is_not_understood_is_one_line_that_names_the_nearest(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert_one_line(capsys.readouterr().err, said, "--help")


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (("explain", "SOFI", "--day", "2025-13-01"), "must be a day, YYYY-MM-DD, not 2025-13-01"),
        (("explain", "SOFI", "--last", "few"), "must be a whole number above 0, not few"),
        (("simulate", "--rate", "fast"), "must be above 0, not fast"),
    ],
)
def test_an_option_that_cannot_be_read_says_what_it_takes(words: tuple[str, ...], fix: str) -> None:
    done = run_here({}, *words)
    assert done.returncode == 2
    assert_one_line(done.stderr, words[-2], fix)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{app.__version__}\n"


def test_a_command_loads_only_what_it_needs() -> None:
    script = (
        "import sys; from app.__main__ import main; main(sys.argv[1:]); "
        "print({'redis', 'celery', 'prometheus_client', 'rich', 'requests'} & set(sys.modules))"
    )
    for words in (["show-config"], ["--help"], ["bridge", "--help"]):
        done = run("-c", script, *words)
        assert done.stdout.endswith("set()\n"), done.stdout + done.stderr


@pytest.mark.parametrize("words", [["help", "audit"], ["audit", "-h"], ["audit", "--help"]])
def test_help_can_be_asked_for_in_three_ways(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    assert "--fix" in capsys.readouterr().out


def test_the_installed_command_names_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/profit-bridge", "audit", "--help"])
    assert main() == 0
    shown = capsys.readouterr().out
    assert "\n  profit-bridge audit --day" in shown
    assert "python -m app" not in shown


def test_ctrl_c_is_exit_code_130_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: Settings) -> int:
        raise KeyboardInterrupt

    assert cli.run(["bridge"], {"bridge": interrupted}) == 130
    assert capsys.readouterr().err.strip() == ""
