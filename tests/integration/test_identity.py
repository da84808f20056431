"""Whatever a connection asks for is its own and ends with it, with security and without: the next
connection with its routing id gets nothing of it."""

import os
import signal
import time

import pytest
import zmq

import native
from clone import make_client, make_socket
from clusterfile import DIALECTS, proxy, shard
from keyring import Keyring
from native import FETCH, WRITE, Refusal, Written, pack, write
from waiting import eventually, seconds

needs_curve = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq has no CURVE")


class Site:
    """A cluster, and a context for each of its two clients: ops may do all, guest read /open/."""

    def __init__(self, cluster, ops, guest):
        self.cluster, self.ops, self.guest = cluster, ops, guest

    def counted(self, name, **labels):
        return self.cluster.metrics("p1").sum(name, **labels)


@pytest.fixture(scope="module", params=["open", pytest.param("guarded", marks=needs_curve)])
def site(request, start_shared_cluster, tmp_path_factory):
    shards, proxies = [shard("s1", "*")], [proxy("p1", max_snapshots=4)]
    if request.param == "open":
        contexts = zmq.Context(), zmq.Context()
        made = Site(start_shared_cluster(shards, proxies), *contexts)
    else:
        keys = Keyring(tmp_path_factory.mktemp("keys"))
        security = keys.security(
            ops={"read": ["*"], "write": ["*"], "admin": True},
            guest={"read": ["/open/"], "write": ["/open/"]},
        )
        contexts = keys.context("ops"), keys.context("guest")
        made = Site(start_shared_cluster(shards, proxies, security=security), *contexts)
    writer = native.Writer(made.ops, made.cluster.native("p1"))
    for i in range(200):
        writer.put(b"/secret/%d" % i, b"s" * 1000)
        writer.put(b"/open/%d" % i, b"o" * 1000)
    writer.close()
    yield made
    for each in contexts:
        each.destroy(linger=0)


def everything(socket, duration):
    """What arrives within `duration` seconds."""
    frames, deadline = [], time.monotonic() + seconds(duration)
    while (left := deadline - time.monotonic()) > 0:
        if socket.poll(left * 1000):
            frames.append(socket.recv_multipart())
    return frames


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_snapshot_that_waits_ends_with_its_connection(site, dialect):
    endpoint, updates, _ = site.cluster.triple("p1", dialect)
    # As many updates connections as snapshot connections, none of which subscribes to it.
    subscribers = [make_socket(site.ops, zmq.SUB, updates, subscribe=b"/open/") for _ in range(4)]
    time.sleep(0.1)
    asker = make_socket(site.ops, zmq.DEALER, endpoint, routing_id=b"id-" + dialect.encode())
    asker.send_multipart([b"ICANHAZ?", b"/secret/"])
    time.sleep(0.15)  # it is read, and waits for a subscription
    asker.close()
    other = make_socket(site.guest, zmq.DEALER, endpoint, routing_id=b"id-" + dialect.encode())
    for _ in range(4):
        other.send_multipart([b"WHAT?"])
        frames = everything(other, 0.25)
        assert not frames, f"{len(frames)} messages, the first {frames[0]!r:.100}"
    for each in (other, *subscribers):
        each.close()


def test_a_snapshot_that_is_being_sent_ends_with_its_connection(site):
    endpoint = site.cluster.triple("p1", "kvmsg")[0]
    asker = make_socket(site.ops, zmq.DEALER, endpoint, routing_id=b"slow", rcvhwm=1, rcvbuf=4096)
    asker.send_multipart([b"ICANHAZ?", b"/secret/"])
    assert asker.poll(seconds(10) * 1000)
    asker.close()
    other = make_socket(site.guest, zmq.DEALER, endpoint, routing_id=b"slow")
    other.send_multipart([b"WHAT?"])
    assert not everything(other, 0.5)
    other.close()


def test_the_reply_to_a_write_is_for_its_connection(site):
    """The shard answers once the connection is gone, and the next one bears its routing id."""
    endpoint, shard_pid = site.cluster.native("p1")[0], site.cluster.process("s1").pid
    asker = native.Requests(site.ops, endpoint, routing_id=b"writer")
    assert asker.get(b"/open/2")
    os.kill(shard_pid, signal.SIGSTOP)
    try:
        asker.send(WRITE, b"a" * 16, 1, 1, [write(b"/secret/one", b"1")])
        time.sleep(0.1)
        asker.close()
        time.sleep(0.2)  # libzmq frees the routing id
        other = native.Requests(site.guest, endpoint, routing_id=b"writer")
        other.send(FETCH, 700, b"", "/open/1", {}, None, 4)
        assert other.answer().request == 700
    finally:
        os.kill(shard_pid, signal.SIGCONT)
    answers = [native.read_answer(frames[0]) for frames in everything(other.socket, 0.7)]
    assert not answers, answers
    answer = other.ask(pack(WRITE, b"b" * 16, 1, 1, [write(b"/open/one", b"1")]))
    assert isinstance(answer, Written) and answer.request == 1
    assert site.counted("canopy_answers_lost_total") >= 1
    other.close()


