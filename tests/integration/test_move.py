"""`canopy move`: a partition goes to another shard while it is written to and watched."""

import random
import time

import pytest

from tests.harness.replicated import canopy, goes_on, held
from tests.harness.replicated import writer  # noqa: F401, a fixture

from tests.harness import native, native_watcher
from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.promises import WriteLoad, Stopwatch
from tests.harness.waiting import SLOW, eventually

SUBTREE = "/r/"
KEYS = 20_000
COORDINATION = {"lease_ms": int(1000 * SLOW), "prefer_after_ms": 1000}


def one_of_three(start_cluster, frontends):
    """start(durability) -> a cluster with the partition on one shard, and others that it could move to."""
    return lambda durability: start_cluster(
        [
            shard("s1", partition(SUBTREE, durability=durability), "/s1/"),
            shard("s2", "*"),
            shard("s3", "/s3/"),
        ],
        [proxy("p1", frontends), proxy("p2", frontends)],
        coordination=COORDINATION,
    )


@pytest.fixture
def start(start_cluster):
    return one_of_three(start_cluster, ["native"])


def fill(writer):
    """What a partition holds before it moves."""
    entries = {b"%sold/%d" % (SUBTREE.encode(), i): b"%d" % i * 20 for i in range(KEYS)}
    pairs = list(entries.items())
    for at in range(0, KEYS, 500):
        writer.write(*(native.write(key, value) for key, value in pairs[at : at + 500]))
    return entries


def in_sync(cluster):
    return next(p["in_sync"] for p in cluster.topology()["partitions"] if p["subtree"] == SUBTREE)


def move(cluster, *shards):
    done = canopy(cluster, "move", SUBTREE, ",".join(shards))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def moved(cluster, *shards):
    """Whether these shards keep the partition, the first one leads, and no other one has it."""
    keep = [name for name in ("s1", "s2", "s3") if cluster.partition(name, SUBTREE)]
    first = cluster.partition(shards[0], SUBTREE)
    return (
        sorted(keep) == sorted(shards)
        and first["state"] == "serving"
        and sorted(in_sync(cluster)) == sorted(shards)
    )


@pytest.mark.parametrize("durability", ["memory", "disk"])
def test_a_partition_moves_under_load(start, writer, context, clones, durability):
    cluster = start(durability)
    entries = fill(writer(cluster))
    watcher = clones.add(native_watcher.Watcher(context, [cluster.native("p2")], SUBTREE.encode()))
    clones.run(lambda: watcher.active, "it watches")
    watch = Stopwatch(writer(cluster))
    keys = [b"%snew/%d" % (SUBTREE.encode(), i) for i in range(5000)]
    with clones.background():
        with WriteLoad(watch, keys, rate=300) as writes:
            goes_on(writes, "before the move")
            before, watch.longest = watch.longest, 0
            began = time.monotonic()
            move(cluster, "s2")
            eventually(lambda: moved(cluster, "s2"), "it has moved", 30)
            print(
                f"{durability}: moved in {time.monotonic() - began:.1f} s; longest write "
                f"{watch.longest * 1000:.0f} ms, {before * 1000:.0f} ms before the move"
            )
            goes_on(writes, "after the move")
            killed = cluster.kill("s1")
            watch.longest = 0
            goes_on(writes, "without the old shard")
            assert watch.longest < 1 * SLOW, "no client waits long for it"
            eventually(lambda: cluster.restarted("s1", killed), "it is back", 20)
            assert moved(cluster, "s2")
        expected = {**entries, **writes.map}
    clones.agree(expected)
    native_watcher.check_promises(watcher)
    assert held(cluster, context) == expected
    assert canopy(cluster, "status").returncode == 0


@pytest.mark.parametrize("durability, victim", [("memory", "s2"), ("disk", "s2"), ("disk", "s1")])
def test_a_move_survives_a_kill(start, writer, context, durability, victim):
    cluster = start(durability)
    random.seed(3)
    entries = fill(writer(cluster))
    keys = [b"%snew/%d" % (SUBTREE.encode(), i) for i in range(5000)]
    with WriteLoad(writer(cluster), keys, rate=300) as writes:
        goes_on(writes, "before the move")
        move(cluster, "s2")
        for _ in range(3):
            time.sleep(random.uniform(0, 0.3))
            killed = cluster.kill(victim)
            eventually(lambda: cluster.member(victim), "it is back", 20)
            eventually(lambda: cluster.restarted(victim, killed), "it is ready", 20)
        eventually(lambda: moved(cluster, "s2"), "it has moved", 30)
        goes_on(writes, "after the move")
    assert held(cluster, context) == {**entries, **writes.map}


def test_the_directory_wins_over_the_file(start, writer, context):
    cluster = start("disk")
    entries = fill(writer(cluster))
    move(cluster, "s2", "s3")
    eventually(lambda: moved(cluster, "s2", "s3"), "it has moved", 30)
    move(cluster, "s3")
    eventually(lambda: moved(cluster, "s3"), "it has moved on", 30)
    cluster.stop()
    cluster.start()
    eventually(lambda: moved(cluster, "s3"), "it is where it was", 20)
    assert held(cluster, context) == entries
    move(cluster, "s1")
    eventually(lambda: moved(cluster, "s1"), "it is back", 30)
    assert held(cluster, context) == entries


def test_what_cannot_be_is_refused(start):
    cluster = start("memory")
    for words, why in [
        (("/x/", "s2"), "no partition is called /x/"),
        ((SUBTREE, "s9"), "no shard is called s9"),
        ((SUBTREE, "p1"), "no shard is called p1"),
        ((SUBTREE, "s2,s2"), "twice"),
        ((SUBTREE, ""), "needs 1 to 7 shards"),
    ]:
        refused = canopy(cluster, "move", *words)
        assert refused.returncode == 3 and why in refused.stderr, refused
    move(cluster, "s1")
    assert moved(cluster, "s1")
