"""What clients watch stays mirrored, however short mirrors are kept."""

import time

from tests.harness.clusterfile import DIALECTS, proxy, shard
from tests.harness.native_watcher import Watcher, check_promises
from tests.harness.waiting import seconds

KEEPS = {"p0": 0, "p100": 100, "p900": 900}
KEYS = 41


def test_watched_keys_arrive_whole_at_native_and_clone_clients(start_cluster, clones):
    cluster = start_cluster(
        [shard("s1", "/a/", "*")],
        [proxy("w", ["kvmsg"])]
        + [proxy(name, ["native", "kvmsg"], mirror_keep_ms=keep) for name, keep in KEEPS.items()],
    )
    writer = clones.writer("kvmsg", cluster.triple("w", "kvmsg"))
    clients = [
        client
        for name in KEEPS
        for client in (
            clones.add(Watcher(clones.context, [cluster.native(name)])),
            clones.join("kvmsg", cluster.triple(name, "kvmsg")),
        )
    ]
    clones.run(lambda: all(each.active for each in clients), "all of them watch")
    expected = {}
    for number in range(KEYS):
        key = (b"/a/%d" if number % 2 else b"/%d") % number
        expected[key] = b"1"
        writer.put(key, b"1")
        clones.run_for(0.06)
    clones.agree(expected)
    natives = [each for each in clients if isinstance(each, Watcher)]
    check_promises(*natives)
    assert all(len(each.catch_ups) == 1 for each in natives), "nothing was to be repaired"
    for name in KEEPS:
        synced = cluster.metrics(name).sum("canopy_resyncs_total", kind="snapshot")
        assert synced == 2, f"{name} has taken each of its mirrors once, not {synced} times"


def test_a_proxy_that_stood_still_for_longer_passes_everything_on(start_cluster, clones):
    cluster = start_cluster(
        [shard("s1", "*")],
        [proxy("w", ["kvmsg"]), proxy("p1", DIALECTS, mirror_keep_ms=500)],
        coordination={"lease_ms": 30_000},
    )
    writer = clones.writer("kvmsg", cluster.triple("w", "kvmsg"))
    for dialect in DIALECTS:
        clones.join(dialect, cluster.triple("p1", dialect))
    writer.put(b"/before", b"1")
    clones.agree({b"/before": b"1"})
    expected = {b"/%d" % number: b"1" for number in range(2000)}
    with cluster.stopped("p1"):
        for key, value in expected.items():
            writer.put(key, value)
        time.sleep(seconds(1.5))
    clones.agree({b"/before": b"1", **expected})
