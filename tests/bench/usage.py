"""CPU time, memory and descriptors of processes and of the machine."""

import os
import pathlib

from tests.harness import procfs

TICK = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids):
    """User and system time of the processes' running threads. From schedstat, which counts ns; /proc/PID/stat counts
    hundredths of a second."""
    return sum(map(run_ns, pids)) / 1e9


def run_ns(pid):
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            total += int(pathlib.Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
        except OSError:
            pass  # the thread has ended
    return total


def resident_bytes(pids):
    return sum(map(resident, pids))


def resident(pid):
    """From smaps_rollup, which counts pages; /proc/PID/stat differs by some hundred KB."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no Rss of process {pid}")


def descriptors(pids):
    return sum(map(procfs.open_fds, pids))


def machine_busy_seconds():
    """User, nice, system, irq, softirq and steal time of the whole machine."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(int(fields[index]) for index in (1, 2, 3, 6, 7, 8)) * TICK
