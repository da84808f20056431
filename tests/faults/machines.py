"""Members of a cluster on the hosts of hosts.py, which a test kills and restarts one host at a time."""

import subprocess

from tests.harness.cluster import BIN
from tests.harness.waiting import eventually, seconds

BROKER = "tcp://127.0.0.1:5550"


class Machines:
    """`hosts`: {number: (host, its members)}. A context manager: every member is killed at the end."""

    def __init__(self, hosts, brokers=BROKER):
        self.hosts = hosts
        self._brokers = brokers  # for the command line

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
        """Runs the command line on that host."""
        return self._run(number, *words, "--broker", self._brokers)

    def healthy(self, number):
        """Whether the broker of that host reports a healthy cluster."""
        return self._run(number, "status", "--broker", BROKER).returncode == 0

    def _run(self, number, *words):
        command = [*self.hosts[number][0].prefix, str(BIN / "canopy"), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds(30))


def lose_each(machines, numbers, where):
    """Kills one machine after the other. The command line writes before and after, on the machines of `where(lost)`. At
    the end no acknowledged write is missing."""
    for number in machines.hosts:
        machines.start(number)
    for number in numbers:
        eventually(lambda: machines.healthy(number), f"the broker of machine {number} reports a healthy cluster", 60)
    for lost in numbers:
        before, after = where(lost)
        written = machines.canopy(before, "put", f"/results/{lost}", "before", "--timeout", "20s")
        assert written.returncode == 0, written.stderr
        machines.kill(lost)
        written = machines.canopy(after, "put", f"/results/{lost}", "after", "--timeout", "30s")
        assert written.returncode == 0, written.stderr
        assert machines.canopy(before, "get", f"/results/{lost}").stdout.strip() == "after"
        machines.start(lost)
        eventually(lambda: machines.healthy(lost), f"machine {lost} is back", 60)
    listed = machines.canopy(before, "list", "/results/")
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["after"] * len(numbers), listed
