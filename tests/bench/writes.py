"""Measures one client's acknowledged writes of 100 bytes: rate and latency with 1 to 4,096 in flight. Compares Canopy,
with each durability of a partition, with redis, NATS JetStream and etcd, round by round.

    python3 -m tests.bench.writes [--seconds N] [--rounds N] [--systems NAME…] [--windows N…]
"""

import argparse
import base64
import collections
import http.client
import json
import socket
import statistics
import subprocess
import sys
import time

from tests.bench import systems

WINDOWS = [1, 16, 64, 256, 1024, 4096]


class Cluster(systems.CanopyNative):
    settings_of_partition = "durability: memory"
    shards = 1

    def layout(self, broker):
        lines = super().layout(broker).splitlines()
        shard = next(i for i, line in enumerate(lines) if "partitions:" in line)
        names = [f"s{i + 1}" for i in range(self.shards)]
        lines[shard : shard + 1] = [f"  - {{name: {name}, nofile: {systems.NOFILE}}}" for name in names]
        lines += ["partitions:", f"  - {{subtree: '*', on: [{', '.join(names)}], {self.settings_of_partition}}}"]
        return "\n".join(lines) + "\n"

    def measure(self, seconds, windows):
        endpoint = f"tcp://127.0.0.1:{self.subscribe_ports[0]}"
        return output_of("bench-writes", endpoint, seconds, *windows)


class Interval(Cluster):
    settings_of_partition = "durability: disk, sync: interval"


class Disk(Cluster):
    settings_of_partition = "durability: disk"


class TwoInMemory(Cluster):
    shards = 2


class TwoOnDisk(Disk):
    shards = 2


class Redis(systems.Server):
    executable, fsync = "redis-server", None

    def launch(self):
        port = systems.ports.claim()
        durability = ["--appendonly", "yes", "--appendfsync", self.fsync] if self.fsync else []
        self.spawn_on(
            port, self.executable, "--bind", "127.0.0.1", "--port", port, "--save", "",
            "--dir", self.directory, *durability,
        )

    def measure(self, seconds, windows):
        return output_of("bench-peer-writes", "redis", self.publish_ports[0], seconds, *windows)


class RedisEverySecond(Redis):
    fsync = "everysec"


class RedisAlways(Redis):
    fsync = "always"


class JetStream(systems.Nats):
    """A stream like that of a key-value bucket: it keeps the last value of each subject."""

    storage = "file"

    def launch(self):
        port = systems.ports.claim()
        store = ["-js", "-sd", self.directory]
        self.spawn_on(port, self.executable, "-a", "127.0.0.1", "-p", port, *store)
        self.make_stream(port)

    def make_stream(self, port):
        settings = {
            "name": "S", "subjects": ["w.*"], "storage": self.storage, "max_msgs_per_subject": 1,
            "discard": "new", "allow_rollup_hdrs": True, "deny_delete": True,
        }
        stream = json.dumps(settings).encode()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(10)
            connection.recv(65536)  # INFO
            connection.sendall(b'CONNECT {"verbose":false}\r\nSUB i 1\r\n')
            connection.sendall(b"PUB $JS.API.STREAM.CREATE.S i %d\r\n%s\r\n" % (len(stream), stream))
            answer = b""
            while b"MSG" not in answer or not answer.endswith(b"}\r\n"):
                answer += connection.recv(65536)
            if b'"error"' in answer:
                raise systems.Failed(f"JetStream made no stream: {answer}")

    def measure(self, seconds, windows):
        return output_of("bench-peer-writes", "nats", self.publish_ports[0], seconds, *windows)


class JetStreamInMemory(JetStream):
    storage = "memory"


class Etcd(systems.Server):
    """One put at a time, by its JSON gateway: more in flight would measure the client."""

    executable = "etcd"

    def launch(self):
        port, peer = systems.ports.claim(), systems.ports.claim()
        client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
        self.spawn_on(
            port, "etcd", "--data-dir", self.directory / "data", "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
        )

    def measure(self, seconds, windows):
        connection = http.client.HTTPConnection("127.0.0.1", self.publish_ports[0])
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        value = base64.b64encode(b"x" * 100).decode()
        took = []
        began = time.perf_counter()
        while time.perf_counter() < began + seconds:
            key = base64.b64encode(b"/writes/%d" % (len(took) % 1000)).decode()
            sent = time.perf_counter()
            connection.request("POST", "/v3/kv/put", json.dumps({"key": key, "value": value}))
            connection.getresponse().read()
            took.append((time.perf_counter() - sent) * 1000)
        took.sort()
        return [{
            "window": 1, "writes_per_second": len(took) / seconds,
            "p50_ms": statistics.median(took), "p99_ms": took[len(took) * 99 // 100],
        }]


SYSTEMS = {
    "memory": Cluster,
    "disk-interval": Interval,
    "disk": Disk,
    "memory-2": TwoInMemory,
    "disk-2": TwoOnDisk,
    "redis": Redis,
    "redis-everysec": RedisEverySecond,
    "redis-always": RedisAlways,
    "jetstream": JetStream,
    "jetstream-memory": JetStreamInMemory,
    "etcd": Etcd,
}


def output_of(program, *arguments):
    command = [systems.BENCH_BIN / program, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0:
        print(f"{program} ended with {done.returncode}", file=sys.stderr)
    return lines


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--windows", nargs="+", type=int, default=WINDOWS)
    options = parser.parse_args(arguments)
    found = collections.defaultdict(list)
    for _ in range(options.rounds):
        for name in options.systems:
            with SYSTEMS[name](1, 1) as server:
                for line in server.measure(options.seconds, options.windows):
                    found[name, line["window"]].append(line)
    for name in options.systems:
        for window in options.windows:
            lines = found.get((name, window))
            if lines:
                median = {key: statistics.median(each[key] for each in lines) for key in lines[0]}
                print(
                    f"{name:16} window {window:5}  {median['writes_per_second']:9,.0f}/s"
                    f"  p50 {median['p50_ms']:7.3f}  p99 {median['p99_ms']:7.3f} ms"
                )


if __name__ == "__main__":
    main(sys.argv[1:])
