"""What waits for a process that stands still is bounded in bytes, whatever the size of updates."""

import os

import pytest

from tests.harness import native
from tests.harness.clusterfile import DIALECTS, partition, proxy, shard
from tests.harness.native import WRITE, Requests, Writer, write
from tests.harness.procfs import memory_bytes, peak_bytes
from tests.harness.waiting import SLOW, eventually
from tests.harness.zmtp import BareSocket, command

MIB = 1 << 20

# Sanitizers keep what is freed.
pytestmark = pytest.mark.skipif(SLOW > 1, reason="measures memory")


def test_a_stopped_proxy_costs_its_shard_a_bounded_queue(start_cluster, context, clones):
    cluster = start_cluster(
        [shard("s1", partition("*", log_bytes=MIB))],
        [proxy("p1", ["kvsimple"]), proxy("p2", ["native"])],
        coordination={"lease_ms": 60_000},
    )
    clones.join("kvsimple", cluster.triple("p1", "kvsimple"))
    writer = Writer(context, cluster.native("p2"))
    keys = [b"/k%d" % number for number in range(4)]
    with cluster.stopped("p1"):
        for number in range(300):
            value = b"%d" % number + bytes(MIB - 10)
            writer.put(keys[number % len(keys)], value)
    peak = peak_bytes(cluster.process("s1").pid)
    print(f"peak of the shard: {peak / MIB:.0f} MiB")
    assert peak < 180 * MIB
    clones.agree({key: b"%d" % (296 + i) + bytes(MIB - 10) for i, key in enumerate(keys)})
    hop = {"shard": "s1", "hop": "shard_to_proxy"}
    metrics = cluster.metrics("p1")
    dropped = metrics.sum("canopy_hwm_dropped_updates_total", **hop)
    received = metrics.sum("canopy_updates_received_total", source="live")
    assert dropped + received == 300
    assert metrics.sum("canopy_resyncs_total") > 0
    writer.close()


def test_a_proxy_that_is_behind_stops_reading_and_goes_on(start_cluster, context, clones):
    """It finds 300,000 updates at once: more than may wait for its fan-out. None is lost, and none
    is left unread once all is quiet."""
    cluster = start_cluster(
        [shard("s1", "*")],
        [proxy("p1", ["kvsimple"]), proxy("p2", ["native"])],
        coordination={"lease_ms": 60_000},
    )
    clones.join("kvsimple", cluster.triple("p1", "kvsimple"), subtree=b"/quiet/")
    writer = Writer(context, cluster.native("p2"))
    value = bytes(60)
    with cluster.stopped("p1"):
        for number in range(300):
            writer.write(*(write(b"/k/%d/%d" % (number, index), value) for index in range(1000)))

    def received():
        return cluster.metrics("p1").sum("canopy_updates_stamped_total")

    eventually(lambda: received() == 300_000, "all have arrived", 20)
    metrics = cluster.metrics("p1")
    assert metrics.sum("canopy_upstream_pauses_total") > 0
    assert metrics.sum("canopy_hwm_dropped_updates_total") == 0
    assert metrics.sum("canopy_updates_received_total", source="live") == 300_000
    eventually(lambda: cluster.metrics("p1").sum("canopy_pending_bytes") == 0, "nothing waits")
    eventually(lambda: cluster.readyz("p1")[0] == 200, "p1 has heard its shard and says so")
    writer.close()


def queued_at_the_proxy(cluster):
    return cluster.metrics("p1").sum("canopy_upstream_queue_bytes")


def test_a_stopped_shard_costs_its_proxy_a_bounded_queue(start_cluster, context):
    """400 MiB of writes for a shard that takes none: refused, and applied once it goes on."""
    cluster = start_cluster(
        [shard("s1", "/results/"), shard("rest", "*")],
        [proxy("p1", ["native"], upstream_queue_bytes=32 * MIB)],
        coordination={"lease_ms": 60_000},
    )
    requests = Requests(context, cluster.native("p1"), os.urandom(16))
    values = [bytes(MIB - 100)] * 3
    answers = {}
    with cluster.stopped("rest"):
        for number in range(1, 134):
            writes = [write(b"/k%d" % index, value) for index, value in enumerate(values)]
            requests.send(WRITE, number, 1, writes)
            if number > 20:
                answer = requests.answer()
                answers[answer.request] = answer
        peak = peak_bytes(cluster.process("p1").pid)
        eventually(lambda: 16 * MIB < queued_at_the_proxy(cluster) <= 32 * MIB, "they wait")
    print(f"peak of the proxy: {peak / MIB:.0f} MiB")
    assert peak < 150 * MIB
    while len(answers) < 133:
        answer = requests.answer()
        answers[answer.request] = answer
    accepted = sum(isinstance(each, native.Written) for each in answers.values())
    assert 5 <= accepted <= 30
    assert all(
        isinstance(each, native.Written) or each.fault == "busy" for each in answers.values()
    )
    eventually(lambda: queued_at_the_proxy(cluster) == 0, "nothing waits")
    requests.close()


def listeners(cluster):
    """(process, endpoint, type of a peer)"""
    yield "p1", cluster.native("p1"), "DEALER"
    for dialect in DIALECTS:
        peers = ("DEALER", "SUB", "PUB" if dialect == "chp" else "PUSH")
        yield from (("p1", *each) for each in zip(cluster.triple("p1", dialect), peers))
    yield "s1", cluster.member("s1")["requests"], "DEALER"
    yield "s1", cluster.member("s1")["updates"], "SUB"
    yield "broker", cluster.broker_endpoint, "DEALER"


def test_peers_that_ping_and_never_read(start_cluster):
    """20 MiB of PINGs to each port: what is not read is not answered any more."""
    cluster = start_cluster([shard("s1", "*")], [proxy("p1")])
    pings = command(b"PING", bytes(2) + b"sixteen bytes ok") * 4000
    peers = []
    for name, endpoint, kind in listeners(cluster):
        pid = cluster.process(name).pid
        before = memory_bytes(pid)
        peers.append(BareSocket(endpoint, kind, receive_buffer=4096))
        for _ in range(20 * MIB // len(pings)):
            peers[-1].peer.sendall(pings)
        grown = memory_bytes(pid) - before
        assert grown < 8 * MIB, f"{name} {endpoint}: {grown / MIB:.1f} MiB"
    for each in peers:
        def answered():
            each.ping(b"again")
            each.receive(0.1)
            return (b"PONG", b"again") in each.commands

        eventually(answered, "it is answered once it reads", 5)
        each.close()
