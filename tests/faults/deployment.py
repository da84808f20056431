"""A cluster of real processes that the driver starts itself. The driver can kill, stop and restart each one with another
environment or on another host; no supervisor restarts it."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

from tests.harness import scrape
from tests.harness.cluster import BIN, CRASHES, die_with_parent, sanitizer_environment
from tests.harness.clusterfile import HOST, Layout, proxy
from tests.harness.procfs import process
from tests.harness.waiting import seconds

LEASE = seconds(3)  # of clusterfile.py, and the default of the configuration
LOST_SYNC = BIN / "liblost_sync.so"


class Member:
    """One process of the cluster, which may be stopped."""

    def __init__(self, name, command, environment, log, host=None):
        self.name, self.host = name, host
        self._command, self._environment, self._log = command, environment, log
        self._running = None  # Popen

    def start(self):
        assert not self.alive(), f"{self.name} runs already"
        command = [*(self.host.prefix if self.host else []), *map(str, self._command)]
        with open(self._log, "ab") as log:
            self._running = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment},
                preexec_fn=die_with_parent,
            )

    def alive(self):
        return self._running is not None and self._running.poll() is None

    def died(self):
        """The exit code if the process has ended by itself, or None."""
        return self._running.poll() if self._running else None

    def signal(self, number):
        if self.alive():
            self._running.send_signal(number)

    def kill(self):
        if self._running:
            self._running.kill()
            self._running.wait()
            self._running = None

    def process(self):
        return process(self._running.pid)

    def stop(self):
        """Sends TERM; returns what is wrong with the exit, or None."""
        if not self.alive():
            return f"{self.name} had ended"
        self._running.terminate()
        try:
            code = self._running.wait(seconds(20))
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{self.name} did not stop on TERM"
        self._running = None
        return f"{self.name} exited with {code}" if code else None


def at_host(value, host):
    return value.replace(HOST, host.address) if isinstance(value, str) else value


class Deployment:
    """`shards` and settings are those of Cluster. The members are spread over `hosts` (hosts.py). The members named in
    `synced` write to their disks through the library `lost_sync`."""

    def __init__(self, directory, ports, shards, proxies=2, hosts=(), synced=(), **settings):
        self.directory = pathlib.Path(directory)
        self.state_dir = self.directory / "state"
        self.hosts, self.synced = list(hosts), set(synced)
        broker = {"supervise": False}
        described = [
            proxy(f"p{i + 1}", ["native"], max_clients=1000, nofile=4096) for i in range(proxies)
        ]
        self.layout = Layout(ports, shards, described, broker=broker, **settings)
        self._ports = ports
        self.shards = [each["name"] for each in shards]
        self.proxies = [each["name"] for each in described]
        places = self._place()
        text = self.layout.text(state_dir=str(self.state_dir))
        self.file = self.directory / "cluster.yaml"
        self.file.write_text(text)
        self.members = {name: self._member(name, places.get(name)) for name in self.names}

    @property
    def names(self):
        return ["broker", *self.shards, *self.proxies]

    def _place(self):
        """{name: host}: the broker, s1 and p1 on the first, s2 and p2 on the next, …"""
        if not self.hosts:
            return {}
        layout, places = self.layout, {}
        for name, each in zip(self.names, [layout.broker, *layout.shards, *layout.proxies]):
            number = 0 if name == "broker" else int(name[1:]) - 1
            places[name] = host = self.hosts[number % len(self.hosts)]
            if name != "broker":
                each["http"] = f"{HOST}:{self._ports.claim()}"
            if name in self.shards:
                each.update(requests=f"tcp://{HOST}:*", updates=f"tcp://{HOST}:*")
            each.update((key, at_host(value, host)) for key, value in each.items())
        layout.broker_http = layout.broker["http"]
        return places

    def _member(self, name, host):
        kind = "broker" if name == "broker" else "shard" if name in self.shards else "proxy"
        environment = sanitizer_environment(self.directory)
        if name in self.synced:
            environment.update(self.through_lost_sync(name))
        command = [BIN / f"canopy-{kind}", "--config", self.file, "--name", name]
        return Member(name, command, environment, self.directory / f"{name}.log", host)

    def through_lost_sync(self, name):
        return {
            "LD_PRELOAD": str(LOST_SYNC),
            "LOST_SYNC_ROOT": str(self.state_dir / name),
            "LOST_SYNC_JOURNAL": str(self.directory / "unsynced" / name),
        }

    def start(self):
        for member in self.members.values():
            member.start()
        self.wait_ready(30)

    def start_missing(self):
        for member in self.members.values():
            if not member.alive():
                member.start()

    def wait_ready(self, timeout):
        """Raises AssertionError with the member that is not ready."""
        deadline = time.monotonic() + seconds(timeout)
        while reason := self.not_ready():
            assert time.monotonic() < deadline, f"after {seconds(timeout):.0f} s {reason}"
            time.sleep(0.1)

    def not_ready(self):
        """What is not ready, or None."""
        try:
            topology = self.topology()
            up = {each["name"]: each for each in topology["shards"] + topology["proxies"]}
            for name in self.names[1:]:
                if name not in up or up[name]["state"] == "down":
                    return f"the broker has not found {name}"
                status, body = scrape.get(up[name]["http"], "/readyz")
                if status != 200:
                    return f"{name} is not ready: {body.strip()}"
        except OSError as error:
            return f"a member does not answer: {error}"

    def topology(self):
        status, body = scrape.get(self.layout.broker_http, "/api/v1/topology")
        if status != 200:
            raise ConnectionError(f"/api/v1/topology answered {status}")
        return json.loads(body)

    def leaders(self):
        """The shards that lead a partition, as the broker reports; all when it does not answer."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            leading = {
                each["name"]
                for each in self.topology()["shards"]
                for part in each.get("partitions", [])
                if part["state"] == "serving" or part["state"].startswith("full")
            }
            if leading:
                return sorted(leading)
        return self.shards

    def endpoints(self):
        return [each["native"] for each in self.layout.proxies]

    def cut_power(self, names, seed):
        """Kills the members at the same time and loses their unsynced writes, all or some."""
        for name in names:
            self.members[name].kill()
        for name in names:
            if name in self.synced:
                environment = {**self.through_lost_sync(name), "LOST_SYNC_CUT": str(seed)}
                subprocess.run(["/bin/true"], env=environment, check=True)

    def unexpected(self):
        """Members that have ended by themselves."""
        for member in self.members.values():
            if (code := member.died()) is not None:
                yield f"{member.name} ended by itself with {code}"

    def stop(self):
        """Stops the members; returns what is wrong with their exits and logs."""
        order = [*self.proxies, *self.shards, "broker"]
        found = [self.members[name].stop() for name in order]
        for path in sorted(self.directory.glob("*.log")) + sorted(self.directory.glob("sanitizer*")):
            crash = CRASHES.search(path.read_text(errors="replace"))
            found.append(f"{path.name} says {crash[0]!r}" if crash else None)
        return [each for each in found if each]

    def destroy(self):
        for member in self.members.values():
            member.signal(signal.SIGCONT)
            member.kill()
