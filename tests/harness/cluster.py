"""A Canopy cluster of real processes in a directory of its own, on ports of its own."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess

from tests.harness import scrape
from tests.harness.clusterfile import Layout
from tests.harness.procfs import Process, children, process
from tests.harness.waiting import eventually, seconds

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("CANOPY_BIN", REPOSITORY / "build/bin")).resolve()

# What no process may ever print.
CRASHES = re.compile(
    r"ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion (?:failed|`)"
    r"|terminate called|Bad file descriptor \(src/"
)
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def sanitizer_environment(directory):
    """Sanitizer reports go to files beside the logs, also for processes that the broker starts."""
    environment = dict(os.environ)
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
        options = [environment[name]] if environment.get(name) else []
        environment[name] = ":".join(options + [f"log_path={directory}/sanitizer"])
    environment["UBSAN_OPTIONS"] += ":print_stacktrace=1"
    return environment


def run_program(program, *arguments, **options):
    """Runs a program to its end: a CompletedProcess with text output."""
    return subprocess.run(
        [BIN / program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds(20),
        **options,
    )


def terminate(name, launched):
    launched.terminate()
    try:
        code = launched.wait(seconds(15))
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{name} did not stop on TERM") from None
    assert code == 0, f"{name} exited with {code}"


def is_well(partition):
    """Whether a shard leads the partition, or follows the one that does."""
    return partition["state"] == "serving" or partition["state"].startswith("following ")


class Cluster:
    """Started with start(); stop() checks that it was well to the end."""

    def __init__(self, directory, ports, shards, proxies, state_dir=None, **settings):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.state_dir = pathlib.Path(state_dir or self.directory / "state")
        self.layout = Layout(ports, shards, proxies, **settings)
        self.file = self.directory / "cluster.yaml"
        self.file.write_text(self.layout.text(state_dir=str(self.state_dir)))
        self.log = self.directory / "cluster.log"
        self.broker = None  # subprocess.Popen while started
        self._seen = set()  # every process that belonged to the cluster
        self._expected = {}  # name -> Process that must still be the same at the end
        self._own = {}  # name -> Popen of what the broker does not supervise
        self.names = [each["name"] for each in self.layout.shards + self.layout.proxies]

    # -- life ------------------------------------------------------------------------------------

    def start(self, ready=True):
        """Starts the broker; with `ready`, waits until all of the cluster serves."""
        self.start_broker()
        if not self.layout.broker.get("supervise", True):
            for name in self.names:
                self.launch_member(name)
        if ready:
            self.wait_ready()
        else:
            eventually(lambda: self.topology() is not None, "the broker answers", 10)
        return self

    def start_broker(self):
        assert self.broker is None
        self.broker = self.launch("canopy-broker", "broker")

    def launch(self, program, name, **environment):
        with open(self.log, "ab") as log:
            launched = subprocess.Popen(
                [BIN / program, "--config", self.file, "--name", name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={**sanitizer_environment(self.directory), **environment},
                preexec_fn=die_with_parent,
            )
        self._seen.add(process(launched.pid))
        return launched

    def launch_member(self, name, **environment):
        """Starts a shard or proxy of a cluster whose broker does not supervise."""
        is_shard = any(each["name"] == name for each in self.layout.shards)
        self._own[name] = self.launch(
            "canopy-shard" if is_shard else "canopy-proxy", name, **environment
        )

    def wait_ready(self, timeout=20):
        eventually(self.is_ready, "every process of the cluster is ready", timeout)
        eventually(
            lambda: self.readyz("broker")[0] == 200, "the broker's /readyz answers 200", timeout
        )
        self._expected = {name: self.process(name) for name in self.names}

    def is_ready(self):
        if self.broker.poll() is not None:
            raise AssertionError(f"the broker has exited with {self.broker.returncode}")
        members = {name: self.member(name) for name in self.names}
        if not all(members.values()):
            return False
        shards = [members[each["name"]] for each in self.layout.shards]
        proxies = [members[each["name"]] for each in self.layout.proxies]
        return (
            all(is_well(part) for each in shards for part in each["partitions"])
            and all(each["state"] == "ready" for each in proxies)
            and all(self.readyz(name)[0] == 200 for name in self.names)
        )

    def stop(self):
        """Stops the cluster as a user would; everything must end well."""
        if self.broker is None:
            return
        try:
            if self.broker.poll() is not None:
                raise AssertionError(f"the broker has exited with {self.broker.returncode}")
            for name, before in self._expected.items():
                assert before.alive(), f"{name} (pid {before.pid}) died by itself"
            self._seen.update(children(self.broker.pid))
            for name, before in self._expected.items():
                if name in self._own:
                    terminate(name, self._own[name])
            terminate("the broker", self.broker)
            self.wait_gone(timeout=2)
        finally:
            self.destroy()
        self.check_logs()

    def wait_gone(self, timeout):
        eventually(lambda: not self.left(), "nothing of the cluster is left running", timeout)

    def left(self):
        return [each for each in self._seen if each.alive()]

    def destroy(self):
        """Kills whatever is left of this cluster's own processes."""
        if self.broker is None:
            return
        self._seen.update(children(self.broker.pid))
        self.broker.kill()
        self.broker.wait()
        for each in self._seen:
            each.signal(signal.SIGKILL)
        for launched in self._own.values():
            launched.wait()
        self.broker = None
        self._expected, self._own = {}, {}

    def check_logs(self):
        for path, text in self.logs():
            found = CRASHES.search(text)
            assert not found, f"{path.name} says {found[0]!r}:\n{text[found.start():][:4000]}"

    def logs(self):
        for path in sorted(self.directory.iterdir()):
            if path == self.log or path.name.startswith("sanitizer"):
                yield path, path.read_text(errors="replace")

    # -- processes -------------------------------------------------------------------------------

    def wait_stopped(self, timeout=15):
        """For a test that has told the broker to stop; its exit code, with nothing left running."""
        self._expected = {}
        self._seen.update(children(self.broker.pid))
        code = self.broker.wait(seconds(timeout))
        self.wait_gone(timeout=1)
        self.broker = None
        return code

    def kill_broker(self):
        """kill -9 of the broker; its children are on their own."""
        self._seen.update(children(self.broker.pid))
        self.broker.kill()
        self.broker.wait()
        self.broker = None
        if not self._own:
            self._expected = {}

    def process(self, name):
        if name == "broker":
            return Process(*process(self.broker.pid))
        member = self.member(name)
        assert member, f"{name} is not in the topology"
        found = process(member["pid"])
        self._seen.add(found)
        return found

    def signal(self, name, number):
        target = self.process(name)
        target.signal(number)
        return target

    @contextlib.contextmanager
    def stopped(self, name):
        """The process stands still meanwhile: all that is sent to it, it finds at once afterwards."""
        held = self.signal(name, signal.SIGSTOP)
        try:
            yield held
        finally:
            held.signal(signal.SIGCONT)

    def kill(self, name):
        """kill -9; returns the Process that is no more."""
        self._expected.pop(name, None)
        return self.signal(name, signal.SIGKILL)

    def terminate(self, name):
        """TERM to one member; returns the Process that ends."""
        self._expected.pop(name, None)
        return self.signal(name, signal.SIGTERM)

    def expect_end(self, name):
        """For a test that ends a member in its own way; returns the Process that ends."""
        self._expected.pop(name, None)
        return self.process(name)

    def restarted(self, name, before):
        """Whether `name` is served by another process than `before`, and ready."""
        member = self.member(name)
        if not member or member["pid"] == before.pid or self.readyz(name)[0] != 200:
            return False
        if not all(is_well(part) for part in member.get("partitions", [])):
            return False
        self._expected[name] = self.process(name)
        return True

    # -- what it says of itself ------------------------------------------------------------------

    def topology(self):
        status, body = scrape.get(self.layout.broker_http, "/api/v1/topology")
        if status != 200:
            raise ConnectionError(f"/api/v1/topology answered {status}: {body}")
        return json.loads(body)

    def member(self, name):
        """What the topology says of a shard or proxy, or None while it is down."""
        topology = self.topology()
        for member in topology["shards"] + topology["proxies"]:
            if member["name"] == name:
                return member if member["state"] != "down" else None
        return None

    def partition(self, shard_name, subtree):
        """What the topology says of a partition; `subtree` as in the file."""
        member = self.member(shard_name)
        for part in member["partitions"] if member else []:
            if (part["subtree"] or "*") == subtree:
                return part
        return None

    def http(self, name):
        if name == "broker":
            return self.layout.broker_http
        member = self.member(name)
        if not member:
            raise OSError(f"{name} is not in the topology")
        return member["http"]

    def readyz(self, name):
        return scrape.get(self.http(name), "/readyz")

    def metrics(self, name):
        status, body = scrape.get(self.http(name), "/metrics")
        assert status == 200, f"{name}: /metrics answered {status}"
        return scrape.Metrics(body)

    @property
    def broker_endpoint(self):
        return self.layout.broker["listen"]

    def native(self, proxy_name):
        return self.layout.native(proxy_name)

    def triple(self, proxy_name, dialect):
        return self.layout.triple(proxy_name, dialect)
