"""A killed shard is back with its partitions in a new epoch: with `disk` the map is exact, and what
was published is kept; with `memory` it is empty, and everybody agrees with that."""

import contextlib
import os
import random
import time

from tests.harness.clones import all_agree, join_everywhere
from tests.harness.clusterfile import DIALECTS, partition, proxy, shard
from tests.harness.promises import WriteLoad, check_never_back, check_protocol, counter_of
from tests.harness.waiting import eventually, seconds

ROUNDS = int(os.environ.get("CANOPY_TEST_KILLS", "20"))


def epochs(cluster, name):
    return {part["subtree"]: part["epoch"] for part in cluster.member(name)["partitions"]}


def disk(subtree, **settings):
    return partition(subtree, durability="disk", **settings)


def lost(client, published):
    """The keys of which a client holds less than what was published."""
    held = {key: counter_of(client.map.get(key, b"")) for key in published}
    return [(key, published[key], held[key]) for key in published if held[key] < published[key]]


def kill_under_load(cluster, clones, shards, loads, observers, rounds):
    """Kills shards while loads write; checks after each that what was published is kept."""
    random.seed(7)
    for number in range(rounds):
        name = shards[number % len(shards)]
        count = len(observers[0].history)
        clones.run(lambda: len(observers[0].history) > count + 50, "updates flow", 30)
        clones.run_for(random.uniform(0, 0.2))
        old = epochs(cluster, name)
        before = cluster.kill(name)
        clones.run(lambda: cluster.restarted(name, before), f"{name} is back", 30)
        new = epochs(cluster, name)
        assert all(new[subtree] > old[subtree] for subtree in old), f"epochs {old} then {new}"
        published = {}
        for observer in observers:
            for key, value in dict(observer.map).items():
                published[key] = max(published.get(key, 0), counter_of(value))
        joiner = clones.join("kvmsg", cluster.triple(f"p{1 + number % 2}", "kvmsg"))
        # Its proxy may still be catching up with the new leader.
        with contextlib.suppress(AssertionError):
            clones.run(lambda: not lost(joiner, published), "", 10)
        assert not lost(joiner, published), f"kill {number + 1}: (key, was, is)"
        check_protocol(joiner)
        clones.leave(joiner)
    for load in loads:
        load.stop()


def test_disk_is_exact_after_kill_9_under_load(start_cluster, clones):
    cluster = start_cluster(
        [shard("a", disk("/a/"), disk("/a/inner/")), shard("rest", disk("*", sync="always"))],
        [proxy("p1"), proxy("p2")],
    )
    places = [b"/a/", b"/a/inner/", b"/z/", b""]
    loads = [
        WriteLoad(
            clones.writer("kvsimple", cluster.triple(name, "kvsimple")),
            [place + name.encode() + b"-%d" % i for place in places for i in range(5)],
            rate=500,
        )
        for name in ("p1", "p2")
    ]
    observers = join_everywhere(cluster, clones)
    for load in loads:
        load.start()
    kill_under_load(cluster, clones, ["a", "rest"], loads, observers, ROUNDS)
    everything = all_agree(cluster, clones, observers)
    assert everything.keys() == {key for load in loads for key in load.counters}
    check_protocol(*observers)
    check_never_back(*observers)
    # Its clients go on: the next updates reach everybody.
    observers[0].put(b"/a/last", b"%d" % 1)
    clones.run(lambda: all(b"/a/last" in each.map for each in observers), "new updates arrive")


def same_epoch(cluster, *names):
    return len({cluster.metrics(name).sum("canopy_epoch") for name in names}) == 1


