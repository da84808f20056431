"""A cluster that is coordinated by etcd: it serves, goes on without a dead leader, and after etcd
was away."""

import shutil

import pytest

from tests.harness.replicated import REPLICAS, SUBTREE, canopy, goes_on, held, leader, other, state
from tests.harness.replicated import writer  # noqa: F401, a fixture

from tests.harness.clusterfile import proxy, shard
from tests.harness.etcd_server import Etcd
from tests.harness.promises import WriteLoad
from tests.harness.waiting import SLOW, eventually

pytestmark = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")


@pytest.fixture
def etcd(tmp_path, ports):
    server = Etcd(tmp_path, ports)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def cluster(etcd, start_cluster):
    made = start_cluster(
        [{"name": name} for name in REPLICAS] + [shard("rest", "*")],
        [proxy("p1", ["native"]), proxy("p2", ["native"])],
        coordination={"lease_ms": int(2000 * SLOW), "etcd": {"endpoints": [etcd.client]}},
        partitions=[{"subtree": SUBTREE, "on": list(REPLICAS), "durability": "disk"}],
    )
    eventually(lambda: follows(made), "both replicas are in sync", 20)
    return made


def follows(cluster):
    leads = leader(cluster)
    if not leads or state(cluster, other(leads)) != f"following {leads}":
        return False
    return cluster.metrics(leads).sum("canopy_in_sync_replicas", partition=SUBTREE) == 2


def load(writer):
    return WriteLoad(writer, [b"%s%d" % (SUBTREE.encode(), i) for i in range(20000)], rate=200)


def test_the_broker_tells_what_etcd_says(cluster):
    status = canopy(cluster, "status")
    assert status.returncode == 0, status.stdout + status.stderr
    table = status.stdout
    for name in (*REPLICAS, "rest", "p1", "p2", SUBTREE):
        assert name in table
    assert canopy(cluster, "put", "/r/a", "1").returncode == 0
    assert canopy(cluster, "get", "/r/a").stdout == "1"


def test_backups_are_ordered_one_after_the_other(cluster):
    for name in ("monday", "tuesday"):
        done = canopy(cluster, "backup", "s1", name)
        assert done.returncode == 0, done
        assert (cluster.state_dir / "s1" / "backups" / name / "CURRENT").exists()
    taken = canopy(cluster, "backup", "s1", "monday")
    assert taken.returncode == 3 and "exists already" in taken.stderr


def test_a_killed_leader_takes_nothing_with_it(cluster, writer, context):
    """It may lead again before its lease has ended; no other replica is elected then."""
    with load(writer(cluster)) as writes:
        goes_on(writes, "before the kill")
        cluster.kill(leader(cluster))
        goes_on(writes, "after the kill")
        eventually(lambda: follows(cluster), "both are in sync again", 30)
    assert held(cluster, context) == writes.map


def test_a_leader_that_is_held_is_replaced(cluster, writer, context):
    with load(writer(cluster)) as writes:
        goes_on(writes, "before it is held")
        held_one = leader(cluster)
        with cluster.stopped(held_one):
            eventually(lambda: state(cluster, other(held_one)) == "serving", "the other leads", 30)
            goes_on(writes, "without it")
        eventually(lambda: follows(cluster), "both are in sync again", 30)
    assert held(cluster, context) == writes.map


def test_without_etcd_nobody_leads_for_longer_than_the_lease(cluster, etcd, writer, context):
    with load(writer(cluster)) as writes:
        goes_on(writes, "with etcd")
        leads = leader(cluster)
        etcd.stop()
        eventually(
            lambda: "lease" in cluster.readyz(leads)[1], "the leader says why it waits", 20
        )
        etcd.start()
        goes_on(writes, "with etcd again")
    assert held(cluster, context) == writes.map


def test_a_partition_moves(cluster, writer, context):
    with load(writer(cluster)) as writes:
        goes_on(writes, "before the move")
        assert canopy(cluster, "move", SUBTREE, "rest,s1").returncode == 0
        eventually(
            lambda: state(cluster, "rest") == "serving" and not cluster.partition("s2", SUBTREE),
            "it has moved",
            40,
        )
        goes_on(writes, "after the move")
    assert held(cluster, context) == writes.map
