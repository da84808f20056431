"""Every connection that a process closes for cause is counted by reason and logged; a peer of ZMTP
2.0 is not closed for being one."""

import socket
import time

import pytest
import zmq

from clone import make_socket
from clusterfile import DIALECTS, proxy, shard
from waiting import eventually, seconds
from zmtp import ZMTP_2, BareSocket

HANDSHAKE = 10  # seconds, of every listener


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


def test_an_old_peer_stays(cluster, flock):
    """For more than the time that peers have for their handshake."""
    triple = cluster.triple("p1", "kvsimple")
    writer = flock.writer("kvsimple", triple)
    old = BareSocket(triple[1], "SUB", ZMTP_2)
    old.subscribe(b"/old/")

    def served():
        writer.put(b"/old/first", b"here")
        return old.receive(0.2)

    eventually(served, "it is served")
    time.sleep(HANDSHAKE + 1)
    writer.put(b"/old/second", b"still here")
    while (frames := old.receive(seconds(10)))[0] != b"/old/second":
        assert frames[0] == b"/old/first"
    old.close()
