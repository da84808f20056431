"""Measures how long N native clients take that join at once, and how long the same bytes take over as many bare
connections. Two proxies, values of 100 bytes; one loop reads both, round by round.

    python3 -m tests.bench.joins [--clients N] [--keys N] [--rounds N]
"""

import argparse
import contextlib
import os
import select
import socket
import statistics
import time

from tests.bench import systems

import zmq

from tests.harness import native
from tests.harness.zmtp import BareSocket

VALUE = 100  # bytes
CHUNK = 1 << 18


def fill(cluster, keys):
    with contextlib.closing(native.Writer(zmq.Context.instance(), endpoint_of(cluster, 0))) as writer:
        pairs = [native.write(b"/keys/%07d" % i, b"x" * VALUE) for i in range(keys)]
        for at in range(0, keys, 500):
            writer.write(*pairs[at : at + 500])


def endpoint_of(cluster, number):
    ports = cluster.subscribe_ports
    return f"tcp://127.0.0.1:{ports[number % len(ports)]}"


def joiner(cluster, number):
    """A connection that has received Welcome and has no watch yet."""
    peer = BareSocket(endpoint_of(cluster, number), "DEALER")
    peer.send(native.pack(native.ANNOUNCE, 1, os.urandom(16), "joins", "bench"))
    assert isinstance(native.read_message(peer.receive()[0]), native.Welcome)
    return peer


WATCH = native.pack(native.WATCH, 2, "", 0, 0, {})


def bytes_of_a_join(cluster, number):
    """Bytes from Watch until CaughtUp."""
    with contextlib.closing(joiner(cluster, number)) as peer:
        peer.send(WATCH)
        total = 0
        while True:
            (frame,) = peer.receive()
            total += len(frame) + (9 if len(frame) > 255 else 2)
            if isinstance(native.read_message(frame), native.CaughtUp):
                return total


def read_all(sockets, expected):
    """Seconds until each socket has received `expected` bytes."""
    began = time.perf_counter()
    poll, left = select.epoll(), {}
    for each in sockets:
        each.setblocking(False)
        left[each.fileno()] = [each, expected]
        poll.register(each, select.EPOLLIN)
    buffer = bytearray(CHUNK)
    while left:
        for descriptor, _ in poll.poll():
            entry = left[descriptor]
            entry[1] -= entry[0].recv_into(buffer)
            if entry[1] <= 0:
                poll.unregister(descriptor)
                del left[descriptor]
    poll.close()
    return time.perf_counter() - began


def join_all(cluster, clients, expected):
    peers = [joiner(cluster, i) for i in range(clients)]
    try:
        for each in peers:
            each.send(WATCH)
        return read_all([each.peer for each in peers], expected)
    finally:
        for each in peers:
            each.close()


def send_to_all(listener, clients, expected, start):
    """Sends `expected` bytes to each connection after a byte arrives at `start`. Runs as a process of its own."""
    sockets = [listener.accept()[0] for _ in range(clients)]
    data, poll, left = memoryview(bytes(expected)), select.epoll(), {}
    os.read(start, 1)
    for each in sockets:
        each.setblocking(False)
        left[each.fileno()] = [each, 0]
        poll.register(each, select.EPOLLOUT)
    while left:
        for descriptor, _ in poll.poll():
            entry = left[descriptor]
            entry[1] += entry[0].send(data[entry[1] : entry[1] + CHUNK])
            if entry[1] == expected:
                poll.unregister(descriptor)
                del left[descriptor]


def transfer(clients, expected, senders):
    """Seconds for the bare bytes, sent by `senders` processes."""
    listeners, children, sockets = [], [], []
    waiting, start = os.pipe()
    for number in range(senders):
        listener = socket.create_server(("127.0.0.1", 0), backlog=clients)
        child = os.fork()
        if child == 0:
            send_to_all(listener, len(range(number, clients, senders)), expected, waiting)
            os._exit(0)
        listeners.append(listener)
        children.append(child)
    try:
        for i in range(clients):
            sockets.append(socket.create_connection(listeners[i % senders].getsockname()))
        os.write(start, bytes(senders))
        return read_all(sockets, expected)
    finally:
        for each in sockets + listeners:
            each.close()
        for each in (waiting, start):
            os.close(each)
        for child in children:
            os.waitpid(child, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with systems.CanopyNative(options.clients + 10, 2) as cluster:
        fill(cluster, options.keys)
        expected = max(bytes_of_a_join(cluster, each) for each in range(cluster.proxies))
        rounds = []
        for _ in range(options.rounds):
            bare = transfer(options.clients, expected, 2)
            rounds.append((join_all(cluster, options.clients, expected), bare))
            print("joined in {:.2f} s, the bytes alone in {:.2f} s".format(*rounds[-1]), flush=True)
    ratio = statistics.median(joined / bare for joined, bare in rounds)
    print(
        f"{options.clients} clients, {options.keys} keys, {expected * options.clients / 1e6:.0f} MB: "
        f"{ratio:.2f} times the bytes alone"
    )


if __name__ == "__main__":
    main()
