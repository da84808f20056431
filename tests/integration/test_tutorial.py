"""docs/tutorial.md: runs its commands and compares what they print. And docs/reference/metrics.md beside what the
processes expose."""

import os
import re
import subprocess
import sys
import threading

import pytest

from tests.harness.cluster import BIN, REPOSITORY, die_with_parent
from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.scrape import get
from tests.harness.waiting import eventually, seconds

TUTORIAL = REPOSITORY / "docs/tutorial.md"
PROXIES = ("p1", "p2", "p3", "p4")
# ```console: commands with what they print. ```console NAME: a command that goes on. ```text NAME: what that one
# prints then; of `run`, the cluster.
BLOCK = re.compile(r"^```(console|text)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    """That of `make run`, on ports of its own."""
    return start_shared_cluster(
        [
            shard("results", partition("/results/", durability="disk"), nofile=1024),
            shard("rest", partition("*", durability="disk"), nofile=1024),
        ],
        [proxy(name, max_clients=300, nofile=1024) for name in PROXIES],
    )


def pattern(line):
    """A line of the page as a regular expression: numbers that stand alone and widths vary, … is anything."""
    escaped = re.escape(line).replace("…", ".*")
    escaped = re.sub(r"(\\\s)+", r"\\s+", escaped)
    escaped = re.sub(r"(?<=:)\d{4,5}(\\-\d{4,5})?", r"\\d+(-\\d+)?", escaped)  # ports
    return re.sub(r"(?<![/\w])\d+(?=$|/\d|\\s)|(?<=\d/)\d+|(?<==)\d+|\d{5,}", r"\\d+", escaped)


def matches(printed, expected):
    return len(printed) == len(expected) and all(
        re.fullmatch(pattern(want), line.rstrip()) for line, want in zip(printed, expected)
    )


def commands_of(block):
    """(command, lines that it prints), one after another."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *printed = part.rstrip("\n").split("\n")
        yield command, printed


class Terminal:
    """A command that goes on; `lines` grows with what it prints."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(
            ["bash", "-c", "exec " + command],
            cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True, errors="surrogateescape", preexec_fn=die_with_parent,
        )  # fmt: skip
        self.lines, self.compared = [], 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def expect(self, expected):
        """The next lines; where a proxy was killed, a RESYNC may come before or after the others, and again."""

        def printed():
            lines = self.lines[self.compared :]
            if any(line.startswith("RESYNC") for line in expected):
                return matches(sorted(set(lines)), sorted(expected))
            return matches(lines, expected)

        try:
            eventually(printed, "the lines of the page", 20)
        except AssertionError:
            assert self.lines[self.compared :] == expected
        self.compared = len(self.lines)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()


@pytest.fixture
def environment(cluster, tmp_path):
    python = tmp_path / "python3"  # the one that has the modules
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    path = f"{tmp_path}:{BIN}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "CANOPY_BROKER": cluster.broker_endpoint}


@pytest.fixture
def terminals():
    running = {}
    yield running
    for each in running.values():
        each.stop()


def run(cluster, environment, command, expected):
    before = {}
    if command.startswith("kill "):
        before = {name: cluster.expect_end(name) for name in PROXIES}
    local = command.replace("canopy-loadtest ", f"canopy-loadtest --broker {cluster.layout.broker_http} --join-timeout 60 ")
    done = subprocess.run(
        ["bash", "-c", local], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=seconds(60))  # fmt: skip
    printed = (done.stdout + done.stderr).rstrip("\n").split("\n") if done.stdout + done.stderr else []
    assert matches(printed, expected), (command, printed, expected)
    for name, process in before.items():
        eventually(lambda name=name, process=process: cluster.restarted(name, process), f"{name} is back", 20)


def test_the_commands_print_what_the_page_says(cluster, environment, terminals):
    for kind, terminal, block in BLOCK.findall(TUTORIAL.read_text()):
        if terminal == "run":
            lines = cluster.log.read_text().splitlines()
            for expected in filter(None, block.splitlines()):
                assert any(re.fullmatch(pattern(expected), line) for line in lines), expected
        elif kind == "text":
            terminals[terminal].expect(block.splitlines())
        elif terminal:
            ((command, printed),) = commands_of(block)
            terminals[terminal] = Terminal(command, environment)
            terminals[terminal].expect(printed)
        else:
            for command, printed in commands_of(block):
                run(cluster, environment, command, printed)


def test_the_addresses_answer(cluster):
    for path in re.findall(r"<http://127\.0\.0\.1:8550(/\w*)>", TUTORIAL.read_text()):
        assert get(cluster.layout.broker_http, path)[0] == 200, path


def test_every_metric_is_in_the_reference(cluster):
    page = (REPOSITORY / "docs/reference/metrics.md").read_text()
    for name in ("broker", "results", "p1"):
        scraped = cluster.metrics(name)
        for metric, text in scraped.help.items():
            assert f"| `{metric}` | {scraped.type[metric]} | {text} |" in page, metric
