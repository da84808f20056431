"""The Debian packages of the build under test, and their programs run with the settings of the units."""

import os
import pathlib
import shlex
import socket
import subprocess
import tempfile

from tests.harness import cluster as clusters
from tests.harness.waiting import eventually, seconds

BUILD = clusters.BIN.parent
UNITS = pathlib.PurePath("lib/systemd/system")


def call(*command, **options):
    """A command that must succeed; its output."""
    done = subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, timeout=seconds(120), **options
    )
    assert done.returncode == 0, f"{shlex.join(map(str, command))}:\n{done.stdout}{done.stderr}"
    return done.stdout


def make_packages(directory):
    """The packages by name."""
    call(clusters.REPOSITORY / "deploy/package.sh", directory, BUILD)
    return {path.name.split("_")[0]: path for path in pathlib.Path(directory).glob("*.deb")}


def settings(root, unit):
    """The settings of a unit and of its drop-ins: {(section, key): [value, ...]}."""
    stem, _, kind = unit.partition(".")
    names = [f"{stem.split('@')[0]}{'@' if '@' in stem else ''}.{kind}", "canopy-.service.d/10-canopy.conf"]
    instance = stem.partition("@")[2]
    found, section = {}, ""
    for name in names:
        for line in (root / UNITS / name).read_text().splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif line and not line.startswith("#"):
                key, _, value = line.partition("=")
                found.setdefault((section, key), []).append(value.replace("%i", instance))
    return found


class Manager:
    """The service manager of one unit: starts its program, receives its sd_notify(3) messages, kills it."""

    def __init__(self, root, unit, directory, environment):
        self.unit = unit
        self.settings = settings(root, unit)
        self.messages = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        # Not in `directory`, whose path may be longer than a socket's can be.
        self._runtime = tempfile.TemporaryDirectory(prefix="canopy-")
        path = pathlib.Path(self._runtime.name) / "notify"
        self._socket.bind(str(path))
        [command] = self.settings["Service", "ExecStart"]
        program, *arguments = shlex.split(command)
        watchdog_us = int(float(self.only("WatchdogSec").removesuffix("s")) * 1e6 / 60)
        self.log = directory / f"{unit}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(root) + program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={
                    **clusters.sanitizer_environment(directory),
                    **environment,
                    "NOTIFY_SOCKET": str(path),
                    "WATCHDOG_USEC": str(watchdog_us),  # a sixtieth, so that a test need not wait for half a minute
                },
                preexec_fn=clusters.die_with_parent,
            )

    def only(self, key):
        [value] = self.settings["Service", key]
        return value

    def received(self):
        """The messages that the program has sent so far."""
        while True:
            try:
                self.messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self.messages

    def wait_for(self, beginning, since=0):
        """Waits for a message that begins like this, at index `since` or later; returns the index after it."""

        def place():
            assert self.process.poll() is None or self.received(), self.log.read_text()
            return next((i + 1 for i, message in enumerate(self.received()) if i >= since and message.startswith(beginning)), 0)

        try:
            return eventually(place, f"{self.unit} sends {beginning}", 20)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; it sent {self.messages}, and logged:\n{self.log.read_text()}") from None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._socket.close()


def tool(name):
    """A program of the machine, or None."""
    for directory in os.environ["PATH"].split(":") + ["/usr/sbin", "/sbin"]:
        if os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    return None
