"""The broker of a one-machine cluster takes it down with it; a new start succeeds at once."""

import signal
import time

import pytest

from clusterfile import partition, proxy, shard
from promises import Hammer, check_unbroken
from waiting import remains, seconds


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(
        [shard("s1", partition("*", durability="disk")), shard("s2", "/mem/")],
        [proxy("p1"), proxy("p2")],
    )


def write_some(cluster, flock, name):
    client = flock.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/" + name)
    expected = {b"/" + name + b"%d" % i: b"v" for i in range(100)}
    for key, value in expected.items():
        client.put(key, value)
    flock.agree(expected, [client])
    return expected


def test_kill_9_takes_the_cluster_down_and_a_new_start_succeeds(cluster, flock):
    expected = {}
    for number in range(3):
        expected.update(write_some(cluster, flock, b"round-%d/" % number))
        cluster.kill_broker()
        start = time.monotonic()
        if number < 2:
            cluster.wait_gone(timeout=8)
            print(f"all gone {time.monotonic() - start:.2f} s after the broker's death")
        # The third time at once, while the old processes may still be on their way out.
        cluster.start()
        print(f"serving again {time.monotonic() - start:.2f} s after the broker's death")
        late = flock.join("kvsimple", cluster.triple("p2", "kvsimple"))
        assert late.map == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_by_signal_is_clean_under_load(cluster, flock, number):
    watcher = flock.join("kvmsg", cluster.triple("p1", "kvmsg"))
    writer = flock.writer("kvmsg", cluster.triple("p2", "kvmsg"))
    hammer = Hammer(writer, [b"/k", b"/mem/k"], rate=100)
    hammer.start()
    flock.run(lambda: len(watcher.live) > 100, "updates flow")
    start = time.monotonic()
    with flock.background():
        cluster.broker.send_signal(number)
        assert cluster.wait_stopped() == 0
    took = time.monotonic() - start
    print(f"ended after {took:.2f} s")
    assert took < seconds(8), "the drain is bounded"
    hammer.stop()
    check_unbroken(watcher)
    cluster.start()
    late = flock.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/k")
    assert int(late.map[b"/k"]) >= int(watcher.map[b"/k"])


def test_without_supervision_clients_outlive_the_broker(start_cluster, flock):
    """The data path does not pass through the broker; it finds everybody again when it is back."""
    cluster = start_cluster(
        [shard("s1", "*")], [proxy("p1"), proxy("p2")], broker={"supervise": False}
    )
    watcher = flock.join("chp", cluster.triple("p1", "chp"))
    writer = flock.writer("kvmsg", cluster.triple("p2", "kvmsg"))
    members = {name: cluster.process(name) for name in cluster.names}
    with Hammer(writer, [b"/k"], rate=200) as hammer:
        flock.run(lambda: len(watcher.live) > 50, "updates flow")
        cluster.kill_broker()
        remains(lambda: all(each.alive() for each in members.values()), "all live", 4, flock.turn)
        count = len(watcher.live)
        flock.run(lambda: len(watcher.live) > count + 50, "updates go on")
        newcomer = flock.join("kvmsg", cluster.triple("p1", "kvmsg"))
        cluster.start_broker()
        cluster.wait_ready()
        assert {name: cluster.process(name) for name in cluster.names} == members
        count = len(watcher.live)
        flock.run(lambda: len(watcher.live) > count + 50, "updates go on")
    flock.agree(hammer.map)
    check_unbroken(watcher)
    check_unbroken(newcomer)
