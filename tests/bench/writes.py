#!/usr/bin/python3
"""Acknowledged writes of one client: how many a second with 1 to 4,096 under way, kept in memory and on disk; beside
NATS JetStream with one publish at a time (memory storage).

    writes.py [SECONDS]      of each window; 2 if not given
"""

import socket
import statistics
import subprocess
import sys
import time

import systems

WINDOWS = [1, 16, 64, 256, 1024, 4096]
PUBLISHES = 5000


class Cluster(systems.CanopyNative):
    durability = "memory"

    def layout(self, broker):
        return super().layout(broker).replace("durability: memory", f"durability: {self.durability}")


class OnDisk(Cluster):
    durability = "disk"


class JetStream(systems.Nats):
    def launch(self):
        port = systems.ports.take()
        store = ["-js", "-sd", self.directory]
        self.spawn_on(port, self.executable, "-a", "127.0.0.1", "-p", port, *store)


def jetstream_ms(port):
    """How long each publish took until it was acknowledged, over a bare connection."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer():
        data = b""
        while b"MSG" not in data or not data.endswith(b"}\r\n"):
            data += connection.recv(65536)
        return data

    connection.recv(65536)  # INFO
    stream = b'{"name":"S","subjects":["w"],"storage":"memory"}'
    connection.sendall(b'CONNECT {"verbose":false}\r\nSUB i 1\r\n')
    connection.sendall(b"PUB $JS.API.STREAM.CREATE.S i %d\r\n%s\r\n" % (len(stream), stream))
    if b'"error"' in answer():
        raise systems.Failed("JetStream made no stream")
    publish = b"PUB w i 100\r\n" + b"x" * 100 + b"\r\n"
    took = []
    for _ in range(PUBLISHES):
        began = time.perf_counter()
        connection.sendall(publish)
        answer()
        took.append((time.perf_counter() - began) * 1000)
    return took


def main(seconds="2"):
    for kind in (Cluster, OnDisk):
        with kind(1, 2) as cluster:
            print(f"canopy, {kind.durability}:", flush=True)
            endpoint = f"tcp://127.0.0.1:{cluster.subscribe_ports[0]}"
            program = systems.BENCH_BIN / "bench-writes"
            subprocess.run([program, endpoint, seconds, *map(str, WINDOWS)], check=True)
    with JetStream(1, 1) as server:
        took = jetstream_ms(server.publish_ports[0])
        print(f'nats, JetStream:\n{{"window": 1, "p50_ms": {statistics.median(took):.4f}}}')


if __name__ == "__main__":
    main(*sys.argv[1:])
