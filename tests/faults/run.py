"""Runs a cluster under load, injects faults that it must survive, and checks what its clients received. Ends with 0 when
there are no findings, else with 1, and keeps the history.

    python3 -m tests.faults.run --minutes 10 --seed 7 --cluster one-copy
"""

import argparse
import contextlib
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from tests.faults import faults, history, hosts, validators
from tests.faults.deployment import Deployment, Member
from tests.harness.cluster import BIN, die_with_parent
from tests.harness.clusterfile import partition, shard
from tests.harness.ports import Ports

SKIPPED = 77
SMALL_DISK = "64m"
# Settings that break guarantees: the suite must find them.
BROKEN = {
    "memory": {"durability": "memory"},
    "interval": {"durability": "disk", "sync": "interval", "sync_interval_ms": 2000},
}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    add = parser.add_argument
    add("--minutes", type=float, default=10)
    add("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    add("--cluster", choices=CLUSTERS, default="one-copy")
    add("--replicas", type=int, default=3, help="of each partition, on three hosts")
    add("--etcd", action="store_true", help="three hosts: etcd coordinates, not the broker")
    add("--faults", nargs="+", choices=faults.FAULTS, metavar="FAULT", help="only these")
    add("--calm", type=float, default=2, help="seconds between two faults, on average")
    add("--writers", type=int, default=50)
    add("--watchers", type=int, default=50)
    add("--rate", type=float, default=300, help="operations a second")
    add("--strict", action="store_true", help="check the order of changes around new epochs too")
    add("--break", dest="broken", choices=BROKEN, help="weaken the durability of partitions")
    add("--directory", type=pathlib.Path, help="for histories and logs, which are then kept")
    return parser.parse_args(arguments)


# -- clusters ------------------------------------------------------------------------------------


def kept(options, subtree, **settings):
    return partition(subtree, **BROKEN.get(options.broken, {"durability": "disk"}), **settings)


@contextlib.contextmanager
def one_copy(options, directory, ports):
    """One replica of each partition. One shard has a small disk, the other a disk that loses unsynced writes."""
    with faults.small_disk(directory / "state" / "s2", SMALL_DISK) as small:
        shards = [shard("s1", kept(options, "/a/")), shard("s2", kept(options, "*"))]
        synced = {"broker", "s1"} | (set() if small else {"s2"})
        yield Deployment(directory, ports, shards, synced=synced), {"small_disk": small, "copies": [1]}


def majority(count):
    return count // 2 + 1


def copies(count):
    """The numbers of replicas that a partition may be moved to."""
    return list(range(majority(count), count + 1))


def replicas(options, names, count):
    """The partitions; each prefers another shard."""
    turns = [names[i:] + names[:i] for i in range(2)]
    return [
        kept(options, subtree, on=turn[:count], min_in_sync=majority(count))
        for subtree, turn in zip(("/a/", "*"), turns)
    ]


@contextlib.contextmanager
def replicated(options, directory, ports):
    """Three replicas of each partition, on one machine."""
    names = ["s1", "s2", "s3"]
    shards = [{"name": name} for name in names]
    partitions = replicas(options, names, options.replicas)
    synced = {"broker", *names}
    deployment = Deployment(directory, ports, shards, synced=synced, partitions=partitions)
    yield deployment, {"copies": copies(options.replicas)}


def etcd_members(network, directory):
    """A member of etcd on each host, not started."""
    peers = ",".join(f"{host.name}=http://{host.address}:2380" for host in network.hosts)
    for host in network.hosts:
        client, peer = f"http://{host.address}:2379", f"http://{host.address}:2380"
        flags = {
            "name": host.name,
            "data-dir": directory / f"etcd-{host.name}",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": peers,
        }
        command = ["etcd", *(f"--{name}={value}" for name, value in flags.items())]
        yield Member(f"etcd-{host.name}", command, {}, directory / f"etcd-{host.name}.txt", host)


@contextlib.contextmanager
def three_hosts(options, directory, ports):
    """A shard and a proxy on each of three hosts."""
    names, settings, etcd = ["s1", "s2", "s3"], {}, []
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(hosts.network(3))
        if options.replicas > 1:
            shards = [{"name": name} for name in names]
            settings["partitions"] = replicas(options, names, options.replicas)
        else:
            subtrees = ("/a/", "*", "/unused/")
            shards = [shard(name, kept(options, each)) for name, each in zip(names, subtrees)]
        if options.etcd:
            etcd = list(etcd_members(network, directory))
            endpoints = [f"http://{host.address}:2379" for host in network.hosts]
            settings["coordination"] = {"etcd": {"endpoints": endpoints}}
            for member in etcd:
                stack.callback(member.kill)
                member.start()
        deployment = Deployment(
            directory, ports, shards, 3, network.hosts, {"broker", *names}, **settings
        )
        yield deployment, {"network": network, "etcd": etcd, "copies": copies(options.replicas)}


CLUSTERS = {"one-copy": one_copy, "replicated": replicated, "three-hosts": three_hosts}
# The subtrees that the clusters are configured with, each with one that may be split off it.
SPLITS = {"/a/": "/a/s/", "*": "/s/"}
SUBTREES = [*SPLITS, *SPLITS.values()]


# -- a run ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def recording(options, deployment, path):
    """Runs faults-recorder, which writes the history to `path`."""
    command = [BIN / "faults-recorder", "--seed", options.seed]
    command += ["--writers", options.writers, "--watchers", options.watchers, "--rate", options.rate]
    command += ["--strict"] if options.strict else []
    for endpoint in deployment.endpoints():
        command += ["--proxy", endpoint]
    for each in SUBTREES:
        command += ["--partition", each]
    with open(path, "w") as out:
        started = subprocess.Popen(
            list(map(str, command)), stdout=out, preexec_fn=die_with_parent, stdin=subprocess.DEVNULL
        )
    try:
        yield started
        started.send_signal(signal.SIGTERM)
        started.wait(60)
    finally:
        started.kill()
        started.wait()


class Progress:
    """Waits for acknowledged writes in the recorder's output."""

    def __init__(self, path):
        self._lines, self._history = open(path), history.History(SUBTREES)

    def wait(self, timeout):
        """Waits until a new write to each subtree is acknowledged. Raises AssertionError."""
        start = time.monotonic()
        missing = set(SUBTREES)
        while missing:
            late = time.monotonic() - start > timeout
            assert not late, f"for {timeout} s no write to {sorted(missing)} is acknowledged"
            time.sleep(0.1)
            missing -= {*self._acknowledged(start * 1e9)}

    def _acknowledged(self, since):
        while True:
            at = self._lines.tell()
            line = self._lines.readline()
            if not line.endswith("\n"):
                self._lines.seek(at)  # the line may be incomplete
                return
            if line.startswith("op "):
                operation = history.read_operation(line.split()[1:])
                if operation.outcome == "ok" and operation.call > since:
                    yield self._history.partition_of(operation.writes[0].key)

    def close(self):
        self._lines.close()


class Run:
    """Injects faults, and records what and when."""

    def __init__(self, options, deployment, features, history_path):
        self.options, self.deployment = options, deployment
        self.progress = Progress(history_path)
        self.random = random.Random(options.seed)
        self.trouble = faults.Trouble(deployment, self.random, self.say, splits=SPLITS, **features)
        self.events = []  # (when, ns; what)
        self.findings = []
        self._start = time.monotonic()

    def say(self, what):
        now = time.monotonic()
        self.events.append((int(now * 1e9), what))
        print(f"{now - self._start:7.1f} s  {what}", flush=True)

    def names(self):
        possible = self.trouble.possible()
        wanted = self.options.faults or possible
        if not set(wanted) & set(possible):
            raise hosts.Unsupported(f"none of {wanted} is possible here")
        return [name for name in possible if name in wanted]

    def harm(self, until):
        """Injects each kind of fault once in a random order, and so on."""
        names, left = self.names(), []
        while time.monotonic() < until:
            time.sleep(self.options.calm * self.random.uniform(0.5, 1.5))
            left = left or self.random.sample(names, len(names))
            name = left.pop()
            faults.FAULTS[name][0](self.trouble)
            self.after(name)

    def after(self, name):
        """Checks that the cluster recovers, and that no member has ended by itself."""
        for each in self.deployment.unexpected():
            self.found(f"after {name}: {each}")
        self.deployment.start_missing()
        try:
            self.deployment.wait_ready(30)
            # Every other time the next fault is injected before the clients have recovered.
            if self.random.random() < 0.5:
                self.progress.wait(30)
        except AssertionError as late:
            self.found(f"after {name}: {late}")

    def found(self, what):
        self.findings.append(what)
        self.say(f"found: {what}")

    def gaps(self, recorded):
        """(what, seconds, subtree): the longest time without an acknowledged write after each."""
        returns = {each: [] for each in SUBTREES}
        for each in recorded.operations:
            if each.outcome == "ok":
                returns[recorded.partition_of(each.writes[0].key)].append(each.returned)
        for times in returns.values():
            times.sort()
        ends = [when for when, _ in self.events[1:]] + [float("inf")]
        for (start, what), end in zip(self.events, ends):
            longest = (0, "all")
            for name, times in returns.items():
                for before, after in zip(times, times[1:]):
                    # A gap that lasts into the next fault counts for both.
                    if before < end and after > start:
                        longest = max(longest, ((after - before) / 1e9, name))
            yield what, *longest


def summed_up(recorded):
    outcomes = [each.outcome for each in recorded.operations]
    counted = ", ".join(f"{outcomes.count(each)} {each}" for each in ("ok", "refused", "unknown"))
    counts = list(recorded.watchers.values())
    return (
        f"\n{len(outcomes)} writes: {counted}; {len(recorded.reads)} reads; "
        f"{sum(each.live for each in counts)} updates watched, {sum(each.syncs for each in counts)} "
        f"syncs; {sum(each.takeovers for each in counts)} updates out of order around new epochs"
    )


def report(found):
    for name, findings in found.items():
        print(f"{name}: {'ok' if not findings else f'{len(findings)} findings'}")
        for each in findings[:5]:
            print(f"    {each}")
    return 1 if any(found.values()) else 0


def run(options, directory):
    print(f"seed {options.seed}, {options.cluster}, histories in {directory}", flush=True)
    path = directory / "history"
    with CLUSTERS[options.cluster](options, directory, Ports()) as (deployment, features):
        with contextlib.ExitStack() as stack:
            stack.callback(deployment.destroy)
            deployment.start()
            path.touch()
            running = Run(options, deployment, features, path)
            stack.callback(running.progress.close)
            with recording(options, deployment, path):
                running.harm(time.monotonic() + options.minutes * 60)
                running.say("the end of writing")
            running.findings += deployment.stop()
    recorded = history.load(path, SUBTREES, SPLITS)
    print("\nlongest time without an acknowledged write after each:")
    for what, gap, name in running.gaps(recorded):
        print(f"{gap:7.2f} s  {what} ({name})")
    start = time.monotonic()
    found, summary = validators.validate(recorded, BIN / "faults-linear")
    found["members"] = running.findings
    print(summed_up(recorded), f"checked in {time.monotonic() - start:.1f} s: {summary}", sep="\n")
    return report(found)


def interrupted(*_):
    raise KeyboardInterrupt


def main(arguments=None):
    options = parse(arguments)
    signal.signal(signal.SIGTERM, interrupted)
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    directory = options.directory or pathlib.Path(tempfile.mkdtemp(prefix="canopy-faults-"))
    directory.mkdir(parents=True, exist_ok=True)
    code = 1
    try:
        code = run(options, directory)
    except hosts.Unsupported as reason:
        print(f"skipped: {reason}")
        code = SKIPPED
    except KeyboardInterrupt:
        print("interrupted")
    finally:
        if code == 1:
            print(f"kept: {directory}")
        elif not options.directory:
            shutil.rmtree(directory)
    return code


if __name__ == "__main__":
    sys.exit(main())
