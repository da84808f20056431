"""Malformed messages are counted under their reason; nothing dies and no other client notices."""

import itertools

import pytest
import zmq

from tests.harness import hostile
from tests.harness.clone import make_socket
from tests.harness.clusterfile import DIALECTS, proxy, shard
from tests.harness.promises import WriteLoad, check_unbroken
from tests.harness.zmtp import ZMTP_3, BareSocket

BYSTANDER = b"/results/bystander-"
numbers = itertools.count()


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", "/bad/", "/results/"), shard("rest", "*")], [proxy("p1"), proxy("p2")]
    )


@pytest.fixture
def bystanders(cluster, clones):
    """Clients of every dialect on the proxy that is troubled, and a writer; all pids stay."""
    before = {name: cluster.process(name) for name in cluster.names + ["broker"]}
    place = BYSTANDER + b"%d/" % next(numbers)
    clients = [clones.join(each, cluster.triple("p1", each), place) for each in DIALECTS]
    writer = clones.writer("kvmsg", cluster.triple("p1", "kvmsg"))
    with WriteLoad(writer, [place + b"k"], rate=100) as load:
        clones.run(lambda: all(each.map for each in clients), "the bystanders hear the writer")
        yield clients
    writer.delete(place + b"k")
    clones.run(lambda: not any(each.map for each in clients), "the bystanders got everything")
    for each in clients:
        each.history.pop()  # the delete
        assert int(each.history[-1].value) == load.counters[place + b"k"]
    check_unbroken(*clients)
    assert {name: cluster.process(name) for name in before} == before, "a process was replaced"


def rejected(cluster, reason=None):
    labels = {"reason": reason} if reason else {}
    return cluster.metrics("p1").sum("canopy_rejected_total", **labels)


def collector(context, cluster, dialect):
    kind = zmq.XPUB if dialect == "chp" else zmq.PUSH
    socket = make_socket(context, kind, cluster.triple("p1", dialect)[2], sndtimeo=10_000)
    if dialect == "chp":
        assert socket.poll(10_000) and socket.recv() == b"\x01"
    return socket


@pytest.mark.parametrize("dialect", DIALECTS)
def test_malformed_updates(cluster, clones, context, bystanders, dialect):
    socket = collector(context, cluster, dialect)
    watcher = clones.join(dialect, cluster.triple("p2", dialect), b"")
    wrong = []
    for what, frames, reason in hostile.updates(dialect):
        before = rejected(cluster, reason)
        socket.send_multipart(frames)
        try:
            clones.run(lambda: rejected(cluster, reason) > before, what, 3)
        except AssertionError:
            wrong.append(f"{what}: not counted as {reason}")
        if rejected(cluster, reason) > before + 1:
            wrong.append(f"{what}: counted more than once")
    assert not wrong, "\n".join(wrong)
    strays = {u.key for u in watcher.live if not u.key.startswith(BYSTANDER)}
    assert not strays, f"malformed updates were passed on: {strays}"
    # The same connection is still good for a sound update.
    sound = [b"/bad/sound", bytes(8), b"v"]
    socket.send_multipart(sound if dialect == "kvsimple" else sound[:2] + [b"", b"", b"v"])
    clones.run(lambda: watcher.map.pop(b"/bad/sound", None), "a sound update is passed on")
    assert not watcher.faults


@pytest.mark.parametrize("dialect", DIALECTS)
def test_odd_metadata_costs_no_update(cluster, clones, context, dialect):
    socket = collector(context, cluster, dialect)
    place = b"/bad/metadata-%d/" % next(numbers)
    watcher = clones.join(dialect, cluster.triple("p2", dialect), place)
    before = cluster.metrics("p1")
    expected, ignored = {}, {}
    for number, uuid, properties, reason in (row[1:] for row in hostile.metadata(dialect)):
        key, value = place + b"%d" % len(expected), b"v%d" % len(expected)
        full = [key, number, uuid, properties, value]
        socket.send_multipart([key, number, value] if dialect == "kvsimple" else full)
        expected[key] = value
        if reason:
            ignored[reason] = ignored.get(reason, 0) + 1
    clones.agree(expected, [watcher])
    late = clones.join(dialect, cluster.triple("p1", dialect), place)
    assert late.map == expected and not late.faults and not watcher.faults
    after = cluster.metrics("p1")
    name = "canopy_ignored_metadata_total"
    for reason in ("ttl_malformed", "uuid_too_long", "properties_too_long"):
        grown = after.sum(name, reason=reason) - before.sum(name, reason=reason)
        assert grown == ignored.get(reason, 0), reason


