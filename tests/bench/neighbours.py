"""Measures how slow or hostile clients affect the others: N native clients of one proxy, each with one update a second,
alone and beside such clients. Each case is measured right after the same cluster without them.

    python3 -m tests.bench.neighbours [--subscribers N] [--seconds N] [--rounds N] [--cases CASE…]
"""

import argparse
import contextlib
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

from tests.bench import measure, systems

import zmq

from tests.harness import hostile, native
from tests.harness.clone import make_socket

MIB = 1 << 20
LARGE = b"/large/"
PER_SECOND = 20  # values of 1 MiB
DIALECTS = ("native", "kvsimple", "kvmsg", "chp")


class Cluster(systems.CanopyNative):
    """A cluster whose proxy has a listener for every dialect."""

    def layout(self, broker):
        more = "".join(f", {each}: 'tcp://127.0.0.1:{systems.ports.claim(3)}'" for each in ("kvmsg", "chp"))
        return super().layout(broker).replace(", native:", f"{more}, native:")

    def max_clients(self):
        return 1000

    def nofile(self):
        return 16384

    def proxy(self):
        return self.topology()["proxies"][0]


# -- other clients ------------------------------------------------------------------------------------


def read_large_values(proxy_endpoints):
    """Subscribes to the large values in every dialect and discards them. Runs as a process of its own."""
    context, poller = zmq.Context(), zmq.Poller()
    for dialect, endpoint in zip(DIALECTS, proxy_endpoints):
        if dialect == "native":
            peer = make_socket(context, zmq.DEALER, endpoint)
            peer.send(native.pack(native.ANNOUNCE, 1, bytes(16), "large", "neighbours"))
            peer.send(native.pack(native.WATCH, 2, LARGE.decode(), 0, 0, {}))
        else:
            peer = make_socket(context, zmq.SUB, endpoint, subscribe=LARGE)
        poller.register(peer, zmq.POLLIN)
    print("ready", flush=True)
    while True:
        for peer, _ in poller.poll():
            peer.recv_multipart()


@contextlib.contextmanager
def repeated(work, pause):
    """Calls `work` repeatedly in a thread."""
    stopping = threading.Event()

    def run():
        while not stopping.is_set():
            work()
            stopping.wait(pause)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


@contextlib.contextmanager
def large_values(cluster, stopped=False):
    proxy = cluster.proxy()
    endpoints = [proxy["native"], *(proxy[each]["updates"] for each in DIALECTS[1:])]
    reader = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.neighbours", "--read", *endpoints],
        cwd=systems.REPOSITORY,
        stdout=subprocess.PIPE,
        preexec_fn=systems.as_child(1024),
    )
    reader.stdout.readline()
    writer = native.Writer(zmq.Context.instance(), proxy["native"])
    value = random.randbytes(MIB)
    try:
        with repeated(lambda: writer.put(LARGE + b"k", value), 1 / PER_SECOND):
            time.sleep(1)
            if stopped:
                reader.send_signal(signal.SIGSTOP)
                time.sleep(1)
            yield
    finally:
        writer.close()
        reader.kill()
        reader.wait()


def stopped_readers(cluster):
    return large_values(cluster, stopped=True)


@contextlib.contextmanager
def connections(cluster, count):
    at = ("127.0.0.1", systems.port_of(cluster.proxy()["native"]))
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(at)) for _ in range(count)]


def idle(cluster):
    return connections(cluster, 500)


@contextlib.contextmanager
def slow_handshakes(cluster):
    with connections(cluster, 200) as peers:
        left = iter(hostile.GREETING + hostile.READY)

        def send_a_byte():
            byte = bytes([next(left, 0)])
            for peer in peers:
                with contextlib.suppress(OSError):
                    peer.send(byte)

        with repeated(send_a_byte, 0.1):
            yield


def garbage(cluster):
    throws = [data for _, data in hostile.garbage(random.Random(1))]
    ports = systems.re.findall(r"tcp://127.0.0.1:(\d+)", str(cluster.proxy()))
    return repeated(lambda: hostile.throw(int(random.choice(ports)), random.choice(throws), 0.005), 0.01)


@contextlib.contextmanager
def subscriptions(cluster, count=100_000):
    """One connection that subscribes and unsubscribes."""
    peer = make_socket(zmq.Context.instance(), zmq.XSUB, cluster.proxy()["kvsimple"]["updates"])

    def subscribe():
        for i in range(count // 100):
            with contextlib.suppress(zmq.ZMQError):
                peer.send(b"\1/topic/%d" % (i % 900), zmq.NOBLOCK)
                peer.send(b"\0/topic/%d" % (i % 900), zmq.NOBLOCK)

    try:
        with repeated(subscribe, 0.05):
            yield
    finally:
        peer.close(0)


def joins(cluster, a_second=100):
    """Clients that connect, list everything and disconnect."""
    endpoint = cluster.proxy()["native"]

    def join():
        requests = native.Requests(zmq.Context.instance(), endpoint)
        requests.read(b"")
        requests.close()

    return repeated(join, 1 / a_second)


CASES = {
    "large values, read": large_values,
    "large values, readers stopped": stopped_readers,
    "500 idle connections": idle,
    "200 handshakes, a byte at a time": slow_handshakes,
    "garbage, 100 a second": garbage,
    "subscribes and unsubscribes, 40,000 a second": subscriptions,
    "clients that join, list and leave": joins,
}


# -- measuring -------------------------------------------------------------------------------------


def measured(run, seconds):
    figures = run.phase("spread", seconds)
    return figures["p50_ms"], figures["p99_ms"], figures["cpu_us_per_delivery"], figures["lost"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--subscribers", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--read", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        return read_large_values(options.read)
    print("p50 / p99 in ms, CPU µs a delivery; medians of rounds")
    for case in options.cases:
        alone, beside = [], []
        with Cluster(options.subscribers, 1) as cluster, measure.Run(cluster, "random", 8) as run:
            for _ in range(options.rounds):
                alone.append(measured(run, options.seconds))
                with CASES[case](cluster):
                    beside.append(measured(run, options.seconds))
        for name, runs in (("alone", alone), ("beside", beside)):
            p50, p99, cpu, lost = (statistics.median(each) for each in zip(*runs))
            print(f"{case:45} {name:7} {p50:6.1f} {p99:7.1f} {cpu:7.2f}  lost {lost:.0f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
