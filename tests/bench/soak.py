"""Runs a cluster under load for an hour, with clients that join and leave, and measures memory and descriptors of its
processes. Ends with 1 when a process still grows or a load test fails.

    python3 -m tests.bench.soak [--minutes N] [--clients N]
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from tests.harness import procfs
from tests.harness.cluster import BIN, Cluster, die_with_parent
from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.ports import Ports

DIALECTS = ("native", "kvsimple")
SAMPLES = 60  # of memory and descriptors
ALLOWED_SHARE, ALLOWED_BYTES, ALLOWED_FDS = 1.10, 8 << 20, 8  # growth from the second fifth to the last


def parse(arguments):
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=200, help="of each dialect (%(default)s)")
    return parser.parse_args(arguments)


class Load:
    """Load tests of one dialect, one after the other."""

    def __init__(self, cluster, dialect, clients, directory):
        self.log = pathlib.Path(directory, f"{dialect}.log")
        self.command = [BIN / "canopy-loadtest", "--broker", cluster.http("broker"), "--dialect", dialect]
        self.command += ["--clients", clients, "--period", 1000, "--churn", clients // 10, "--duration", 60]
        self.command += ["--subtree", f"/{dialect}/"]
        self.process, self.runs, self.failed = None, 0, 0
        self.run_next()

    def run_next(self):
        if self.process and self.process.poll() is None:
            return
        self.failed += bool(self.process and self.process.returncode)
        self.runs += 1
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                list(map(str, self.command)), stdout=log, stderr=log, preexec_fn=die_with_parent
            )

    def stop(self):
        self.process.kill()
        self.process.wait()


def growth(samples):
    """The medians of the second fifth of the samples, when caches are full, and of the last."""
    fifth = max(1, len(samples) // 5)
    return statistics.median(samples[fifth : 2 * fifth]), statistics.median(samples[-fifth:])


def main(arguments):
    options = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="canopy-soak-") as directory:
        short = {"log_updates": 1000}  # full within seconds, not minutes
        shards = [shard("s1", partition("/native/", durability="disk", **short)), shard("s2", partition("*", **short))]
        cluster = Cluster(directory, Ports(), shards, [proxy("p1"), proxy("p2")]).start()
        loads = [Load(cluster, dialect, options.clients, directory) for dialect in DIALECTS]
        names = ["broker", *cluster.names]
        memory, files = {name: [] for name in names}, {name: [] for name in names}
        try:
            for sample in range(SAMPLES):
                end = time.monotonic() + options.minutes * 60 / SAMPLES
                while time.monotonic() < end:
                    time.sleep(0.2)
                    for load in loads:
                        load.run_next()
                for name in names:
                    pid = cluster.broker.pid if name == "broker" else cluster.process(name).pid
                    memory[name].append(procfs.memory_bytes(pid))
                    files[name].append(procfs.open_fds(pid))
                print(f"{sample + 1}/{SAMPLES}", *(f"{n} {memory[n][-1] >> 20} MiB" for n in names), sep="  ", flush=True)
        finally:
            for load in loads:
                load.stop()
            cluster.stop()
        bad = [f"{each.runs} runs with {each.failed} failed: {each.log.read_text()[-2000:]}" for each in loads if each.failed]
        for name in names:
            (before, after), (fds, fds_after) = growth(memory[name]), growth(files[name])
            print(f"{name}: {before / 2**20:.1f} -> {after / 2**20:.1f} MiB, {fds:.0f} -> {fds_after:.0f} descriptors")
            if after > before * ALLOWED_SHARE and after > before + ALLOWED_BYTES:
                bad.append(f"{name} grows: {before} -> {after} bytes")
            if fds_after > fds + options.clients + ALLOWED_FDS:
                bad.append(f"{name} uses more and more descriptors: {fds:.0f} -> {fds_after:.0f}")
    print(*bad, sep="\n")
    print("FAIL" if bad else f"PASS: {sum(load.runs for load in loads)} runs of the load test")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
