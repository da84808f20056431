"""One started server with its subscribers: the phases of a run, and the cost of each."""

import contextlib
import json
import mmap
import resource
import struct
import subprocess
import tempfile
import time

from tests.bench import systems, usage

FIELDS = ("subscribed", "reached", "closed", "delivered", "slowest", "bytes", "sent")
REST_SECONDS = 1.0  # for updates in flight when the publisher, which waits 5 s for them, has ended
RAMP = 0.5  # seconds of a flood before its measurement


class Progress:
    """The driver's view of progress.h."""

    def __init__(self):
        size = 8 * len(FIELDS)
        self.file = tempfile.NamedTemporaryFile(prefix="canopy-bench-", dir="/dev/shm")
        self.file.truncate(size)
        self.path = self.file.name
        self.memory = mmap.mmap(self.file.fileno(), size)

    def __getattr__(self, name):
        return struct.unpack_from("=Q", self.memory, 8 * FIELDS.index(name))[0]

    def close(self):
        self.memory.close()
        self.file.close()


class Moment:
    """CPU time and deliveries until now."""

    def __init__(self, run):
        self.at = time.monotonic()
        self.server = usage.cpu_seconds(run.server.pids())
        self.delivered = run.progress.delivered
        self.bytes = run.progress.bytes


class Load:
    """The cores that reader, publisher and other programs use during a phase."""

    def __init__(self, run):
        self.run = run
        self.before = self.read()

    def read(self):
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (
            time.monotonic(),
            usage.cpu_seconds([self.run.reader.pid]),
            ended.ru_utime + ended.ru_stime,  # publishers, once they have ended
            usage.cpu_seconds(self.run.server.pids()),
            usage.machine_busy_seconds(),
        )

    def shares(self):
        elapsed, reader, publisher, server, machine = (
            now - then for now, then in zip(self.read(), self.before)
        )
        others = machine - reader - publisher - server
        return reader / elapsed, publisher / elapsed, max(0.0, others) / elapsed


class Run:
    """A server, its subscribers, and a publisher for each phase."""

    def __init__(self, server, bodies, sampled):
        self.server, self.bodies, self.sampled = server, bodies, sampled
        self.subscribers = server.subscribers
        self.progress = Progress()
        self.reader = None
        self.resident = self.memory = self.files = 0

    def __enter__(self):
        try:
            self.subscribe()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.reader:
            self.reader.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.reader.wait(5)
            self.reader.kill()
            self.reader.wait()
        self.progress.close()

    def subscribe(self):
        pids = self.server.pids()
        self.resident, files = usage.resident_bytes(pids), usage.descriptors(pids)
        self.reader = subprocess.Popen(
            [systems.BENCH_BIN / "bench-reader", self.server.protocol, str(self.subscribers)]
            + [str(self.sampled), self.progress.path, self.server.topic.hex() or "00"]
            + [str(port) for port in self.server.subscribe_ports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=systems.as_child(self.subscribers + 64),
        )
        systems.wait_until(
            lambda: self.progress.subscribed == self.subscribers, "subscribing", self.reader
        )
        with self.publish("warm", 0) as publisher:
            warmed = json.loads(publisher.communicate()[0] or "{}")
        if not warmed.get("complete"):
            raise systems.Failed(f"only {self.progress.reached} of {self.subscribers} subscribers got updates")
        self.settle()
        self.memory = self.grown()
        self.files = (usage.descriptors(pids) - files) / self.subscribers

    def grown(self):
        """Resident bytes per subscriber, beyond those of the server without subscribers."""
        return (usage.resident_bytes(self.server.pids()) - self.resident) / self.subscribers

    def publish(self, mode, seconds):
        protocol = self.server.publisher_protocol or self.server.protocol
        command = [systems.BENCH_BIN / "bench-publisher", protocol, self.server.zmq_socket, mode]
        command += [str(self.subscribers), str(seconds), self.bodies, self.progress.path]
        command += [str(port) for port in self.server.publish_ports]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def settle(self):
        """Waits until no update has arrived for 0.3 s."""
        before, since = -1, time.monotonic()
        while time.monotonic() < since + 0.3:
            if self.progress.delivered != before:
                before, since = self.progress.delivered, time.monotonic()
            time.sleep(0.02)

    def ask(self, command):
        self.reader.stdin.write(command + "\n")
        self.reader.stdin.flush()
        line = self.reader.stdout.readline()
        if not line:
            raise systems.Failed("the reader has ended")
        return json.loads(line)

    def await_rest(self):
        deadline = time.monotonic() + REST_SECONDS
        while self.outstanding() > 0 and time.monotonic() < deadline:
            time.sleep(0.005)

    def outstanding(self):
        return self.subscribers * self.progress.sent - self.progress.delivered

    def phase(self, mode, seconds):
        """The figures of one phase. Another phase may follow when no update was lost."""
        self.ask("mark")
        closed = self.progress.closed
        load = Load(self)
        start = Moment(self)
        with self.publish(mode, seconds) as publisher:
            if mode.startswith("flood"):
                time.sleep(RAMP)
                start = Moment(self)
                time.sleep(seconds - RAMP - 0.1)
                end = Moment(self)
            result = json.loads(publisher.communicate()[0] or "{}")
        if not result:
            raise systems.Failed("the publisher failed")
        self.await_rest()
        if not mode.startswith("flood"):
            end = Moment(self)  # late updates cost CPU time too
        reader, publisher, others = load.shares()
        arrived = end.delivered - start.delivered
        return {
            "sent": result["sent"],
            "complete": result["complete"],
            "publisher_late_ms": result["latest_ms"],
            "deliveries": arrived,
            "deliveries_per_s": arrived / (end.at - start.at),
            "cpu_us_per_delivery": (end.server - start.server) * 1e6 / arrived if arrived else None,
            "server_cores": (end.server - start.server) / (end.at - start.at),
            "bytes_per_delivery": (end.bytes - start.bytes) / arrived if arrived else None,
            **self.ask("report"),
            "lost": self.outstanding(),
            "closed": self.progress.closed - closed,
            "bytes_per_subscriber": self.memory,
            "bytes_per_subscriber_busy": self.grown(),
            "descriptors_per_subscriber": self.files,
            "reader_cores": reader,
            "publisher_cores": publisher,
            "other_cores": others,
        }
