"""12/CHP and model 6: HUGZ, the SUB collector, and two proxies as primary and backup server."""

import signal

import pytest
import zmq

from tests.harness.clone import ChpClient
from tests.harness.clusterfile import proxy, shard
from tests.harness.promises import WriteLoad, check_never_back, check_unbroken
from tests.harness.waiting import SLOW, seconds


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("results", "/results/"), shard("rest", "*")],
        [proxy("p1", ["chp"]), proxy("p2", ["chp", "kvmsg"])],
    )


@pytest.fixture
def pair(cluster):
    return [cluster.triple("p1", "chp"), cluster.triple("p2", "chp")]


def join_pair(clones, context, pair, subtree=b"", **options):
    client = clones.add(ChpClient(context, pair, subtree, **options))
    clones.run(lambda: client.active, "a chp client of two servers gets its snapshot")
    client.writer.wait_live()
    return client


def test_hugz_every_second_idle_or_not(cluster, clones, pair):
    busy = clones.join("chp", pair[0], b"/hugz/")
    idle = clones.join("chp", pair[0], b"/nothing-here/")
    with WriteLoad(busy.writer, [b"/hugz/k"], rate=200):
        clones.run_for(5.5)
    for client in (busy, idle):
        assert 4 <= len(client.hugz) <= 7, f"{len(client.hugz)} HUGZ in 5.5 s"
        gaps = [b - a for a, b in zip(client.hugz, client.hugz[1:])]
        assert max(gaps) < seconds(1.6), f"HUGZ came {gaps} s apart"
        assert not client.faults, client.faults
        assert client.failovers == 0


def test_a_plain_pub_reaches_the_collector(cluster, clones, context, pair):
    client = clones.add(ChpClient(context, pair[:1], b"/pub/", writer_kind=zmq.PUB))
    clones.run(lambda: client.active, "a chp client gets its snapshot")

    def put_until_seen():
        # A PUB cannot tell when the collector has subscribed to it.
        client.put(b"/pub/k", b"v")
        return client.map

    clones.run(put_until_seen, "an update arrives")
    assert client.map == {b"/pub/k": b"v"}


def test_an_update_sent_to_both_servers_is_applied_once(cluster, clones, context, pair):
    """Model 6 publishes each update to primary and backup, under one uuid."""
    client = join_pair(clones, context, pair, b"/results/both/")
    others = [clones.join("chp", each, b"/results/both/") for each in pair]
    others.append(clones.join("kvmsg", cluster.triple("p2", "kvmsg"), b"/results/both/"))
    with WriteLoad(client.writer, [b"/results/both/%d" % i for i in range(10)], rate=500) as load:
        clones.run_for(3)
    clones.agree(load.map)
    clones.run_for(0.5)
    check_never_back(client, *others)
    check_unbroken(client, *others)


def test_fails_over_from_a_killed_primary(start_cluster, clones, context):
    """Unsupervised, so that the killed proxy stays away until it is started again."""
    cluster = start_cluster(
        [shard("results", "/results/"), shard("rest", "*")],
        [proxy("p1", ["chp"]), proxy("p2", ["chp", "kvmsg"])],
        broker={"supervise": False},
    )
    place = b"/results/failover/"
    pair = [cluster.triple(name, "chp") for name in ("p1", "p2")]
    client = join_pair(clones, context, pair, place, patience=2 * SLOW)
    other = clones.join("kvmsg", cluster.triple("p2", "kvmsg"), place)
    expected = {place + b"%d" % i: b"first %d" % i for i in range(20)}
    for key, value in expected.items():
        client.put(key, value)
    clones.agree(expected)

    before = cluster.kill("p1")
    other.put(place + b"0", b"while failing over")
    expected[place + b"0"] = b"while failing over"
    clones.run(lambda: client.failovers == 1 and client.active, "over to the backup", 20)
    clones.agree(expected)
    client.put(place + b"1", b"second")
    expected[place + b"1"] = b"second"
    clones.agree(expected)
    assert client.failovers == 1 and not client.faults

    cluster.launch_member("p1")
    clones.run(lambda: cluster.restarted("p1", before), "the primary is back")
    client.put(place + b"2", b"third")
    expected[place + b"2"] = b"third"
    clones.join("chp", pair[0], place)
    clones.agree(expected)


def test_fails_over_from_idle_servers_and_back(start_cluster, clones, context):
    """A stopped proxy is still connected: only the missing HUGZ tells."""
    cluster = start_cluster(
        [shard("s1", "*")],
        [proxy("p1", ["chp"]), proxy("p2", ["chp"])],
        coordination={"lease_ms": 60_000},  # nobody replaces the stopped proxy meanwhile
    )
    pair = [cluster.triple(name, "chp") for name in ("p1", "p2")]
    client = join_pair(clones, context, pair, patience=2 * SLOW)
    client.put(b"/k", b"1")
    clones.agree({b"/k": b"1"})
    for number, name in enumerate(["p1", "p2"], 1):
        stopped = cluster.signal(name, signal.SIGSTOP)
        clones.run(lambda: client.failovers == number and client.active, f"away from {name}", 30)
        for i in range(5):
            client.put(b"/k", b"server %d silent, %d" % (number, i))
        clones.agree({b"/k": b"server %d silent, 4" % number})
        # It now passes on its copies of what the other server has long published.
        stopped.signal(signal.SIGCONT)
        clones.run_for(1)
        clones.agree({b"/k": b"server %d silent, 4" % number})
    assert not client.faults
