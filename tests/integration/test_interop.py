"""Peers of every kind under load, each as subscriber, requester and writer: libzmq, plain and with
CURVE, and hand-made ones of ZMTP 2.0, 3.0 and 3.1. JeroMQ is in test_clone_peers.py."""

import contextlib
import itertools
import random
import time

import pytest
import zmq

from tests.harness.clone import make_client, make_socket
from tests.harness.clones import Clones
from tests.harness.clusterfile import DIALECTS, proxy, shard
from tests.harness.keyring import Keyring
from tests.harness.native import Requests
from tests.harness.native import Writer as NativeWriter
from tests.harness.native_watcher import Watcher, check_promises
from tests.harness.promises import WriteLoad, check_filtered, check_unbroken
from tests.harness.waiting import DURATION, eventually, seconds
from tests.harness.zmtp import VERSIONS, BareClient, BareSocket

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", "/results/"), shard("rest", "*")], [proxy("p1"), proxy("p2")]
    )


def places():
    """A subtree in each of two partitions that no other test writes to."""
    number = next(numbers)
    return [b"/results/interop-%d/" % number, b"/interop-%d/" % number]


def keys_of(name, where):
    return [place + name + b"-%d" % i for place in where for i in range(5)]


@contextlib.contextmanager
def load(writers, where, rate=200):
    """Each writes to keys of its own; gives the function that says what all must hold then."""
    loads = [
        WriteLoad(writer, keys_of(b"%d" % i, where), rate) for i, writer in enumerate(writers)
    ]
    with contextlib.ExitStack() as stack:
        for each in loads:
            stack.enter_context(each)
        yield lambda: {key: value for each in loads for key, value in each.map.items()}


def within(place, entries):
    return {key: value for key, value in entries.items() if key.startswith(place)}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda each: "%d.%d" % each)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_hand_made_peer(cluster, clones, dialect, version):
    """It writes and is told what it and others write, each update once and in order."""
    triple, where = cluster.triple("p1", dialect), places()
    libzmq = [clones.join(dialect, cluster.triple("p2", dialect), place) for place in where]
    bare_writer = BareClient(dialect, triple, where[0], version)
    joiners = []
    with load([clones.writer(dialect, triple), bare_writer], where) as expected:
        deadline = time.monotonic() + DURATION
        while time.monotonic() < deadline:
            for place in where:
                joiners.append(clones.add(BareClient(dialect, triple, place, version)))
            clones.run(lambda: all(each.active for each in joiners), "they get their snapshots")
            clones.run(lambda: all(len(each.live) > 20 for each in joiners[-2:]), "and updates")
            for each in joiners[:-8]:
                check_unbroken(each)
                clones.leave(each)
            joiners = joiners[-8:]
    for each in joiners + libzmq:
        clones.agree(within(each.prefix, expected()), [each])
        check_filtered(each.prefix, each)
    check_unbroken(*joiners)
    check_unbroken(*libzmq)
    bare_writer.close()


@pytest.mark.parametrize("kind", ["updates", "snapshot", "native"])
def test_ping_is_answered_in_the_middle_of_all_else(cluster, clones, kind):
    triple, (place, _) = cluster.triple("p1", "kvmsg"), places()
    writer = clones.writer("kvmsg", triple)
    if kind == "updates":
        peer = BareSocket(triple[1], "SUB")
        peer.subscribe(place)
    else:
        peer = BareSocket(triple[0] if kind == "snapshot" else cluster.native("p1"), "DEALER")
    contexts = [b"", b"x", b"sixteen bytes ok"]
    with load([writer], [place], rate=1000):
        for round_number in range(50):
            for each in contexts:
                peer.ping(each)
            if kind == "snapshot":
                peer.send(b"ICANHAZ?", place)

            def answered():
                while peer.receive(0):
                    pass
                return len(peer.commands) >= 3 * (round_number + 1)

            eventually(answered, "three answers", every=0.001)
    assert peer.commands == [(b"PONG", each) for each in contexts] * 50
    peer.close()


def subscriptions(cluster, context, dialect):
    """What the proxy says of its updates connections, by what they subscribe to."""
    requests = Requests(context, cluster.native("p1"))
    found = [each for each in requests.clients() if each.protocol == f"{dialect} updates"]
    requests.close()
    return found


def received(subscriber, place, duration=0.4):
    """How many updates of the subtree it is told within a while."""
    count, deadline = 0, time.monotonic() + seconds(duration)
    while (left := deadline - time.monotonic()) > 0:
        if isinstance(subscriber, BareSocket):
            frames = subscriber.receive(left)
        else:
            frames = subscriber.recv_multipart() if subscriber.poll(left * 1000) else None
        count += bool(frames) and frames[0].startswith(place)
    return count


