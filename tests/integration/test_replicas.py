"""Partitions with replicas on two shards: the leader after a failure, what is kept, and the way out
when every replica that had everything is lost."""

import pytest

from tests.harness.clones import all_agree, join_everywhere
from tests.harness.clusterfile import FRONTENDS, proxy, shard
from tests.harness.promises import WriteLoad, check_never_back, check_protocol
from tests.harness.replicated import (
    LEASE,
    REPLICAS,
    SUBTREE,
    WAITS,
    canopy,
    goes_on,
    held,
    leader,
    load,
    other,
    state,
    wait_in_sync,
    writer,  # noqa: F401, a fixture
)
from tests.harness.waiting import eventually, remains, seconds


@pytest.fixture
def start_replicated(start_cluster):
    def start(durability, frontends=("native",)):
        cluster = start_cluster(
            [{"name": name} for name in REPLICAS] + [shard("rest", "*")],
            [proxy("p1", frontends), proxy("p2", frontends)],
            coordination={"lease_ms": int(LEASE * 1000)},
            partitions=[{"subtree": SUBTREE, "on": list(REPLICAS), "durability": durability}],
        )
        wait_in_sync(cluster)
        return cluster

    return start


def test_a_killed_leader_takes_nothing_acknowledged_with_it(start_replicated, writer, context):
    cluster = start_replicated("disk")
    with load(writer(cluster)) as writes:
        for _ in range(3):
            goes_on(writes, "before the kill")
            killed = wait_in_sync(cluster)
            cluster.kill(killed)
            eventually(lambda: state(cluster, other(killed)) == "serving", "its peer leads", 20)
            goes_on(writes, "without it")
            wait_in_sync(cluster)
    assert held(cluster, context) == writes.map


def test_clone_clients_ride_through_killed_leaders(start_replicated, clones):
    cluster = start_replicated("memory", FRONTENDS)
    loads = [
        WriteLoad(
            clones.writer("kvsimple", cluster.triple(name, "kvsimple")),
            [b"%s%s-%d" % (SUBTREE.encode(), name.encode(), i) for i in range(20)],
            rate=250,
        )
        for name in ("p1", "p2")
    ]
    clients = join_everywhere(cluster, clones)
    with loads[0], loads[1]:
        for _ in range(5):
            killed = wait_in_sync(cluster)
            cluster.kill(killed)
            clones.run(lambda: state(cluster, other(killed)) == "serving", "its peer leads", 20)
            count = len(clients[0].history)
            clones.run(lambda: len(clients[0].history) > count + 100, "updates flow", 30)
    agreed = all_agree(cluster, clones, clients)
    assert agreed == {key: value for each in loads for key, value in each.map.items()}
    check_protocol(*clients)
    check_never_back(*clients)


def test_all_replicas_on_disk_may_be_killed_at_once(start_replicated, writer, context):
    cluster = start_replicated("disk")
    with load(writer(cluster)) as writes:
        goes_on(writes, "before the kill")
        for name in REPLICAS:
            cluster.kill(name)
        goes_on(writes, "after the restart")
    wait_in_sync(cluster)
    assert held(cluster, context) == writes.map


def test_a_leader_that_slept_through_its_lease_is_fenced(start_replicated, writer, context):
    cluster = start_replicated("disk")
    with load(writer(cluster)) as writes:
        goes_on(writes, "before the pause")
        paused = leader(cluster)
        successor = other(paused)
        with cluster.stopped(paused) as process:
            eventually(lambda: state(cluster, successor) == "serving", "its peer leads", 20)
            goes_on(writes, "without it")
            epoch = cluster.metrics(successor).sum("canopy_epoch", partition=SUBTREE)
        eventually(
            lambda: cluster.metrics(paused).sum("canopy_partition_leader", partition=SUBTREE) == 0
            and cluster.metrics(paused).sum("canopy_epoch", partition=SUBTREE) >= epoch,
            "the old leader follows",
            20,
        )
        wait_in_sync(cluster)
        assert cluster.process(paused) == process, "it was not restarted"
    assert held(cluster, context) == writes.map


def test_a_memory_replica_that_restarts_is_not_elected_empty(start_replicated, writer, context):
    cluster = start_replicated("memory")
    leads = leader(cluster)
    written = {b"/r/%d" % i: b"v" for i in range(100)}
    client = writer(cluster)
    for key, value in written.items():
        client.put(key, value)
    with cluster.stopped(leads):
        cluster.kill(other(leads))
        eventually(lambda: state(cluster, other(leads)).startswith(WAITS), "it waits", 20)
        remains(
            lambda: state(cluster, other(leads)).startswith(WAITS),
            "the empty replica waits",
            seconds(2),
        )
    wait_in_sync(cluster)
    client.put(b"/r/more", b"v")
    assert held(cluster, context) == {**written, b"/r/more": b"v"}


def test_an_operator_lets_a_lost_partition_go_on(start_replicated, writer, context):
    cluster = start_replicated("memory")
    client = writer(cluster)
    client.put(b"/r/lost", b"v")
    refused = canopy(cluster, "elect", SUBTREE, "s1", "--accept-loss")
    assert refused.returncode == 3 and "does not wait at s1" in refused.stderr

    for name in REPLICAS:
        cluster.kill(name)
    eventually(
        lambda: all(state(cluster, name).startswith(WAITS) for name in REPLICAS),
        "both replicas wait",
        20,
    )
    status = canopy(cluster, "status")
    assert status.returncode == 1 and "waiting" in status.stdout
    for words in (["/x/", "s2"], [SUBTREE, "s9"], [SUBTREE, "rest"], ["*", "rest"]):
        refused = canopy(cluster, "elect", *words, "--accept-loss")
        assert refused.returncode == 3 and words[1] in refused.stderr, refused
    unsaid = canopy(cluster, "elect", SUBTREE, "s2")
    assert unsaid.returncode == 2 and len(unsaid.stderr.splitlines()) == 2
    assert state(cluster, "s2").startswith(WAITS), "nothing was done"

    elected = canopy(cluster, "elect", SUBTREE, "s2", "--accept-loss", "--timeout", "20s")
    assert (elected.returncode, elected.stdout, elected.stderr) == (0, "", "")
    eventually(lambda: state(cluster, "s2") == "serving", "the topology says so, too")
    client.put(b"/r/new", b"v")
    eventually(lambda: held(cluster, context) == {b"/r/new": b"v"}, "it began empty")
    assert wait_in_sync(cluster) == "s2"
    assert canopy(cluster, "status").returncode == 0
