"""Broker and shard of a memory partition begin again, and nobody remembers the epochs before: proxies
that live on, and their clients, end with what the shard holds."""

import shutil

import pytest

from clusterfile import DIALECTS, proxy, shard
from native_watcher import Watcher
from waiting import eventually


def begin_again(cluster):
    cluster.kill("s1")
    cluster.kill_broker()
    shutil.rmtree(cluster.state_dir / "broker", ignore_errors=True)
    cluster.start_broker()
    cluster.launch_member("s1")
    eventually(lambda: cluster.member("s1"), "the shard is back")
    cluster.wait_ready()


@pytest.mark.parametrize("writes", [5, 60], ids=["fewer updates", "more updates"])
def test_survivors_take_what_the_new_leader_holds(start_cluster, flock, writes):
    cluster = start_cluster(
        [shard("s1", "/a/", "*")], [proxy("p1"), proxy("p2")], broker={"supervise": False}
    )
    natives = [flock.add(Watcher(flock.context, [cluster.native(p)])) for p in ("p1", "p2")]
    for dialect in DIALECTS:
        flock.join(dialect, cluster.triple("p1", dialect))
    writer = flock.writer("kvmsg", cluster.triple("p2", "kvmsg"))
    before = {b"/a/%d" % i: b"before" for i in range(20)}
    for key, value in before.items():
        writer.put(key, value)
    flock.agree(before)
    for _ in range(2):
        with flock.background():
            begin_again(cluster)
        # Some keys of before, some new ones; in an order that gives other keys the same revisions.
        after = {b"/a/%d" % abs(19 - i): b"after" for i in range(writes)}
        for key, value in after.items():
            writer.put(key, value)
        flock.agree(after)
        late = flock.join("kvmsg", cluster.triple("p1", "kvmsg"))
        assert late.map == after
        flock.leave(late)
    assert not [fault for each in natives for fault in each.faults if "protocol" in fault]