@pytest.mark.parametrize("frontend", ["native", "kvmsg"])
def test_a_routing_id_in_use_is_refused_audibly(site, frontend):
    """And given to who asks for it once it is free."""
    rejected = lambda: site.counted("canopy_rejected_total", reason="routing_id_in_use")
    closed = lambda: site.counted("canopy_connections_closed_total", reason="routing_id_in_use")
    if frontend == "native":
        endpoint, ask = site.cluster.native("p1")[0], [pack(FETCH, 5, b"", "/open/1", {}, None, 4)]
    else:
        endpoint, ask = site.cluster.triple("p1", "kvmsg")[0], [b"ICANHAZ?", b"/open/"]
    first = make_socket(site.ops, zmq.DEALER, endpoint, routing_id=b"twin")
    first.send_multipart(ask)
    assert first.poll(seconds(10) * 1000)
    everything(first, 0.2)
    before = rejected(), closed()
    second = make_socket(site.guest, zmq.DEALER, endpoint, routing_id=b"twin")
    second.send_multipart(ask)
    eventually(lambda: rejected() > before[0], "the second is counted")
    assert closed() > before[1]
    first.send_multipart(ask)
    assert first.poll(seconds(10) * 1000), "the first is served as before"
    first.close()

    def served():
        second.send_multipart(ask)
        return second.poll(300)

    eventually(served, "the second is served when the routing id is free")
    second.close()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_of_several_requests_is_answered(site, dialect):
    """One after another on one connection, before the first is answered."""
    asker = make_socket(site.ops, zmq.DEALER, site.cluster.triple("p1", dialect)[0])
    subtrees = [b"/open/", b"/secret/", b"/open/", b"/nothing/"]
    for subtree in subtrees:
        asker.send_multipart([b"ICANHAZ?", subtree])
    keys, ends = [], []
    while len(ends) < len(subtrees):
        assert asker.poll(seconds(10) * 1000), f"only {ends} ended"
        frames = asker.recv_multipart()
        if frames[0] != b"KTHXBAI":
            keys.append(frames[0])
            continue
        count = 0 if subtrees[len(ends)] == b"/nothing/" else 200
        mine = [key for key in keys if key.startswith(subtrees[len(ends)])]
        assert len(keys) >= count and len(mine) == len(keys), "one snapshot after another"
        ends.append(frames[-1])
        keys = []
    asker.close()


def test_clients_that_sleep_over_their_snapshots_block_nobody(site):
    writer = native.Writer(site.ops, site.cluster.native("p1"))
    for i in range(0, 4000, 100):
        writer.write(*(write(b"/heavy/%d" % (i + j), b"h" * 5000) for j in range(100)))
    writer.close()
    triple = site.cluster.triple("p1", "kvsimple")
    asleep = []
    for _ in range(6):  # four may be sent at once
        each = make_socket(site.ops, zmq.DEALER, rcvhwm=1, rcvbuf=4096)
        each.connect(triple[0])
        each.send_multipart([b"ICANHAZ?", b"/heavy/"])
        asleep.append(each)
    time.sleep(1.2)
    client = make_client(site.ops, "kvsimple", triple, b"/open/")

    def joined():
        while client.snapshot.poll(0):
            client.handle(client.snapshot, client.snapshot.recv_multipart())
        return client.active

    eventually(joined, "a client joins")
    assert len(client.map) >= 200
    client.close()
    for each in asleep:
        each.close()


def test_refusals_reach_the_connection_that_asked(site):
    """Two connections, each with a routing id of its own choosing, are not mixed up."""
    endpoint = site.cluster.native("p1")[0]
    both = [native.Requests(site.ops, endpoint, routing_id=b"peer-%d" % i) for i in range(2)]
    for round_number in range(20):
        for i, each in enumerate(both):
            each.send(FETCH, 2 * round_number + i, b"", "not a subtree \x01", {}, None, 4)
        for i, each in enumerate(both):
            answer = each.answer()
            assert isinstance(answer, Refusal) and answer.request == 2 * round_number + i
    for each in both:
        each.close()
