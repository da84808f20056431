"""Every connection that a process closes for cause is counted by reason and logged; a peer of ZMTP
2.0 is not closed for being one."""

import socket
import time

import pytest
import zmq

from clone import make_socket
from clusterfile import DIALECTS, proxy, shard
from waiting import eventually, seconds


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster([shard("s1", "*")], [proxy("p1")])


def closed(cluster, name, reason):
    return cluster.metrics(name).sum("canopy_connections_closed_total", reason=reason)


def listeners(cluster):
    """(process, endpoint, type of a peer, bytes above the limit) of every socket that reads."""
    megabyte = 1_000_000
    yield "p1", cluster.native("p1"), zmq.DEALER, 5 * megabyte
    for dialect in DIALECTS:
        snapshot, updates, collector = cluster.triple("p1", dialect)
        yield "p1", snapshot, zmq.DEALER, 5 * megabyte
        yield "p1", updates, zmq.XSUB, 5 * megabyte
        yield "p1", collector, zmq.PUB if dialect == "chp" else zmq.PUSH, 5 * megabyte
    yield "s1", cluster.member("s1")["requests"], zmq.DEALER, 18 * megabyte
    yield "broker", cluster.broker_endpoint, zmq.DEALER, 18 * megabyte


def test_a_frame_above_the_limit_is_counted(cluster, context):
    for name, endpoint, kind, size in listeners(cluster):
        before = closed(cluster, name, "frame_too_large")
        peer = make_socket(context, zmq.XPUB if kind == zmq.PUB else kind)
        ended = peer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        peer.connect(endpoint)
        if kind == zmq.PUB:
            assert peer.poll(seconds(10) * 1000), "the collector subscribes"
            peer.recv()
        peer.send(b"x" * size)
        assert ended.poll(seconds(10) * 1000), f"{name} {endpoint} closes the connection"
        eventually(
            lambda: closed(cluster, name, "frame_too_large") > before, f"{name} {endpoint} counts"
        )
        peer.disable_monitor()
        peer.close()
    text = "".join(text for _, text in cluster.logs())
    assert "connection closed" in text and "frame_too_large" in text


def test_a_handshake_that_fails_is_counted(cluster):
    for name, endpoint, *_ in listeners(cluster):
        before = closed(cluster, name, "handshake")
        with socket.create_connection(("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        eventually(lambda: closed(cluster, name, "handshake") > before, f"{name} {endpoint} counts")


SUB, DEALER = 2, 5


class OldPeer:
    """As of libzmq 3.2: ZMTP 2.0, without a mechanism."""

    def __init__(self, endpoint, kind):
        self.peer = socket.create_connection(("127.0.0.1", int(endpoint.rsplit(":", 1)[1])))
        self.peer.settimeout(seconds(10))
        self.peer.sendall(b"\xff" + bytes(8) + b"\x7f\x01" + bytes([kind]))  # revision 1
        self.peer.sendall(b"\x00\x00")  # no identity
        self.heard = b""

    def send(self, *frames):
        for i, frame in enumerate(frames):
            self.peer.sendall(bytes([i + 1 < len(frames), len(frame)]) + frame)

    def wait_for(self, text):
        while text not in self.heard:
            more = self.peer.recv(65536)
            assert more, "the proxy closed the connection"
            self.heard += more


def test_an_old_peer_stays(cluster, flock):
    """For more than the three seconds that other peers have for their handshake."""
    triple = cluster.triple("p1", "kvsimple")
    writer = flock.writer("kvsimple", triple)
    old = OldPeer(triple[1], SUB)
    old.send(b"\x01/old/")

    def served():
        writer.put(b"/old/first", b"here")
        old.peer.settimeout(0.2)
        try:
            old.wait_for(b"/old/first")
        except TimeoutError:
            return False
        return True

    eventually(served, "it is served")
    time.sleep(4)
    old.peer.settimeout(seconds(10))
    writer.put(b"/old/second", b"still here")
    old.wait_for(b"/old/second")
    asker = OldPeer(triple[0], DEALER)
    for _ in range(2):
        asker.heard = b""
        asker.send(b"ICANHAZ?", b"/old/")
        asker.wait_for(b"KTHXBAI")
        assert b"still here" in asker.heard
    for each in (old, asker):
        each.peer.close()
