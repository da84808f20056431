"""Unmodified Clone clients of every dialect on a sharded cluster: put and get, snapshots, subtree
filters, bare keys, deletes."""

import itertools

import pytest

from tests.harness.clone import Subscriber
from tests.harness.clusterfile import DIALECTS, proxy, shard
from tests.harness.promises import check_filtered, check_protocol
from tests.harness.scrape import get

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
def test_an_update_reaches_clients_of_every_proxy(cluster, clones, place, dialect):
    here = clones.join(dialect, cluster.triple("p1", dialect), place)
    there = clones.join(dialect, cluster.triple("p2", dialect), place)
    here.put(place + b"a", b"one")
    clones.agree({place + b"a": b"one"})
    there.put(place + b"b", b"two")
    clones.agree({place + b"a": b"one", place + b"b": b"two"})
    check_protocol(here, there)


@pytest.mark.parametrize("writing", DIALECTS)
def test_dialects_share_one_tree(cluster, clones, place, writing):
    writer = clones.writer(writing, cluster.triple("p1", writing))
    early = [clones.join(each, cluster.triple("p2", each), place) for each in DIALECTS]
    writer.put(place + b"k", b"value")
    clones.agree({place + b"k": b"value"}, early)
    late = [clones.join(each, cluster.triple("p1", each), place) for each in DIALECTS]
    clones.agree({place + b"k": b"value"}, late)
    check_protocol(*early, *late)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_snapshot_then_updates(cluster, clones, place, dialect):
    first = clones.join(dialect, cluster.triple("p1", dialect), place)
    expected = {place + b"%d" % i: b"value %d" % i for i in range(50)}
    for key, value in expected.items():
        first.put(key, value)
    clones.agree(expected)
    # The mirror of the other proxy may be a moment behind.
    other = clones.join(dialect, cluster.triple("p2", dialect), place)
    clones.agree(expected, [other])
    second = clones.join(dialect, cluster.triple("p2", dialect), place)
    assert second.map == expected, "the snapshot alone holds everything"
    assert not second.live
    first.put(place + b"7", b"newer")
    expected[place + b"7"] = b"newer"
    clones.agree(expected)
    assert [update.key for update in second.live] == [place + b"7"]
    check_protocol(first, second)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_subtree_is_all_that_one_gets(cluster, clones, place, dialect):
    triple = cluster.triple("p1", dialect)
    whole = clones.join(dialect, triple, place)
    inner = clones.join(dialect, triple, place + b"eu/")
    prefix = clones.join(dialect, triple, place + b"eu")  # any prefix may be watched
    keys = [b"eu/1", b"eu/x/2", b"europe", b"us/1", b"e"]
    for key in keys:
        whole.put(place + key, b"v-" + key)
    clones.agree({place + key: b"v-" + key for key in keys}, [whole])
    clones.agree({place + key: b"v-" + key for key in keys[:2]}, [inner])
    clones.agree({place + key: b"v-" + key for key in keys[:3]}, [prefix])
    late = clones.join(dialect, triple, place + b"eu/")
    assert late.map == inner.map, "snapshots are filtered alike"
    check_filtered(place + b"eu/", inner, late)
    check_filtered(place + b"eu", prefix)


@pytest.mark.parametrize("dialect", ["kvsimple", "kvmsg"])
def test_a_request_without_a_subtree_means_the_root(cluster, clones, place, dialect):
    writer = clones.writer(dialect, cluster.triple("p1", dialect))
    watcher = clones.join(dialect, cluster.triple("p2", dialect), b"")
    bare = b"bare-%d" % next(numbers)
    writer.put(bare, b"1")
    writer.put(place + b"k", b"2")
    clones.run(lambda: {bare, place + b"k"} <= watcher.map.keys(), "both updates arrive")
    model3 = clones.join(dialect, cluster.triple("p2", dialect), None)
    assert model3.map == watcher.map
    assert model3.map[bare] == b"1" and model3.map[place + b"k"] == b"2"
    writer.put(bare, b"3")
    clones.run(lambda: model3.map[bare] == b"3", "it goes on with updates")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_bare_keys_are_keys(cluster, clones, dialect):
    keys = [b"bare-%d" % next(numbers), b"%d" % next(numbers), b"\xff\xfe %d" % next(numbers)]
    triple = cluster.triple("p1", dialect)
    watcher = clones.join(dialect, triple, b"")
    for key in keys:
        watcher.put(key, b"of " + key)
    clones.run(lambda: all(watcher.map.get(key) == b"of " + key for key in keys), "they arrive")
    narrow = clones.join(dialect, cluster.triple("p2", dialect), keys[0])
    assert narrow.map == {keys[0]: b"of " + keys[0]}, "a full key is a subtree of one"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_empty_value_deletes(cluster, clones, place, dialect):
    here = clones.join(dialect, cluster.triple("p1", dialect), place)
    there = clones.join(dialect, cluster.triple("p2", dialect), place)
    here.put(place + b"a", b"1")
    here.put(place + b"b", b"2")
    clones.agree({place + b"a": b"1", place + b"b": b"2"})
    here.delete(place + b"a")
    clones.agree({place + b"b": b"2"})
    assert there.live[-1].key == place + b"a" and there.live[-1].value == b""
    late = clones.join(dialect, cluster.triple("p2", dialect), place)
    assert late.map == {place + b"b": b"2"}
    here.put(place + b"a", b"again")
    clones.agree({place + b"a": b"again", place + b"b": b"2"})


def test_model_1_is_a_subscriber_and_nothing_else(cluster, clones, context, place):
    model1 = clones.add(Subscriber(context, cluster.triple("p1", "kvsimple")))
    writer = clones.writer("kvsimple", cluster.triple("p2", "kvsimple"))

    def something_arrived():
        # Nothing tells a model-1 client that it is subscribed: updates until one arrives.
        writer.put(place + b"probe", b"x")
        return model1.map

    clones.run(something_arrived, "a model-1 client gets updates")
    for i in range(20):
        writer.put(place + b"%d" % i, b"%d" % i)
    clones.run(lambda: place + b"19" in model1.map, "all updates arrive")
    assert [model1.map.get(place + b"%d" % i) for i in range(20)] == [b"%d" % i for i in range(20)]
    check_protocol(model1)


@pytest.mark.parametrize("size", [1, 8191, 8192, 256 * 1024, 1024 * 1024])
def test_values_of_any_size_up_to_the_limit(cluster, clones, place, size):
    """Binary, and across every internal buffer size."""
    here = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), place)
    clones.join("kvsimple", cluster.triple("p2", "kvsimple"), place)
    value = bytes(i * 31 % 256 for i in range(min(size, 4096))) * max(1, size // 4096)
    here.put(place + b"big", value)
    clones.agree({place + b"big": value})
    clones.join("kvsimple", cluster.triple("p1", "kvsimple"), place)
    clones.agree({place + b"big": value})


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
