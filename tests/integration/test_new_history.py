"""Broker and shard of a memory partition begin again, and nobody remembers the epochs before: proxies
that live on, and their clients, end with what the shard holds."""

import shutil

import pytest

from tests.harness.clusterfile import DIALECTS, proxy, shard
from tests.harness.native_watcher import Watcher
from tests.harness.waiting import eventually


def begin_again(cluster):
    cluster.kill("s1")
    cluster.kill_broker()
    shutil.rmtree(cluster.state_dir / "broker", ignore_errors=True)
    cluster.start_broker()
    cluster.launch_member("s1")
    eventually(lambda: cluster.member("s1"), "the shard is back")
    cluster.wait_ready()


@pytest.mark.parametrize("writes", [5, 60], ids=["fewer updates", "more updates"])
def test_survivors_take_what_the_new_leader_holds(start_cluster, clones, writes):
    cluster = start_cluster(
        [shard("s1", "/a/", "*")], [proxy("p1"), proxy("p2")], broker={"supervise": False}
    )
    natives = [clones.add(Watcher(clones.context, [cluster.native(p)])) for p in ("p1", "p2")]
    for dialect in DIALECTS:
        clones.join(dialect, cluster.triple("p1", dialect))
    writer = clones.writer("kvmsg", cluster.triple("p2", "kvmsg"))
    before = {b"/a/%d" % i: b"before" for i in range(20)}
    for key, value in before.items():
        writer.put(key, value)
    clones.agree(before)
    for _ in range(2):
        with clones.background():
            begin_again(cluster)
        # Some keys of before, some new ones; in an order that gives other keys the same revisions.
        after = {b"/a/%d" % abs(19 - i): b"after" for i in range(writes)}
        for key, value in after.items():
            writer.put(key, value)
        clones.agree(after)
        late = clones.join("kvmsg", cluster.triple("p1", "kvmsg"))
        assert late.map == after
        clones.leave(late)
    assert not [fault for each in natives for fault in each.faults if "protocol" in fault]
