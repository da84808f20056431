"""Every connection that a process closes for cause is counted by reason and logged; a peer of ZMTP
2.0 is not closed for being one. Meanwhile the others are told everything, and afterwards nothing
spins."""

import contextlib
import itertools
import socket
import time

import pytest
import zmq

from tests.harness.clone import make_socket
from tests.harness.clusterfile import DIALECTS, proxy, shard
from tests.harness.procfs import cpu_share, open_fds
from tests.harness.promises import WriteLoad, check_unbroken
from tests.harness.waiting import DURATION, SLOW, eventually, seconds
from tests.harness.zmtp import ZMTP_2, ZMTP_3, BareSocket, frame, greeting, handshake, port_of, ready

HANDSHAKE = 10  # seconds, of every listener


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster([shard("s1", "*")], [proxy("p1")])


numbers = itertools.count(1)


@contextlib.contextmanager
def bystanders(cluster, clones):
    """Clients of each dialect under load: exact at the end. Then every process is idle."""
    place = b"/bystanders-%d/" % next(numbers)
    clients = [clones.join(each, cluster.triple("p1", each), place) for each in DIALECTS]
    writer = clones.writer("kvmsg", cluster.triple("p1", "kvmsg"))
    before = {name: cluster.process(name) for name in (*cluster.names, "broker")}
    with clones.background(), WriteLoad(writer, [place + b"k"], rate=200) as load:
        yield
    clones.agree(load.map, clients)
    check_unbroken(*clients)
    assert {name: cluster.process(name) for name in before} == before
    for name, process in before.items():
        assert cpu_share(process.pid, 0.5) < 0.1 * SLOW, f"{name} spins"


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
        with socket.create_connection(("127.0.0.1", port_of(endpoint))) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        eventually(lambda: closed(cluster, name, "handshake") > before, f"{name} {endpoint} counts")


def refused_greetings():
    """(what, bytes) that end a connection at once."""
    yield "an endless identity of ZMTP 1.0", b"\xff" + b"\x7f" * 100_000
    yield "a greeting of 100,000 bytes", greeting() + bytes(100_000)
    yield "a READY of 5,000 bytes", greeting() + frame(b"\5READY" + bytes(5000), 4)
    yield "a READY of 2^62 bytes", greeting() + b"\6" + b"\x3f" + b"\xff" * 7
    yield "a READY that says less than it has", greeting() + frame(b"\5READY\x0bSocket", 4)
    yield "a message in place of READY", greeting() + frame(b"other")
    yield "a socket of an unknown type", greeting() + ready("SHOUT")
    yield "a routing id of 300 bytes", handshake("DEALER", routing_id=b"i" * 300)
    yield "a routing id of 2^62 bytes, of ZMTP 2.0", handshake("DEALER", ZMTP_2)[:12] + b"\2\x3f" + b"\xff" * 7
    yield "another mechanism", greeting(mechanism=b"PLAIN") + ready("DEALER")


def test_greetings_that_are_refused(cluster, clones):
    with bystanders(cluster, clones):
        for name, endpoint, *_ in listeners(cluster):
            before, count = closed(cluster, name, "handshake"), 0
            for count, (what, data) in enumerate(refused_greetings(), 1):
                with socket.create_connection(("127.0.0.1", port_of(endpoint))) as peer:
                    peer.settimeout(seconds(5))
                    with contextlib.suppress(ConnectionError):
                        peer.sendall(data)
                        while peer.recv(1000):
                            pass
            eventually(
                lambda: closed(cluster, name, "handshake") == before + count,
                f"{name} {endpoint} counts {count}",
            )


def test_a_handshake_of_single_bytes_is_served(cluster):
    for version, (name, endpoint, kind, _) in itertools.product((ZMTP_2, ZMTP_3), listeners(cluster)):
        kind = {zmq.DEALER: "DEALER", zmq.XSUB: "SUB", zmq.PUB: "PUB", zmq.PUSH: "PUSH"}[kind]
        with socket.create_connection(("127.0.0.1", port_of(endpoint))) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in handshake(kind, version) + (frame(b"\1/x") if kind == "SUB" else b""):
                peer.sendall(bytes([byte]))
            peer.settimeout(seconds(5))
            heard = b""
            while not (b"READY" in heard or version == ZMTP_2 and len(heard) >= 14):
                heard += peer.recv(1000)
                assert heard, f"{name} {endpoint} is closed"


def test_idle_peers_are_counted(start_cluster, clones):
    """Waves of peers that say nothing, half a greeting, or a byte now and then."""
    waves, size = max(1, int(DURATION / 10)), 2000 if DURATION < 10 else 5000
    cluster = start_cluster(
        [shard("s1", "*")], [proxy("p1", max_clients=6000, nofile=19_000)], coordination={"lease_ms": 10_000}
    )
    usual = open_fds(cluster.process("p1").pid)
    with bystanders(cluster, clones):
        for _ in range(waves):
            run_wave(cluster, size)
    eventually(lambda: open_fds(cluster.process("p1").pid) < usual + 40, "all are gone", 5)


def run_wave(cluster, size):
    targets = [(name, port_of(endpoint)) for name, endpoint, *_ in listeners(cluster)]
    before = {name: closed(cluster, name, "handshake") for name, _ in targets}
    expected = dict.fromkeys(before, 0)
    peers, slow = [], []
    for number in range(size):
        # The first listeners are the proxy's; the others get one of ten.
        name, port = targets[number % len(targets) if number % 10 == 0 else number % 10]
        peers.append(socket.create_connection(("127.0.0.1", port)))
        expected[name] += 1
        if number % 3 == 1:
            peers[-1].sendall(greeting()[:20])
        elif number % 100 == 2:
            slow.append(peers[-1])
    started = time.monotonic()
    newcomer = BareSocket(cluster.triple("p1", "kvmsg")[0], "DEALER")
    newcomer.send(b"ICANHAZ?", b"/none/")
    assert newcomer.receive(seconds(5))[0] == b"KTHXBAI"
    newcomer.close()

    def all_counted():
        with contextlib.suppress(ConnectionError):
            for each in slow:
                each.sendall(greeting()[:1])
        return all(closed(cluster, name, "handshake") - before[name] == expected[name] for name in before)

    eventually(all_counted, f"each of {expected} is counted", HANDSHAKE + 5, every=0.5)
    assert time.monotonic() - started > HANDSHAKE - 2
    for each in peers:
        each.close()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_100_000_subscriptions(cluster, clones, dialect):
    """So many are served; a connection with more is closed. Nobody waits for it."""
    endpoint = cluster.triple("p1", dialect)[1]
    writer = clones.writer(dialect, cluster.triple("p1", dialect))
    before = closed(cluster, "p1", "too_many_subscriptions")
    with bystanders(cluster, clones):
        greedy = BareSocket(endpoint, "SUB", ZMTP_3)
        for first in range(0, 100_000, 1000):
            topics = (b"\1/many/%d/" % number for number in range(first, first + 1000))
            greedy.peer.sendall(b"".join(frame(topic) for topic in topics))

        def served():
            writer.put(b"/many/99999/k", b"v")
            return greedy.receive(0.1)

        assert eventually(served, "the last of them is served")[0] == b"/many/99999/k"
        greedy.subscribe(b"/many/77/")
        greedy.subscribe(b"/one/more/")
        assert greedy.ended(5)
        greedy.close()
    assert closed(cluster, "p1", "too_many_subscriptions") == before + 1


def test_an_old_peer_stays(cluster, clones):
    """For more than the time that peers have for their handshake."""
    triple = cluster.triple("p1", "kvsimple")
    writer = clones.writer("kvsimple", triple)
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