@pytest.mark.parametrize("dialect", DIALECTS)
def test_malformed_requests(cluster, clones, context, bystanders, dialect):
    wrong = []
    snapshot, updates, _ = cluster.triple("p1", dialect)
    for what, frames in hostile.requests():
        socket = make_socket(context, zmq.DEALER, snapshot)
        subscriber = make_socket(context, zmq.SUB, updates, subscribe=b"/bad/empty/")
        before = rejected(cluster)
        socket.send_multipart(frames)
        try:
            clones.run(lambda: rejected(cluster) > before, what, 3)
        except AssertionError:
            wrong.append(f"{what}: not counted")
        socket.send_multipart([b"ICANHAZ?", b"/bad/empty/"])
        answer = []
        clones.run(lambda: socket.poll(0), f"a good request is answered after {what}", 5)
        while socket.poll(0):
            answer = socket.recv_multipart()
        if answer[0] != b"KTHXBAI":
            wrong.append(f"{what}: then {answer!r:.100}")
        socket.close()
        subscriber.close()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_ends_of_what_was_not_begun(cluster, clones, context, bystanders, dialect):
    """A client that ends subscriptions of another client takes nothing from it."""
    bystander = bystanders[DIALECTS.index(dialect)]
    raw = BareSocket(cluster.triple("p1", dialect)[1], "SUB", ZMTP_3)
    for _ in range(20):
        raw.cancel(bystander.prefix)
    received = len(bystander.history)
    clones.run(lambda: len(bystander.history) > received + 50, "the bystander is told on")
    raw.close()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_odd_subscriptions_and_other_socket_types(cluster, clones, context, bystanders, dialect):
    snapshot, updates, incoming = cluster.triple("p1", dialect)
    # What an XSUB may send to an XPUB that is no subscription.
    xsub = make_socket(context, zmq.XSUB, updates)
    for frames in ([b""], [b"\x02x"], [b"other"], [b"\x01"], [b"\x00"], [b"\x00never"]):
        xsub.send_multipart(frames)
    xsub.send(b"\x01" + b"t" * 100_000)
    xsub.send_multipart([b"\x01a", b"more", b"frames"])
    for i in range(1000):
        xsub.send(b"\x01/topic/%d" % i)
    # Sockets of a kind that each port does not expect.
    strangers = []
    for endpoint in (snapshot, updates, incoming):
        for kind in (zmq.PAIR, zmq.REQ, zmq.REP, zmq.PUSH, zmq.PULL, zmq.PUB, zmq.SUB, zmq.ROUTER):
            strangers.append(make_socket(context, kind, endpoint))
    clones.run_for(1)
    for each in strangers + [xsub]:
        each.close()
    client = clones.join(dialect, cluster.triple("p1", dialect), b"/bad/fine/")
    client.put(b"/bad/fine/k", b"1")
    clones.agree({b"/bad/fine/k": b"1"}, [client])
    client.delete(b"/bad/fine/k")
    clones.agree({}, [client])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_frames_beyond_any_limit_cut_the_connection(cluster, clones, context, bystanders, dialect):
    endpoint = cluster.triple("p1", dialect)
    huge = b"x" * (5 << 20)
    incoming = collector(context, cluster, dialect)
    incoming.send_multipart([b"/bad/k", bytes(8), huge])
    request = make_socket(context, zmq.DEALER, endpoint[0])
    request.send_multipart([b"ICANHAZ?", huge])
    clones.run_for(1)
    late = clones.join(dialect, endpoint, b"/bad/k")
    assert late.map == {}
    incoming.close()
    request.close()


def test_a_flood_of_requests_is_bounded(cluster, clones, context, bystanders):
    """A peer that asks and asks and reads nothing."""
    greedy = make_socket(context, zmq.DEALER, cluster.triple("p1", "kvmsg")[0], sndtimeo=100)
    for _ in range(20_000):
        try:
            greedy.send_multipart([b"ICANHAZ?", b""])
        except zmq.Again:
            break
    clones.run_for(1)
    fair = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/bad/fair/")
    assert fair.map == {}
    greedy.close()
