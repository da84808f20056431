"""Unmodified Clone clients of every dialect on a sharded cluster: put and get, snapshots, subtree
filters, bare keys, deletes."""

import itertools

import pytest

from clone import Subscriber
from clusterfile import DIALECTS, proxy, shard
from promises import check_filtered, check_protocol
from scrape import get

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("results", "/results/"), shard("rest", "*")], [proxy("p1"), proxy("p2")]
    )


@pytest.fixture
def place():
    """A subtree that no other test writes to, in the partition /results/."""
    return b"/results/place-%d/" % next(numbers)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_update_reaches_clients_of_every_proxy(cluster, flock, place, dialect):
    here = flock.join(dialect, cluster.triple("p1", dialect), place)
    there = flock.join(dialect, cluster.triple("p2", dialect), place)
    here.put(place + b"a", b"one")
    flock.agree({place + b"a": b"one"})
    there.put(place + b"b", b"two")
    flock.agree({place + b"a": b"one", place + b"b": b"two"})
    check_protocol(here, there)


@pytest.mark.parametrize("writing", DIALECTS)
def test_dialects_share_one_tree(cluster, flock, place, writing):
    writer = flock.writer(writing, cluster.triple("p1", writing))
    early = [flock.join(each, cluster.triple("p2", each), place) for each in DIALECTS]
    writer.put(place + b"k", b"value")
    flock.agree({place + b"k": b"value"}, early)
    late = [flock.join(each, cluster.triple("p1", each), place) for each in DIALECTS]
    flock.agree({place + b"k": b"value"}, late)
    check_protocol(*early, *late)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_snapshot_then_updates(cluster, flock, place, dialect):
    first = flock.join(dialect, cluster.triple("p1", dialect), place)
    expected = {place + b"%d" % i: b"value %d" % i for i in range(50)}
    for key, value in expected.items():
        first.put(key, value)
    flock.agree(expected)
    # The mirror of the other proxy may be a moment behind.
    other = flock.join(dialect, cluster.triple("p2", dialect), place)
    flock.agree(expected, [other])
    second = flock.join(dialect, cluster.triple("p2", dialect), place)
    assert second.map == expected, "the snapshot alone holds everything"
    assert not second.live
    first.put(place + b"7", b"newer")
    expected[place + b"7"] = b"newer"
    flock.agree(expected)
    assert [update.key for update in second.live] == [place + b"7"]
    check_protocol(first, second)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_subtree_is_all_that_one_gets(cluster, flock, place, dialect):
    triple = cluster.triple("p1", dialect)
    whole = flock.join(dialect, triple, place)
    inner = flock.join(dialect, triple, place + b"eu/")
    prefix = flock.join(dialect, triple, place + b"eu")  # any prefix may be watched
    keys = [b"eu/1", b"eu/x/2", b"europe", b"us/1", b"e"]
    for key in keys:
        whole.put(place + key, b"v-" + key)
    flock.agree({place + key: b"v-" + key for key in keys}, [whole])
    flock.agree({place + key: b"v-" + key for key in keys[:2]}, [inner])
    flock.agree({place + key: b"v-" + key for key in keys[:3]}, [prefix])
    late = flock.join(dialect, triple, place + b"eu/")
    assert late.map == inner.map, "snapshots are filtered alike"
    check_filtered(place + b"eu/", inner, late)
    check_filtered(place + b"eu", prefix)


@pytest.mark.parametrize("dialect", ["kvsimple", "kvmsg"])
def test_a_request_without_a_subtree_means_the_root(cluster, flock, place, dialect):
    writer = flock.writer(dialect, cluster.triple("p1", dialect))
    watcher = flock.join(dialect, cluster.triple("p2", dialect), b"")
    bare = b"bare-%d" % next(numbers)
    writer.put(bare, b"1")
    writer.put(place + b"k", b"2")
    flock.run(lambda: {bare, place + b"k"} <= watcher.map.keys(), "both updates arrive")
    model3 = flock.join(dialect, cluster.triple("p2", dialect), None)
    assert model3.map == watcher.map
    assert model3.map[bare] == b"1" and model3.map[place + b"k"] == b"2"
    writer.put(bare, b"3")
    flock.run(lambda: model3.map[bare] == b"3", "it goes on with updates")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_bare_keys_are_keys(cluster, flock, dialect):
    keys = [b"bare-%d" % next(numbers), b"%d" % next(numbers), b"\xff\xfe %d" % next(numbers)]
    triple = cluster.triple("p1", dialect)
    watcher = flock.join(dialect, triple, b"")
    for key in keys:
        watcher.put(key, b"of " + key)
    flock.run(lambda: all(watcher.map.get(key) == b"of " + key for key in keys), "they arrive")
    narrow = flock.join(dialect, cluster.triple("p2", dialect), keys[0])
    assert narrow.map == {keys[0]: b"of " + keys[0]}, "a full key is a subtree of one"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_empty_value_deletes(cluster, flock, place, dialect):
    here = flock.join(dialect, cluster.triple("p1", dialect), place)
    there = flock.join(dialect, cluster.triple("p2", dialect), place)
    here.put(place + b"a", b"1")
    here.put(place + b"b", b"2")
    flock.agree({place + b"a": b"1", place + b"b": b"2"})
    here.delete(place + b"a")
    flock.agree({place + b"b": b"2"})
    assert there.live[-1].key == place + b"a" and there.live[-1].value == b""
    late = flock.join(dialect, cluster.triple("p2", dialect), place)
    assert late.map == {place + b"b": b"2"}
    here.put(place + b"a", b"again")
    flock.agree({place + b"a": b"again", place + b"b": b"2"})


def test_model_1_is_a_subscriber_and_nothing_else(cluster, flock, context, place):
    model1 = flock.add(Subscriber(context, cluster.triple("p1", "kvsimple")))
    writer = flock.writer("kvsimple", cluster.triple("p2", "kvsimple"))

    def something_arrived():
        # Nothing tells a model-1 client that it is subscribed: updates until one arrives.
        writer.put(place + b"probe", b"x")
        return model1.map

    flock.run(something_arrived, "a model-1 client gets updates")
    for i in range(20):
        writer.put(place + b"%d" % i, b"%d" % i)
    flock.run(lambda: place + b"19" in model1.map, "all updates arrive")
    assert [model1.map.get(place + b"%d" % i) for i in range(20)] == [b"%d" % i for i in range(20)]
    check_protocol(model1)


@pytest.mark.parametrize("size", [1, 8191, 8192, 256 * 1024, 1024 * 1024])
def test_values_of_any_size_up_to_the_limit(cluster, flock, place, size):
    """Binary, and across every internal buffer size."""
    here = flock.join("kvmsg", cluster.triple("p1", "kvmsg"), place)
    flock.join("kvsimple", cluster.triple("p2", "kvsimple"), place)
    value = bytes(i * 31 % 256 for i in range(min(size, 4096))) * max(1, size // 4096)
    here.put(place + b"big", value)
    flock.agree({place + b"big": value})
    flock.join("kvsimple", cluster.triple("p1", "kvsimple"), place)
    flock.agree({place + b"big": value})


def test_the_topology_lists_the_endpoints(cluster):
    for name in ("p1", "p2"):
        member = cluster.member(name)
        for dialect in DIALECTS:
            listed = member[dialect]
            assert (listed["snapshot"], listed["updates"], listed["collector"]) == cluster.triple(
                name, dialect
            )
        assert member["max_clients"] == 300 and member["state"] == "ready"
    assert get(cluster.http("p1"), "/livez")[0] == 200
    assert cluster.partition("results", "/results/")["epoch"] >= 1
