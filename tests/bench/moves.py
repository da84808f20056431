"""Measures the slowest write while a partition of 100,000 keys moves to another shard, and while it is split. Four
writers send 1,000 writes a second together, and two clients watch. Ends with 1 when a watcher's map is wrong.

    python3 -m tests.bench.moves [--keys N] [--rate N] [--durability memory|disk…]
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time

import zmq

from tests.harness import native, native_watcher
from tests.harness.cluster import REPOSITORY, Cluster, die_with_parent, run_program
from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.ports import Ports
from tests.harness.promises import WriteLoad, Stopwatch
from tests.harness.waiting import eventually

SUBTREE = "/r/"
WRITERS = 4


class Watcher:
    """A watching process, so that the watcher takes no time of the writers."""

    def __init__(self, endpoint):
        self._process = subprocess.Popen(
            [sys.executable, "-m", native_watcher.__name__, endpoint, "{}"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        self._process.stdout.readline()

    def report(self):
        print(file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.kill()
        self._process.wait()


def fill(writer, keys):
    """Writes the keys that the partition holds before it moves."""
    entries = {f"{SUBTREE}old/{i}": str(i) * 20 for i in range(keys)}
    pairs = [native.write(key.encode(), value.encode()) for key, value in entries.items()]
    for at in range(0, keys, 500):
        writer.write(*pairs[at : at + 500])
    return entries


def serves(cluster, name, subtree):
    found = cluster.partition(name, subtree)
    return found is not None and found["state"] == "serving"


def moved(cluster, name):
    """Whether this shard is the only replica of the partition and serves it."""
    holders = [each for each in ("s1", "s2") if cluster.partition(each, SUBTREE)]
    return holders == [name] and serves(cluster, name, SUBTREE)


def ordered(cluster, *words, until):
    """Runs `canopy` with `words`; returns the seconds until `until` holds. Then waits 3 s."""
    began = time.monotonic()
    done = run_program("canopy", *words, "--broker", cluster.broker_endpoint)
    assert done.returncode == 0, done.stderr
    eventually(until, " ".join(words), 60)
    took = time.monotonic() - began
    time.sleep(3)
    return took


def measure(cluster, context, options, stack):
    endpoints = [cluster.native("p1"), cluster.native("p2")]

    def writer():
        return stack.enter_context(contextlib.closing(native.Writer(context, *endpoints)))

    entries = fill(writer(), options.keys)
    watchers = [Watcher(endpoint) for endpoint in endpoints]
    for each in watchers:
        stack.callback(each.close)
    watches = [Stopwatch(writer()) for _ in range(WRITERS)]

    def longest():
        result = max(each.longest for each in watches)
        for each in watches:
            each.longest = 0
        return result * 1000

    with contextlib.ExitStack() as loads:
        writes = []
        for i, watch in enumerate(watches):
            keys = [f"{SUBTREE}new/{i}/{j}".encode() for j in range(2000)]
            load = WriteLoad(watch, keys, options.rate / WRITERS)
            writes.append(loads.enter_context(load))
        time.sleep(5)
        print(f"  longest write in 5 s: {longest():.0f} ms", flush=True)
        for name in ("s2", "s1"):
            took = ordered(cluster, "move", SUBTREE, name, until=lambda: moved(cluster, name))
            print(f"  moved to {name} in {took:.1f} s; longest write {longest():.0f} ms", flush=True)
        # The first part has all keys, the second all writers.
        for part in (f"{SUBTREE}old/", f"{SUBTREE}new/"):
            took = ordered(cluster, "split", part, until=lambda: serves(cluster, "s1", part))
            print(f"  {part} split off in {took:.1f} s; longest write {longest():.0f} ms", flush=True)
    for each in writes:
        entries.update((key.decode(), value.decode()) for key, value in each.map.items())
    for each in watchers:
        eventually(lambda: each.report()["map"] == entries, "a watcher has the written values", 20)
        assert not each.report()["faults"], each.report()["faults"][:5]
    print(f"  {sum(sum(each.counters.values()) for each in writes):,} writes; both watchers exact")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=1000, help="writes a second, of all writers")
    parser.add_argument("--durability", nargs="+", default=["memory", "disk"])
    options = parser.parse_args()
    context, ports = zmq.Context(), Ports()
    for durability in options.durability:
        print(f"{options.keys:,} keys, {options.rate:,} writes a second, {durability}:", flush=True)
        with tempfile.TemporaryDirectory(prefix="canopy-moves-") as directory:
            cluster = Cluster(
                directory,
                ports,
                [shard("s1", partition(SUBTREE, durability=durability)), shard("s2", "*")],
                [proxy("p1", ["native"]), proxy("p2", ["native"])],
            ).start()
            with contextlib.ExitStack() as stack:
                stack.callback(cluster.stop)
                measure(cluster, context, options, stack)


if __name__ == "__main__":
    sys.exit(main())
