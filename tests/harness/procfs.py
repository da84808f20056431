"""What /proc says of a process. A process is named by its pid and start time together, since pids
are used again."""

import os
import time
from typing import NamedTuple


class Process(NamedTuple):
    pid: int
    started: int  # clock ticks since boot

    def alive(self):
        fields = stat_fields(self.pid)
        return fields is not None and int(fields[19]) == self.started and fields[0] != "Z"

    def signal(self, number):
        if self.alive():
            os.kill(self.pid, number)


def stat_fields(pid):
    """The fields of /proc/PID/stat from the state on (field 3), or None if there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def process(pid):
    fields = stat_fields(pid)
    assert fields is not None, f"there is no process {pid}"
    return Process(pid, int(fields[19]))


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        fields = stat_fields(entry) if entry.isdigit() else None
        if fields and int(fields[1]) == pid:
            found.append(Process(int(entry), int(fields[19])))
    return found


def cpu_seconds(pid):
    fields = stat_fields(pid)
    assert fields is not None, f"there is no process {pid}"
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_share(pid, duration=1.0):
    """Cores used by a process over the next `duration` seconds."""
    before, start = cpu_seconds(pid), time.monotonic()
    time.sleep(duration)
    return (cpu_seconds(pid) - before) / (time.monotonic() - start)


def open_fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def peak_bytes(pid):
    """The most memory that a process has held so far."""
    return status_bytes(pid, "VmHWM")


def memory_bytes(pid):
    """The memory that it holds."""
    return status_bytes(pid, "VmRSS")


def status_bytes(pid, field):
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024
