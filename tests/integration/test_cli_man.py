"""The manual pages: each has every command and option of its program, and no warnings."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.harness.cluster import BIN, REPOSITORY
from tests.harness.waiting import seconds

MAN = REPOSITORY / "deploy/man"
PROGRAMS = ("canopy", "canopy-broker", "canopy-shard", "canopy-proxy", "canopy-loadtest")
SECTIONS = ("NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO")


def help_of(*words):
    return subprocess.run(
        [BIN / words[0], *words[1:], "--help"], capture_output=True, text=True, check=True, timeout=seconds(60)
    ).stdout


def options_in(text):
    """The long options that a help text describes, each at the beginning of a line."""
    return set(re.findall(r"^  (?:-\w \[ )?--([a-z][a-z-]*)", text, re.MULTILINE))


def documented(page):
    """The options that a page describes."""
    return {name for line in re.findall(r"^\.It Fl (.*)", page, re.MULTILINE) for name in re.findall(r"-([a-z][a-z-]+)", line)}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_page_has_every_option_and_section(program):
    page = (MAN / f"{program}.1").read_text()
    expected = options_in(help_of(program))
    for section in SECTIONS + (() if program == "canopy" else ("OPTIONS",)):
        assert f".Sh {section}\n" in page, section
    if program == "canopy":
        commands = re.findall(r"^  ([a-z]+) ", help_of(program).split("Commands:\n")[1].split("\n\n")[0], re.MULTILINE)
        assert len(commands) >= 20
        for command in commands:
            own = options_in(help_of(program, command))
            (*headings,) = re.findall(rf"^\.It Cm {command}\b(.*)", page, re.MULTILINE)
            common = {"broker", "timeout", "key", "server-key", "help", "version"}
            named = {name for line in headings for name in re.findall(r"-([a-z][a-z-]+)", line)}
            assert headings and named == own - common, command
            expected |= own
    assert documented(page) == expected


def pages(directory):
    file = directory / "canopy.yaml.5"
    example = REPOSITORY / "deploy/canopy.example.yaml"
    made = subprocess.run([sys.executable, MAN / "file_page.py", example], capture_output=True, text=True, check=True)
    file.write_text(made.stdout)
    return [*(MAN / f"{program}.1" for program in PROGRAMS), file]


def test_the_pages_have_no_warnings(tmp_path):
    checkers = {"man": ["--warnings", "--encoding=UTF-8", "--local-file"], "mandoc": ["-T", "lint", "-W", "warning"]}
    found = {name: arguments for name, arguments in checkers.items() if shutil.which(name)}
    if not found:
        pytest.skip("there is neither man nor mandoc")
    for page in pages(tmp_path):
        for name, arguments in found.items():
            done = subprocess.run(
                [name, *arguments, str(page)], capture_output=True, text=True, timeout=seconds(30),
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )  # fmt: skip
            assert done.returncode == 0 and not done.stderr, f"{name} {page.name}: {done.stderr}{done.stdout}"


def test_the_page_of_the_file_shows_every_line_of_the_example(tmp_path):
    if not shutil.which("man"):
        pytest.skip("there is no man")
    shown = subprocess.run(
        ["man", "--encoding=UTF-8", "--local-file", str(pages(tmp_path)[-1])], capture_output=True, text=True, timeout=seconds(30),
        env={**os.environ, "MANWIDTH": "200", "LC_ALL": "C.UTF-8"},
    ).stdout  # fmt: skip
    for line in (REPOSITORY / "deploy/canopy.example.yaml").read_text().splitlines():
        assert line.strip() in shown, line
