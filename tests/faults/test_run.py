"""The whole suite: it finds nothing in a correct cluster, and finds broken guarantees."""

import os
import re
import subprocess
import sys

import pytest

from tests.faults import hosts, run
from tests.harness.cluster import BIN, REPOSITORY

SECONDS = int(os.environ.get("CANOPY_TEST_FAULTS", "20"))


@pytest.fixture(autouse=True)
def programs():
    if not (BIN / "faults-recorder").exists():
        pytest.skip(f"no faults-recorder in {BIN}: ninja -C build faults-programs")


def run_faults(directory, *arguments, seconds=SECONDS):
    """(exit code, output)"""
    command = [sys.executable, "-m", run.__name__, "--minutes", str(seconds / 60)]
    command += ["--directory", str(directory), "--watchers", "10", "--rate", "200", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=seconds + 200, cwd=REPOSITORY)
    print(done.stdout)
    return done.returncode, done.stdout


def test_nothing_is_found(tmp_path):
    code, printed = run_faults(tmp_path)
    assert code == 0, printed


BROKEN = {
    # A killed shard loses its keys. All keys may be written again before the run ends, but a client
    # reads them earlier.
    "memory": "kill_any_shard",
    # Writes are acknowledged before they are synced, which shows after a power cut.
    "interval": "cut_power_of_all",
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_broken_is_found(tmp_path, how):
    code, printed = run_faults(
        tmp_path, "--seed", "7", "--break", how, "--faults", BROKEN[how], "--calm", "1", seconds=5
    )
    assert code == 1
    assert re.search(r"(nothing_lost|linearizable): \d+ finding", printed), printed


def test_an_interrupted_run_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", run.__name__, "--directory", str(tmp_path), "--watchers", "1"]
    if not hosts.missing():
        command += ["--cluster", "three-hosts", "--replicas", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as started:
        try:
            lines = iter(started.stdout.readline, "")
            assert next(line for line in lines if " s  " in line), "a fault is injected"
            started.terminate()
            rest = "".join(lines)
            assert started.wait(60) == 1 and "interrupted" in rest, rest
        finally:
            started.kill()
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(tmp_path) not in running
    with open("/proc/mounts") as mounts:
        assert str(tmp_path) not in mounts.read()
    if not hosts.missing():
        spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
        assert f"canopy-{started.pid}-" not in spaces