@pytest.mark.parametrize("peer", ["SUB", "XSUB", *VERSIONS], ids=str)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_overlapping_repeated_and_cancelled_subscriptions(cluster, clones, context, dialect, peer):
    triple, (place, _) = cluster.triple("p1", dialect), places()
    if isinstance(peer, tuple):
        subscriber = BareSocket(triple[1], "SUB", peer)
        begin, end = subscriber.subscribe, subscriber.cancel
    else:
        subscriber = make_socket(context, getattr(zmq, peer), triple[1])
        if peer == "SUB":
            begin, end = subscriber.subscribe, subscriber.unsubscribe
        else:
            begin = lambda prefix: subscriber.send(b"\1" + prefix)
            end = lambda prefix: subscriber.send(b"\0" + prefix)
    topics = [place, place + b"0", place[:-3], place, place + b"0-1", place]
    with load([clones.writer(dialect, cluster.triple("p2", dialect))], [place], rate=400):
        end(place)  # of what is not begun
        for topic in topics:
            begin(topic)
        assert received(subscriber, place) > 20
        seen = []
        deadline = time.monotonic() + seconds(0.5)
        while time.monotonic() < deadline:
            if isinstance(subscriber, BareSocket):
                frames = subscriber.receive(0.1)
            else:
                frames = subscriber.recv_multipart() if subscriber.poll(100) else None
            if frames and frames[0].startswith(place):
                seen.append((frames[0], frames[-1]))
        # The subscriptions' catch-ups are over: each update comes once.
        assert len(seen) > 20 and len(seen) == len(set(seen))
        # A peer that keeps count itself, as libzmq does, cancels with the last; others at once.
        for _ in range(3 if isinstance(peer, str) else 1):
            end(place)
        end(place[:-3])
        eventually(
            lambda: received(subscriber, place) > 0 and not received(subscriber, place + b"1"),
            "nothing but what is still subscribed to",
        )

        def shown():
            found = [each for each in subscriptions(cluster, context, dialect) if each.subscriptions]
            return [each.subscriptions for each in found]

        kept = sorted(each.decode() for each in (place + b"0", place + b"0-1"))
        eventually(lambda: kept in [sorted(each) for each in shown()], f"{kept}: {shown()}", 3)
        end(place + b"0")
        end(place + b"0-1")
        gone = kept[0]
        eventually(lambda: not any(gone in each for each in shown()), "none is left", 3)
        received(subscriber, place)
        assert received(subscriber, place) == 0
    subscriber.close()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_req_is_refused_and_counted(cluster, clones, context, dialect):
    """Its envelope is no part of the Clone protocol, and it could take one reply only."""
    triple, where = cluster.triple("p1", dialect), places()

    def refused():
        return cluster.metrics("p1").sum("canopy_rejected_total", reason="bad_request")

    with load([clones.writer(dialect, triple)], where) as expected:
        before = refused()
        requesters = [make_socket(context, zmq.REQ, triple[0]) for _ in range(5)]
        for each in requesters:
            each.send_multipart([b"ICANHAZ?", where[0]])
        eventually(lambda: refused() == before + 5, "each is counted")
        client = clones.join(dialect, triple, where[0])
        assert not any(each.poll(0) for each in requesters)
        bare = BareSocket(triple[0], "REQ")
        for request in ([b"", b"ICANHAZ?", where[0]], [b"ICANHAZ?", where[0]]):
            bare.send(*request)
        answer = bare.receive()
        assert len(answer) in (3, 5), "of ROUTER and REQ alike, the frames decide"
    clones.agree(within(where[0], expected()), [client])
    for each in (*requesters, bare):
        each.close()


# -- CURVE ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq has no CURVE")
def test_curve_with_libzmq_both_ways(start_cluster, tmp_path):
    """Clients and shards' links are encrypted by libzmq, listeners by Canopy: all peers at once, with
    values that fill one frame, many, and none."""
    keys = Keyring(tmp_path)
    security = keys.security(ops={"read": ["*"], "write": ["*"], "admin": True})
    cluster = start_cluster(
        [shard("s1", "/results/"), shard("rest", "*")], [proxy("p1"), proxy("p2")], security=security
    )
    context = keys.context("ops")
    clones, where = Clones(context), places()
    try:
        clients = [clones.join(each, cluster.triple("p1", each), where[0]) for each in DIALECTS]
        watcher = clones.add(Watcher(context, [cluster.native("p2")]))
        writers = [clones.writer(each, cluster.triple("p2", each)) for each in DIALECTS]
        native = NativeWriter(context, cluster.native("p1"))
        late = []
        with load([*writers, native], where, rate=100) as expected:
            deadline = time.monotonic() + DURATION
            while time.monotonic() < deadline:
                for each in DIALECTS:
                    triple = cluster.triple(random.choice(["p1", "p2"]), each)
                    late.append(clones.add(make_client(context, each, triple, where[1])))
                clones.run(lambda: all(each.active for each in late), "late ones join")
                for each in late[:-6]:
                    clones.leave(each)
                late = late[-6:]
        large = {where[0] + b"large-%d" % size: b"x" * size for size in (0, 255, 256, 65_536, 1 << 20)}
        for key, value in large.items():
            native.put(key, value)
        clones.agree({**expected(), **large}, [watcher])
        large.pop(where[0] + b"large-0")  # an empty value is none to Clone clients
        for each in clients:
            clones.agree({**within(where[0], expected()), **large}, [each])
        for each in late:
            clones.agree(within(where[1], expected()), [each])
        check_promises(watcher)
        check_unbroken(*late)
        for name in ("p1", "p2", "s1", "rest"):
            assert cluster.metrics(name).sum("canopy_connections_closed_total") == 0
        native.close()
    finally:
        clones.close()
        context.destroy(linger=0)