def test_interval_sync_loses_no_more_than_its_window(start_cluster, clones):
    window = 0.3
    cluster = start_cluster(
        [shard("s1", disk("*", sync="interval", sync_interval_ms=int(window * 1000)))],
        [proxy("p1"), proxy("p2")],
    )
    observers = [clones.join("kvmsg", cluster.triple(p, "kvmsg")) for p in ("p1", "p2")]
    keys = [b"/k/%d" % i for i in range(10)]
    for number in range(max(2, ROUNDS // 5)):
        load = WriteLoad(clones.writer("kvmsg", cluster.triple("p1", "kvmsg")), keys, rate=500)
        load.counters.update((key, counter_of(observers[0].map.get(key, b""))) for key in keys)
        with load:
            start = len(observers[0].history)
            clones.run(lambda: len(observers[0].history) > start + 400, "updates flow", 30)
        # Nothing is written any more: what is published but younger than the window may be lost.
        killed = time.monotonic()
        before = cluster.kill("s1")
        clones.run(lambda: cluster.restarted("s1", before), "the shard is back", 30)
        # Until then a proxy shows what had been published.
        clones.run(lambda: same_epoch(cluster, "s1", "p1", "p2"), "the proxies have met it", 30)
        joiner = clones.join("kvmsg", cluster.triple("p1", "kvmsg"))
        due = {}
        for update in observers[0].history:
            if update.at < killed - window - seconds(0.3):
                due[update.key] = counter_of(update.value)
        for key, counter in due.items():
            kept = counter_of(joiner.map.get(key, b""))
            assert kept >= counter, f"kill {number + 1}: {key} was {counter}, now {kept}"
        clones.agree(joiner.map, observers)  # they went back to what was kept
        clones.leave(joiner)
    check_protocol(*observers)


def test_memory_is_empty_and_everybody_agrees(start_cluster, clones):
    cluster = start_cluster(
        [shard("mem", "/mem/"), shard("rest", disk("*"))], [proxy("p1"), proxy("p2")]
    )
    clients = join_everywhere(cluster, clones)
    kept = {b"/kept/%d" % i: b"v" for i in range(50)}
    lost = {b"/mem/%d" % i: b"v" for i in range(50)}
    for key, value in {**kept, **lost}.items():
        clients[0].put(key, value)
    clones.agree({**kept, **lost})
    before = cluster.kill("mem")
    clones.run(lambda: cluster.restarted("mem", before), "the shard is back")
    clones.agree(kept)
    for each in clients:
        gone = {update.key for update in each.live if not update.value}
        assert gone == lost.keys(), "clients are told by deletes"
    late = [clones.join(each, cluster.triple("p2", each)) for each in DIALECTS]
    assert all(each.map == kept for each in late)
    clients[0].put(b"/mem/1", b"new")
    clones.agree({**kept, b"/mem/1": b"new"})
    check_protocol(*clients, *late)


def test_all_processes_killed_at_once(start_cluster, clones):
    cluster = start_cluster(
        [shard("s1", disk("/a/")), shard("s2", disk("*"))], [proxy("p1"), proxy("p2")]
    )
    client = clones.join("kvsimple", cluster.triple("p1", "kvsimple"))
    expected = {place + b"%d" % i: b"v" for place in (b"/a/", b"/b/") for i in range(100)}
    for key, value in expected.items():
        client.put(key, value)
    clones.agree(expected)
    killed = {name: cluster.kill(name) for name in cluster.names}
    eventually(
        lambda: all(cluster.restarted(name, before) for name, before in killed.items()),
        "all are back",
        30,
    )
    late = [clones.join(each, cluster.triple("p2", each)) for each in DIALECTS]
    assert all(each.map == expected for each in late)


def test_retain_false_is_ordered_and_not_kept(start_cluster, clones):
    cluster = start_cluster(
        [shard("s1", partition("/events/", retain=False), "*")], [proxy("p1"), proxy("p2")]
    )
    clients = [clones.join(each, cluster.triple("p1", each), b"/events/") for each in DIALECTS]
    writer = clones.writer("kvsimple", cluster.triple("p2", "kvsimple"))
    for i in range(500):
        writer.put(b"/events/%d" % (i % 3), b"%d" % i)
    clones.run(lambda: all(len(each.live) == 500 for each in clients), "all events arrive")
    for each in clients:
        assert [int(update.value) for update in each.live] == list(range(500))
    check_protocol(*clients)
    late = [clones.join(each, cluster.triple("p2", each), b"/events/") for each in DIALECTS]
    assert all(each.map == {} for each in late), "its snapshot is empty"
