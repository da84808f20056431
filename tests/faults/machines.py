"""Members of a cluster on the hosts of hosts.py, which are lost and come back one host at a time."""

import subprocess

from cluster import BIN
from waiting import seconds

BROKER = "tcp://127.0.0.1:5550"


class Machines:
    """`hosts`: {number: (host, its members)}. A context manager: every member is killed at the end."""

    def __init__(self, hosts, brokers=BROKER):
        self.hosts = hosts
        self._brokers = brokers  # those that the command line is given

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for number in self.hosts:
            self.kill(number)

    def start(self, number):
        for member in self.hosts[number][1]:
            member.start()

    def kill(self, number):
        for member in self.hosts[number][1]:
            member.kill()

    def canopy(self, number, *words):
        """The command line, on that host."""
        return self._run(number, *words, "--broker", self._brokers)

    def healthy(self, number):
        """Whether the broker of that host finds all well."""
        return self._run(number, "status", "--broker", BROKER).returncode == 0

    def _run(self, number, *words):
        command = [*self.hosts[number][0].prefix, str(BIN / "canopy"), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds(30))
