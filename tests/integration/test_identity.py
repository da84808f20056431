"""Whatever a connection asks for is its own and ends with it, with security and without. A routing id
means nothing: two connections with the same one are both served, and mixed up with nobody."""

import os
import signal
import time

import pytest
import zmq

from tests.harness import native
from tests.harness.clone import make_client, make_socket
from tests.harness.clusterfile import DIALECTS, proxy, shard
from tests.harness.keyring import Keyring
from tests.harness.native import LIST, WRITE, Refusal, Written, pack, write
from tests.harness.waiting import eventually, seconds

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
    endpoint, shard_pid = site.cluster.native("p1"), site.cluster.process("s1").pid
    asker = native.Requests(site.ops, endpoint, b"a" * 16, routing_id=b"writer")
    assert asker.get(b"/open/2")
    os.kill(shard_pid, signal.SIGSTOP)
    try:
        asker.send(WRITE, 1, 1, [write(b"/secret/one", b"1")])
        time.sleep(0.1)
        asker.close()
        other = native.Requests(site.guest, endpoint, b"b" * 16, routing_id=b"writer")
        assert other.get(b"/open/1")
    finally:
        os.kill(shard_pid, signal.SIGCONT)
    answers = [native.read_message(frames[0]) for frames in everything(other.socket, 0.7)]
    assert not answers, answers
    answer = other.write(1, write(b"/open/one", b"1"))
    assert isinstance(answer, Written) and answer.request == 1
    other.close()


@pytest.mark.parametrize("frontend", ["native", "kvmsg"])
def test_two_connections_of_one_routing_id_are_both_served(site, frontend):
    """Each gets its own answers, in whatever order they ask."""
    if frontend == "native":
        endpoint = site.cluster.native("p1")
        asks = [[pack(LIST, 5, "/secret/", 0)], [pack(LIST, 6, "/open/", 0)]]
        is_last = lambda frames: native.read_message(frames[0]).more == native.LAST
        keys_of = lambda frames: [entry.key for entry in native.read_message(frames[0]).entries]
    else:
        endpoint = site.cluster.triple("p1", "kvmsg")[0]
        asks = [[b"ICANHAZ?", b"/secret/"], [b"ICANHAZ?", b"/open/"]]
        is_last = lambda frames: frames[0] == b"KTHXBAI"
        keys_of = lambda frames: [] if is_last(frames) else [frames[0]]
    twins = [
        make_socket(each, zmq.DEALER, endpoint, routing_id=b"twin")
        for each in (site.ops, site.guest)
    ]
    for _ in range(3):
        for each, ask in zip(twins, asks):
            each.send_multipart(ask)
        for each, prefix in zip(twins, (b"/secret/", b"/open/")):
            keys, ended = [], False
            while not ended:
                assert each.poll(seconds(10) * 1000), f"{prefix} is not served"
                frames = each.recv_multipart()
                keys, ended = keys + keys_of(frames), is_last(frames)
            assert len(keys) >= 200 and all(key.startswith(prefix) for key in keys)
    for each in twins:
        each.close()


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
    """Two connections of one routing id are not mixed up."""
    endpoint = site.cluster.native("p1")
    both = [native.Requests(site.ops, endpoint, routing_id=b"peer") for _ in range(2)]
    for round_number in range(20):
        for i, each in enumerate(both):
            each.send(LIST, 2 * round_number + i + 1, "not a subtree \x01", 0)
        for i, each in enumerate(both):
            answer = each.answer()
            assert isinstance(answer, Refusal) and answer.request == 2 * round_number + i + 1
    for each in both:
        each.close()
