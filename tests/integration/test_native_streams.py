"""Native streams and catch-ups in their other forms: the latest values alone, compressed, and by reading."""

import os
import time

from tests.harness import native
from tests.harness.native import write
from tests.harness.native_cluster import cluster, join, requests, writer  # noqa: F401, fixtures
from tests.harness.native_cluster import counted, state_of
from tests.harness.native_watcher import check_promises
from tests.harness.promises import WriteLoad


# -- latest, compression -------------------------------------------------------------------------


def test_latest_conflates_by_key(cluster, clones, join, writer):
    """At most one update of a key per period, always the last one, and the rest is counted."""
    keys = [b"/results/latest/%d" % i for i in range(3)]
    every = join(b"/results/latest/")
    latest = join(b"/results/latest/", latest_ms=300)
    conflated = counted(cluster, "canopy_conflated_updates_total")
    began = time.monotonic()
    with WriteLoad(writer, keys, rate=300) as load:
        clones.run(lambda: len(latest.live) >= 12, "conflated updates flow", 20)
    took = time.monotonic() - began
    clones.agree(load.map, [every, latest])
    received, committed = len(latest.live), sum(load.counters.values())
    assert len(every.live) == committed
    assert received <= len(keys) * (took / 0.3 + 2) and received < committed / 2
    clones.run(
        lambda: counted(cluster, "canopy_conflated_updates_total") - conflated == committed - received,
        "what was left out is counted",
    )
    check_promises(every, latest)
    assert not latest.gaps


def test_latest_joined_in_the_middle_is_exact(cluster, clones, join, writer):
    keys = [b"/results/latest/%d" % i for i in range(3)]
    first = join(b"/results/latest/", latest_ms=200)
    with WriteLoad(writer, keys, rate=300) as load:
        others = []
        for number in range(5):
            clones.run(lambda: len(first.live) > 3 * number, "updates flow")
            others.append(join(b"/results/latest/", latest_ms=200))
        writer_stopped = len(first.live)
    clones.agree(load.map, [first, *others])
    assert len(first.live) >= writer_stopped
    check_promises(first, *others)


def test_an_lz4_stream_tells_the_same(cluster, clones, join, writer):
    """It pays with enough subscribers and repetitive values; the content is the plain stream's."""
    subtree = b"/results/packed/"
    plain = join(subtree)
    packed = [join(subtree, lz4=True) for _ in range(16)]
    for number in range(30):
        writer.write(
            *(write(subtree + b"%d" % i, b"%d of many " % number * 100) for i in range(10))
        )
    clones.run(lambda: len(plain.live) == 300, "the plain stream tells all")
    clones.agree(plain.map, [plain, *packed])
    expected = [(received.key, received.value, received.revision) for received in plain.live]
    for each in packed:
        assert [(received.key, received.value, received.revision) for received in each.live] == expected
    assert not plain.compressed
    assert all(each.compressed == packed[0].compressed > 0 for each in packed)

    def frames():
        return cluster.metrics("p1").sum("canopy_stream_frames_total", encoding="lz4")

    clones.run(lambda: frames() >= packed[0].compressed, "they are counted")
    check_promises(plain, *packed)


def test_noise_is_not_compressed(cluster, clones, join, writer):
    subtree = b"/results/noise/"
    packed = [join(subtree, lz4=True) for _ in range(8)]
    for number in range(20):
        writer.put(subtree + b"%d" % number, os.urandom(2000))
    clones.run(lambda: all(len(each.live) == 20 for each in packed), "every change is reported")
    assert not any(each.compressed for each in packed)
    check_promises(*packed)


# -- reading -------------------------------------------------------------------------------------


def test_a_catch_up_tells_what_changed_since(writer, requests):
    """With the revisions of an earlier one: the entries changed since, and the deletions."""
    subtree = b"/results/since/"
    for name in (b"kept", b"changed", b"deleted", b"came back"):
        writer.put(subtree + name, b"1")
    (first,) = requests.catch_up(subtree)
    assert first.mode == native.FULL and first.count == 4
    writer.put(subtree + b"changed", b"2")
    writer.delete(subtree + b"deleted")
    writer.delete(subtree + b"came back")
    writer.put(subtree + b"came back", b"2")
    writer.put(b"/results/elsewhere", b"not of it")
    (second,) = requests.catch_up(subtree, {first.partition: first.revision})
    assert second.mode == native.CHANGES
    received = {each.key.removeprefix(subtree): each.value for each in second.entries}
    assert received == {b"changed": b"2", b"deleted": None, b"came back": b"2"}
    assert len(second.entries) == 3
    (third,) = requests.catch_up(subtree, {second.partition: second.revision})
    assert (third.mode, third.count) == (native.CHANGES, 0)
    # Of another life of the partition: everything.
    (other,) = requests.catch_up(subtree, {first.partition: first.revision - (1 << 40)})
    assert (other.mode, other.count) == (native.FULL, 3)
    # Of a partition that is none of the subtree's: not told of.
    (fourth,) = requests.catch_up(subtree, {b"/silent/": 1, second.partition: second.revision})
    assert fourth.mode == native.CHANGES


def test_chunks_are_contiguous(writer, requests):
    """The partitions one after another, each key once, and each of one revision."""
    value = os.urandom(60_000)
    expected = {}
    for number in range(20):
        for key in (b"/results/many/%d" % number, b"/results/eu/many/%d" % number):
            writer.put(key, value)
            expected[key] = value
    for chunks in (requests.read(b"/results/"), requests.catch_up(b"/results/")):
        assert len(chunks) >= 5
        entries = [(each.partition, entry) for each in chunks for entry in each.entries]
        assert len({entry.key for _, entry in entries}) == len(entries)
        assert expected.items() <= {entry.key: entry.value for _, entry in entries}.items()
        order = [each.partition for each in chunks]
        assert order == sorted(order, key=order.index)
        assert set(order) == {b"/results/", b"/results/eu/"}
        for before, after in zip(chunks, chunks[1:]):
            same = before.partition == after.partition
            assert before.more == (native.SAME_PARTITION if same else native.NEXT_PARTITION)
        assert chunks[-1].more == native.LAST
        for name in set(order):
            assert len({each.revision for each in chunks if each.partition == name}) == 1
    some = requests.read(b"/results/many/", limit=3)
    assert 3 <= sum(each.count for each in some) < 20, "no more chunks than the limit takes"
    for key in expected:
        writer.delete(key)


def test_a_read_is_one_moment_of_each_partition(cluster, context, clones, join, writer):
    """Values of two keys that are always written together are never seen apart."""
    pair = [b"/results/pair/%d/" % i + b"p" * 100 for i in range(2)]
    writer.write(*(write(key, b"0") for key in pair))
    reader = native.Requests(context, cluster.native("p2"))

    class Pairs:
        def put(self, _, value):
            writer.write(*(write(key, value) for key in pair))

    watcher = join(b"/results/pair/")
    with clones.background(), WriteLoad(Pairs(), [b"both"], rate=300) as load:
        while load.counters[b"both"] < 50:
            state = state_of(reader, b"/results/pair/")
            assert state[pair[0]] == state[pair[1]]
    last = b"%d" % load.counters[b"both"]
    clones.agree(dict.fromkeys(pair, last), [watcher])
    revisions = [each.revision for each in watcher.live]
    assert all(b == a + 1 for a, b in zip(revisions, revisions[1:])), "consecutive revisions"
    reader.close()
