"""Processes that stand still for longer than their lease (a paused machine, a loaded one) and then
go on: nothing crashes, nothing is lost, everybody ends with the exact map."""

import signal

import pytest

from tests.harness.clusterfile import DIALECTS, partition, proxy, shard
from tests.harness.promises import WriteLoad, check_never_back, check_protocol
from tests.harness.waiting import SLOW, remains

LEASE = 1.0 * SLOW


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(
        [
            shard("disk", partition("/disk/", durability="disk")),
            shard("memory", "/memory/", "*"),
        ],
        [proxy("p1"), proxy("p2")],
        coordination={"lease_ms": int(LEASE * 1000)},
    )


def pause(cluster, clones, name):
    stopped = cluster.signal(name, signal.SIGSTOP)
    clones.run_for(2.5 * LEASE)
    stopped.signal(signal.SIGCONT)
    clones.run(lambda: cluster.is_ready(), f"the cluster is ready again after a pause of {name}", 20)
    assert cluster.process(name) == stopped, f"{name} was replaced"


@pytest.mark.parametrize("name", ["disk", "memory", "p1", "broker"])
def test_a_pause_longer_than_the_lease_loses_nothing(cluster, clones, name):
    triples = [(each, cluster.triple(p, each)) for each in DIALECTS for p in ("p1", "p2")]
    clients = [clones.join(dialect, triple) for dialect, triple in triples]
    writer = clones.writer("kvmsg", cluster.triple("p2", "kvmsg"))
    before = {place + b"%d" % i: b"1" for place in (b"/disk/", b"/memory/", b"") for i in range(50)}
    for key, value in before.items():
        writer.put(key, value)
    clones.agree(before)
    pause(cluster, clones, name)
    clones.agree(before)
    remains(lambda: all(each.map == before for each in clients), "all is kept", 1, clones.turn)
    for place in (b"/disk/", b"/memory/", b""):
        writer.put(place + b"after", b"1")
        before[place + b"after"] = b"1"
    clones.agree(before)
    late = [clones.join(each, cluster.triple("p1", each)) for each in DIALECTS]
    assert all(each.map == before for each in late)
    check_protocol(*(each for each in clients if each.frames == 3))


@pytest.mark.parametrize("name", ["disk", "memory"])
def test_a_paused_shard_under_load(cluster, clones, name):
    """What was published stays; what was written meanwhile arrives or is refused, in order."""
    clients = [clones.join("kvsimple", cluster.triple(p, "kvsimple")) for p in ("p1", "p2")]
    writer = clones.writer("kvsimple", cluster.triple("p1", "kvsimple"))
    keys = [place + b"%d" % i for place in (b"/disk/", b"/memory/") for i in range(5)]
    with WriteLoad(writer, keys, rate=200) as load:
        clones.run(lambda: len(clients[0].live) > 100, "updates flow")
        pause(cluster, clones, name)
        count = len(clients[0].live)
        clones.run(lambda: len(clients[0].live) > count + 200, "updates flow again", 20)
    clones.agree(load.map)
    check_never_back(*clients)
    check_protocol(*clients)
