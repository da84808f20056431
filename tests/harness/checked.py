"""Files that `--check-config` is asked about, and that are started as they are."""

import contextlib
import os
import pathlib
import signal
import subprocess

from tests.harness.cluster import BIN, CRASHES, die_with_parent, run_program, sanitizer_environment
from tests.harness.waiting import eventually, seconds


def check(directory, text, program="canopy-broker"):
    """(the file, what the check says of it)"""
    file = pathlib.Path(directory) / "cluster.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file, run_program(program, "--config", file, "--check-config", cwd=directory)


def refusal(directory, text):
    """The one line with which the check refuses; it names the file and a line of it."""
    file, done = check(directory, text)
    assert done.returncode == 2, f"{done.returncode}: {done.stdout}{done.stderr}\n{text!r:.2000}"
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and f"{file}:" in lines[0], done.stderr
    return lines[0]


class Started:
    """The cluster of an accepted file, up."""

    def __init__(self, directory, text, broker, timeout=20):
        self.directory = pathlib.Path(directory)
        self.broker = broker
        self.log = self.directory / "log"
        file, done = check(directory, text)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [BIN / "canopy-broker", "--config", file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=sanitizer_environment(directory),
                preexec_fn=die_with_parent,
            )
        try:
            eventually(self.is_up, "the cluster is up", timeout)
        except AssertionError as failure:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{failure}\n{self.said()[-4000:]}") from None

    def reported(self):
        return self.log.read_text(errors="replace")

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the broker has exited with {self.process.returncode}")
        return "Canopy is up." in self.reported()

    def canopy(self, *arguments):
        return run_program("canopy", *arguments, "--broker", self.broker, cwd=self.directory)

    def works(self, key="/checked"):
        """A value goes in and comes out."""
        put = self.canopy("put", key, "1")
        assert put.returncode == 0, put.stderr
        got = self.canopy("get", key)
        assert (got.returncode, got.stdout) == (0, "1"), got.stderr

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds(20))
        reported = self.reported()
        assert code == 0 and not CRASHES.search(reported), reported[-4000:]
        assert "to be started again" not in reported, reported[-4000:]


@contextlib.contextmanager
def started(directory, text, broker, timeout=20):
    directory = pathlib.Path(directory)
    os.makedirs(directory, exist_ok=True)
    cluster = Started(directory, text, broker, timeout)
    try:
        yield cluster
        cluster.stop()
    finally:
        if cluster.process.poll() is None:
            cluster.process.kill()
            cluster.process.wait()
