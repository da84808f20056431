"""The broker of a one-machine cluster takes it down with it; a new start succeeds at once."""

import signal
import time

import pytest

from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.promises import WriteLoad, check_unbroken
from tests.harness.waiting import remains, seconds


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(
        [shard("s1", partition("*", durability="disk")), shard("s2", "/mem/")],
        [proxy("p1"), proxy("p2")],
    )


def write_some(cluster, clones, name):
    client = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/" + name)
    expected = {b"/" + name + b"%d" % i: b"v" for i in range(100)}
    for key, value in expected.items():
        client.put(key, value)
    clones.agree(expected, [client])
    return expected


def test_kill_9_takes_the_cluster_down_and_a_new_start_succeeds(cluster, clones):
    expected = {}
    for number in range(3):
        expected.update(write_some(cluster, clones, b"round-%d/" % number))
        cluster.kill_broker()
        start = time.monotonic()
        if number < 2:
            cluster.wait_gone(timeout=8)
            print(f"all gone {time.monotonic() - start:.2f} s after the broker's death")
        # The third time at once, while the old processes may still be on their way out.
        cluster.start()
        print(f"serving again {time.monotonic() - start:.2f} s after the broker's death")
        late = clones.join("kvsimple", cluster.triple("p2", "kvsimple"))
        assert late.map == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_by_signal_is_clean_under_load(cluster, clones, number):
    watcher = clones.join("kvmsg", cluster.triple("p1", "kvmsg"))
    writer = clones.writer("kvmsg", cluster.triple("p2", "kvmsg"))
    load = WriteLoad(writer, [b"/k", b"/mem/k"], rate=100)
    load.start()
    clones.run(lambda: len(watcher.live) > 100, "updates flow")
    start = time.monotonic()
    with clones.background():
        cluster.broker.send_signal(number)
        assert cluster.wait_stopped() == 0
    took = time.monotonic() - start
    print(f"ended after {took:.2f} s")
    assert took < seconds(8), "the drain is bounded"
    load.stop()
    check_unbroken(watcher)
    cluster.start()
    late = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/k")
    assert int(late.map[b"/k"]) >= int(watcher.map[b"/k"])


def test_without_supervision_clients_outlive_the_broker(start_cluster, clones):
    """The data path does not pass through the broker; it finds everybody again when it is back."""
    cluster = start_cluster(
        [shard("s1", "*")], [proxy("p1"), proxy("p2")], broker={"supervise": False}
    )
    watcher = clones.join("chp", cluster.triple("p1", "chp"))
    writer = clones.writer("kvmsg", cluster.triple("p2", "kvmsg"))
    members = {name: cluster.process(name) for name in cluster.names}
    with WriteLoad(writer, [b"/k"], rate=200) as load:
        clones.run(lambda: len(watcher.live) > 50, "updates flow")
        cluster.kill_broker()
        remains(lambda: all(each.alive() for each in members.values()), "all live", 4, clones.turn)
        count = len(watcher.live)
        clones.run(lambda: len(watcher.live) > count + 50, "updates go on")
        newcomer = clones.join("kvmsg", cluster.triple("p1", "kvmsg"))
        cluster.start_broker()
        cluster.wait_ready()
        assert {name: cluster.process(name) for name in cluster.names} == members
        count = len(watcher.live)
        clones.run(lambda: len(watcher.live) > count + 50, "updates go on")
    clones.agree(load.map)
    check_unbroken(watcher)
    check_unbroken(newcomer)
