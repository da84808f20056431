"""What a listener on the wire sees: tcpdump on the loopback interface."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import urllib.parse

import pytest

from tests.harness.cluster import BIN, die_with_parent, run_program
from tests.harness.clusterfile import HOST, proxy, shard
from tests.harness.keyring import Keyring
from tests.harness.waiting import eventually, seconds

KEY, VALUE = "/recognisable/of-all-keys", "and-a-value-like-no-other"


class Capture:
    """tcpdump of these TCP ports, into a file."""

    def __init__(self, path, ports):
        self.path, self.errors = path, path.with_suffix(".err")
        # Not of the session: what is captured in the order of its sending tells by this that all
        # before it has been captured, too.
        self._end, self._marker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), os.urandom(16)
        self._end.bind((HOST, 0))
        watched = " or ".join(f"tcp port {port}" for port in sorted(ports))
        with open(path, "wb") as out, open(self.errors, "wb") as err:
            self.process = subprocess.Popen(
                ["tcpdump", "-i", "lo", "-n", "-s", "0", "-B", "16384", "-U", "-w", "-"]
                + [f"{watched} or udp port {self._end.getsockname()[1]}"],
                stdout=out,
                stderr=err,
                preexec_fn=die_with_parent,
            )

    def listens(self):
        """Whether it does, once that is known."""
        started = lambda: "listening on" in self.errors.read_text() or self.process.poll() is not None
        eventually(started, "tcpdump listens, or gives up")
        return self.process.poll() is None

    def finish(self):
        """Every byte that went by."""
        self._end.sendto(self._marker, self._end.getsockname())
        eventually(lambda: self._marker in self.path.read_bytes(), "everything is captured")
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(seconds(10)) == 0, self.errors.read_text()
        assert "\n0 packets dropped by kernel" in self.errors.read_text()
        return self.path.read_bytes()

    def close(self):
        self._end.close()
        self.process.kill()
        self.process.wait()


def endpoints(reported):
    """Every tcp:// address in what the topology says."""
    if isinstance(reported, dict):
        reported = list(reported.values())
    if isinstance(reported, list):
        return {each for one in reported for each in endpoints(one)}
    return {reported} if isinstance(reported, str) and reported.startswith("tcp://") else set()


def session(cluster, **variables):
    """Puts, gets and watches the key; the watcher has to be told of it."""
    environment = {**os.environ, "CANOPY_BROKER": cluster.broker_endpoint, **variables}
    with subprocess.Popen(
        [BIN / "canopy", "watch", "/recognisable/"],
        stdout=subprocess.PIPE,
        env=environment,
        preexec_fn=die_with_parent,
        text=True,
    ) as watching:
        put = run_program("canopy", "put", KEY, VALUE, env=environment)
        assert put.returncode == 0, put.stderr
        received = watching.stdout.readline().split()
        assert received == ["PUT", KEY, put.stdout.strip(), VALUE]
        got = run_program("canopy", "get", KEY, env=environment)
        assert got.stdout == VALUE, got
        watching.terminate()


def captured(cluster, path, **variables):
    """What goes over the cluster's ports, to clients and between processes, in one session."""
    ports = {urllib.parse.urlsplit(each).port for each in endpoints(cluster.topology())}
    ports.add(urllib.parse.urlsplit(cluster.broker_endpoint).port)
    with contextlib.closing(Capture(path, ports)) as capture:
        if not capture.listens():
            pytest.skip(f"tcpdump cannot capture: {capture.errors.read_text().strip()}")
        session(cluster, **variables)
        return capture.finish()


@pytest.fixture(autouse=True)
def tcpdump():
    if not shutil.which("tcpdump"):
        pytest.skip("tcpdump is not installed")


def start(start_cluster, **settings):
    return start_cluster([shard("s1", "*")], [proxy("p1", ["native"])], **settings)


def test_without_curve_everything_is_seen(start_cluster, tmp_path):
    """Else the other test could not fail."""
    seen = captured(start(start_cluster), tmp_path / "capture")
    assert KEY.encode() in seen and VALUE.encode() in seen


def test_with_curve_neither_key_nor_value_is_seen(start_cluster, tmp_path):
    keys = Keyring(tmp_path / "keys")
    security = keys.security(alice={"read": ["*"], "write": ["*"]})
    cluster = start(start_cluster, security=security)
    seen = captured(cluster, tmp_path / "capture", **keys.environment("alice"))
    assert b"CURVE" in seen, "a handshake"
    assert KEY.encode() not in seen and VALUE.encode() not in seen
    assert b"recognisable" not in seen, "nor the subtree that is watched"
