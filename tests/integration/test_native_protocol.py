"""The native protocol against running processes: watches, reads and the directory, each promise seen
from outside. Writes are in test_native_writes.py."""

import json
import os
import time

import pytest

import native
from clusterfile import partition, proxy, shard
from native import KICK, LIST, PING, UNWATCH, WATCH, Batch, Refusal, Writer, write
from native_watcher import Watcher, check_promises
from promises import Hammer, check_unbroken
from waiting import eventually

# Nested, on two shards.
PARTITIONS = (b"", b"/results/", b"/results/eu/", b"/silent/")
KEYS = [b"/results/a", b"/results/b", b"/results/eu/a", b"/results/eu/at/a", b"/other/a", b"/o/b"]


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [
            shard("s1", "/results/", "*"),
            shard("s2", "/results/eu/", partition("/silent/", retain=False)),
        ],
        [proxy("p1"), proxy("p2")],
    )


@pytest.fixture
def writer(cluster, context):
    made = Writer(context, cluster.native("p1"), cluster.native("p2"))
    yield made
    made.close()


@pytest.fixture
def requests(cluster, context):
    made = native.Requests(context, cluster.native("p1"))
    yield made
    made.close()


@pytest.fixture
def join(cluster, context, flock):
    def joined(subtree=b"", proxy_name="p1", wait=True, **options):
        watcher = flock.add(Watcher(context, [cluster.native(proxy_name)], subtree, **options))
        if wait:
            flock.run(lambda: watcher.active, "a native client gets its snapshot")
        return watcher

    return joined


def state_of(requests, subtree=b""):
    """What a plain read tells."""
    return {each.key: each.value for chunk in requests.read(subtree) for each in chunk.entries}


def below(subtree, state):
    return {key: value for key, value in state.items() if native.covers(subtree, key)}


def counted(cluster, series, **labels):
    return sum(cluster.metrics(name).sum(series, **labels) for name in cluster.names)


# -- watching ------------------------------------------------------------------------------------


def test_snapshot_and_stream_join_exactly(flock, join, writer):
    """Clients that join in the middle of writing see each key count up by one from their cut."""
    early = join()
    with Hammer(writer, KEYS, rate=400) as hammer:
        joined = []
        for number in range(8):
            flock.run(lambda: len(early.live) > 40 * number, "updates flow")
            joined.append(join([b"", b"/results/", b"/results/eu/", KEYS[0]][number % 4]))
        flock.run(lambda: len(joined[-1].live) > 10, "the last one in follows")
    flock.run(lambda: hammer.map.items() <= early.map.items(), "everything written is told")
    for each in joined:
        flock.agree(below(each.subtree, early.map), [each])
    check_promises(early, *joined)
    check_unbroken(early, *joined)
    assert not any(each.gaps or len(each.catch_ups) != 1 for each in [early, *joined])


@pytest.mark.parametrize(
    "subtree,partitions",
    [
        (b"", PARTITIONS),
        (b"/results/", (b"/results/", b"/results/eu/")),
        (b"/results/eu/", (b"/results/eu/",)),
        (b"/results/eu/at/", (b"/results/eu/",)),
        (b"/results/eu/at/a", (b"/results/eu/",)),
        (b"/results/a", (b"/results/",)),
        (b"/results/b/", (b"/results/",)),
        (b"/results/none", (b"/results/",)),
    ],
)
def test_every_kind_of_subtree(flock, join, writer, requests, subtree, partitions):
    for key in KEYS:
        writer.put(key, b"before " + key)
    watcher = join(subtree)
    # Exactly the partitions that touch the subtree, once each, and only their keys.
    assert sorted(watcher.known) == sorted(partitions)
    assert watcher.map == below(subtree, state_of(requests))
    assert [set(each.modes.values()) for each in watcher.catch_ups] == [{native.FULL}]
    for key in KEYS:
        writer.put(key, b"after " + key)
    writer.delete(KEYS[1])
    everything = state_of(requests)
    assert KEYS[1] not in everything and everything[KEYS[0]] == b"after " + KEYS[0]
    flock.agree(below(subtree, everything), [watcher])
    told = [told.key for told in watcher.live]
    expected = [key for key in KEYS + [KEYS[1]] if native.covers(subtree, key)]
    assert told == expected
    check_promises(watcher)


class Watches:
    """Watches of one connection, by their numbers, and what the streams bring."""

    def __init__(self, context, endpoint, *subtrees):
        self.requests = native.Requests(context, endpoint)
        for number, subtree in enumerate(subtrees, 1):
            self.requests.send(WATCH, number, subtree, 0, 0, {})
        self.caught_up, self.batches = {}, []
        eventually(lambda: self.receive() and len(self.caught_up) == len(subtrees), "all are live")

    def receive(self):
        while self.requests.socket.poll(0):
            message = self.requests.answer()
            if isinstance(message, native.CaughtUp):
                self.caught_up[message.request] = message
            elif isinstance(message, Batch):
                self.batches.append(message)
            else:
                assert not isinstance(message, (Refusal, native.Gap)), message
        return True

    def values(self, number):
        """What the watch's stream has brought since it is live, checked for holes."""
        (_, stream, position), found = self.caught_up[number], []
        for batch in self.batches:
            if batch.stream != stream:
                continue
            assert batch.after <= position, "a hole"
            found += [entry.value for entry in batch.entries[position - batch.after :]]
            position = max(position, batch.after + batch.count)
        return found


def test_one_connection_carries_several_watches(cluster, context, writer):
    """Each subscription has a stream with its own positions; two watches of one share it, and each
    of its batches comes once."""
    watches = Watches(context, cluster.native("p1"), *["/results/a", "/results/b", "/results/a"])
    streams = {number: each.stream for number, each in watches.caught_up.items()}
    assert streams[1] == streams[3] != streams[2]
    writer.put(b"/results/a", b"1")
    writer.put(b"/results/b", b"2")
    writer.put(b"/results/a", b"3")
    eventually(
        lambda: watches.receive()
        and [watches.values(number) for number in (1, 2, 3)] == [[b"1", b"3"], [b"2"], [b"1", b"3"]],
        "each stream has its own",
    )
    brought = [each.after for each in watches.batches if each.stream == streams[1] and each.count]
    assert len(set(brought)) == len(brought), "each batch once"
    watches.requests.send(UNWATCH, 2)
    watches.requests.send(PING, 9)
    while watches.requests.answer() != native.Pong(9):
        pass
    watches.batches.clear()
    writer.put(b"/results/b", b"4")
    revision = writer.put(b"/results/a", b"5")
    eventually(
        lambda: watches.receive()
        and any(revision in each.revisions.values() for each in watches.batches),
        "the others go on",
    )
    assert streams[2] not in {each.stream for each in watches.batches}, "what was ended has ended"
    watches.requests.close()


def test_heartbeats_each_second_carry_all_revisions(cluster, flock, join, writer):
    watcher = join(b"/results/")
    revision = writer.put(b"/results/a", b"1")
    flock.run(lambda: watcher.known[b"/results/"] >= revision, "the stream says the revision")
    watcher.heartbeats.clear()
    flock.run(lambda: len(watcher.heartbeats) >= 5, "heartbeats")
    assert watcher.heartbeats[4][0] - watcher.heartbeats[0][0] > 3, "not more often"
    for _, revisions in watcher.heartbeats:
        assert revisions == watcher.known
        assert revisions.keys() == {b"/results/", b"/results/eu/"}
    quiet = join(b"/results/quiet")
    revision = writer.put(b"/results/a", b"2")
    flock.run(lambda: quiet.known[b"/results/"] >= revision, "a stream without news says it, too")
    assert not quiet.live


def test_ttl_and_properties_are_passed_on(cluster, flock, join, writer, requests):
    watcher = join(b"/results/ttl/")
    before = time.time() * 1000
    writer.put(b"/results/ttl/short", b"v", ttl_ms=1500, properties=b"name=value\n")
    writer.put(b"/results/ttl/long", b"v", ttl_ms=3_600_000)
    (short, long) = (requests.get(b"/results/ttl/" + name) for name in (b"short", b"long"))
    assert before + 1500 - 50 <= short.expires_at_ms <= time.time() * 1000 + 1500
    assert short.properties == b"name=value\n"
    assert long.expires_at_ms >= before + 3_600_000 - 50 and long.properties == b""
    flock.agree({b"/results/ttl/short": b"v", b"/results/ttl/long": b"v"}, [watcher])
    flock.agree({b"/results/ttl/long": b"v"}, [watcher])  # an ordinary update of the shard
    assert time.time() * 1000 >= short.expires_at_ms
    assert watcher.live[-1].key == b"/results/ttl/short" and watcher.live[-1].value is None
    writer.put(b"/results/ttl/long", b"w")
    assert requests.get(b"/results/ttl/long").expires_at_ms == 0
    check_promises(watcher)


def test_keys_and_values_of_any_bytes(flock, join, writer):
    entries = {
        b"/results/\xff\xfe": b"\x00\xff",
        b"/results/" + b"k" * 246: b"long key",
        b"/results/k\xc3\xa4": b"",  # an empty value is a value
        b"/results/big": os.urandom(1 << 20),
        b"/results/ / /": b" ",
    }
    watcher = join(b"/results/")
    for key, value in entries.items():
        writer.put(key, value)
    flock.run(lambda: entries.items() <= watcher.map.items(), "all of it is told live")
    late = join(b"/results/")
    assert late.map == watcher.map
    for key in entries:
        writer.delete(key)
    flock.run(lambda: not entries.keys() & (late.map.keys() | watcher.map.keys()), "and is gone")
    check_promises(watcher, late)


# -- latest, compression -------------------------------------------------------------------------


def test_latest_conflates_by_key(cluster, flock, join, writer):
    """At most one update of a key per period, always the last one, and the rest is counted."""
    keys = [b"/results/latest/%d" % i for i in range(3)]
    every = join(b"/results/latest/")
    latest = join(b"/results/latest/", latest_ms=300)
    conflated = counted(cluster, "canopy_conflated_updates_total")
    began = time.monotonic()
    with Hammer(writer, keys, rate=300) as hammer:
        flock.run(lambda: len(latest.live) >= 12, "conflated updates flow", 20)
    took = time.monotonic() - began
    flock.agree(hammer.map, [every, latest])
    told, committed = len(latest.live), sum(hammer.counters.values())
    assert len(every.live) == committed
    assert told <= len(keys) * (took / 0.3 + 2) and told < committed / 2
    flock.run(
        lambda: counted(cluster, "canopy_conflated_updates_total") - conflated == committed - told,
        "what was left out is counted",
    )
    check_promises(every, latest)
    assert not latest.gaps


def test_latest_joined_in_the_middle_is_exact(cluster, flock, join, writer):
    keys = [b"/results/latest/%d" % i for i in range(3)]
    first = join(b"/results/latest/", latest_ms=200)
    with Hammer(writer, keys, rate=300) as hammer:
        others = []
        for number in range(5):
            flock.run(lambda: len(first.live) > 3 * number, "updates flow")
            others.append(join(b"/results/latest/", latest_ms=200))
        writer_stopped = len(first.live)
    flock.agree(hammer.map, [first, *others])
    assert len(first.live) >= writer_stopped
    check_promises(first, *others)


def test_an_lz4_stream_tells_the_same(cluster, flock, join, writer):
    """It pays with enough subscribers and repetitive values; the content is the plain stream's."""
    subtree = b"/results/packed/"
    plain = join(subtree)
    packed = [join(subtree, lz4=True) for _ in range(16)]
    for number in range(30):
        writer.write(
            *(write(subtree + b"%d" % i, b"%d of many " % number * 100) for i in range(10))
        )
    flock.run(lambda: len(plain.live) == 300, "the plain stream tells all")
    flock.agree(plain.map, [plain, *packed])
    expected = [(told.key, told.value, told.revision) for told in plain.live]
    for each in packed:
        assert [(told.key, told.value, told.revision) for told in each.live] == expected
    assert not plain.compressed
    assert all(each.compressed == packed[0].compressed > 0 for each in packed)

    def frames():
        return cluster.metrics("p1").sum("canopy_stream_frames_total", encoding="lz4")

    flock.run(lambda: frames() >= packed[0].compressed, "they are counted")
    check_promises(plain, *packed)


def test_noise_is_not_compressed(cluster, flock, join, writer):
    subtree = b"/results/noise/"
    packed = [join(subtree, lz4=True) for _ in range(8)]
    for number in range(20):
        writer.put(subtree + b"%d" % number, os.urandom(2000))
    flock.run(lambda: all(len(each.live) == 20 for each in packed), "all of it is told")
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
    told = {each.key.removeprefix(subtree): each.value for each in second.entries}
    assert told == {b"changed": b"2", b"deleted": None, b"came back": b"2"}
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


def test_a_read_is_one_moment_of_each_partition(cluster, context, flock, join, writer):
    """Values of two keys that are always written together are never seen apart."""
    pair = [b"/results/pair/%d/" % i + b"p" * 100 for i in range(2)]
    writer.write(*(write(key, b"0") for key in pair))
    reader = native.Requests(context, cluster.native("p2"))

    class Pairs:
        def put(self, _, value):
            writer.write(*(write(key, value) for key in pair))

    watcher = join(b"/results/pair/")
    with flock.background(), Hammer(Pairs(), [b"both"], rate=300) as hammer:
        while hammer.counters[b"both"] < 50:
            state = state_of(reader, b"/results/pair/")
            assert state[pair[0]] == state[pair[1]]
    last = b"%d" % hammer.counters[b"both"]
    flock.agree(dict.fromkeys(pair, last), [watcher])
    revisions = [each.revision for each in watcher.live]
    assert all(b == a + 1 for a, b in zip(revisions, revisions[1:])), "consecutive revisions"
    reader.close()


# -- dialects, directory -------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["kvsimple", "kvmsg", "chp"])
def test_the_dialects_agree(cluster, flock, join, writer, dialect):
    """Clone clients see what native ones write, and the other way round, expiry included."""
    subtree = b"/results/mixed/%s/" % dialect.encode()
    clone = flock.join(dialect, cluster.triple("p1", dialect), subtree)
    watcher = join(subtree, "p2")
    writer.put(subtree + b"native", b"1", properties=b"by=native\n")
    clone.put(subtree + b"clone", b"2")
    expected = {subtree + b"native": b"1", subtree + b"clone": b"2"}
    flock.agree(expected, [clone, watcher])
    if dialect != "kvsimple":
        assert clone.history[0].properties == b"by=native\n"
    writer.put(subtree + b"native-ttl", b"3", ttl_ms=700)
    if dialect != "kvsimple":
        clone.put(subtree + b"clone-ttl", b"4", ttl=1)
        flock.run(lambda: watcher.map.get(subtree + b"clone-ttl") == b"4", "it is told")
    flock.run(lambda: subtree + b"native-ttl" in clone.map, "it is told")
    flock.agree(expected, [clone, watcher])  # both have expired
    clone.delete(subtree + b"native")
    writer.delete(subtree + b"clone")
    flock.agree({}, [clone, watcher])
    assert flock.join(dialect, cluster.triple("p2", dialect), subtree).map == {}
    assert join(subtree).map == {}
    assert not clone.faults
    check_promises(watcher)


def test_the_broker_tells_who_is_there(cluster, context):
    broker = native.Requests(context, cluster.broker_endpoint)
    proxies = broker.directory("proxies/")
    assert proxies.keys() == {"proxies/p1", "proxies/p2"}
    for name in ("p1", "p2"):
        member = json.loads(proxies[f"proxies/{name}"])
        assert member["state"] == "ready" and member["max_clients"] == 300
        assert member["clients"] >= 0
        assert member["native"] == cluster.native(name)
    assert broker.directory("shards/").keys() == {"shards/s1", "shards/s2"}
    assert broker.directory("shards/s2").keys() == {"shards/s2"}
    assert broker.directory("nothing/") == {}
    assert broker.directory("").keys() >= proxies.keys() | {"shards/s1", "shards/s2"}
    broker.close()


def test_connections_are_listed_and_can_be_ended(cluster, context, flock, join, writer, requests):
    """A client whose connection is ended comes again, and has missed nothing."""
    subtree = b"/results/listed/"
    watcher = join(subtree)
    clone = flock.join("kvsimple", cluster.triple("p1", "kvsimple"), subtree)

    def listed(protocol):
        mine = [each for each in requests.clients() if "/results/listed/" in each.subscriptions]
        return [each for each in mine if each.protocol.startswith(protocol)]

    (native_one,), (clone_one,) = listed("native 2"), listed("kvsimple")
    assert native_one.connection != clone_one.connection
    assert native_one.peer.startswith("127.0.0.1")
    assert (native_one.queued, native_one.missed, native_one.catch_ups) == (0, 0, 0)
    assert native_one.age_ms < 60_000
    assert requests.ask(native.pack(KICK, 7, native_one.connection)) == native.Kicked(7)
    refusal = requests.ask(native.pack(KICK, 8, native_one.connection))
    assert (refusal.request, refusal.fault, refusal.of) == (8, "not_found", KICK)
    writer.put(subtree + b"a", b"1")
    flock.agree({subtree + b"a": b"1"}, [watcher, clone])
    flock.run(lambda: watcher.active, "it watches again")
    assert watcher.losses == 1 and watcher.catch_ups[-1].modes == {b"/results/": native.CHANGES}
    (again,) = listed("native 2")
    assert again.connection != native_one.connection
    check_promises(watcher)


def test_a_refusal_keeps_the_connection(requests, writer):
    """Whatever is wrong with a request, the next one is served."""
    answer = requests.ask(native.pack(LIST, 5, "/results\n", 0))
    assert isinstance(answer, Refusal) and (answer.request, answer.of) == (5, LIST)
    assert requests.get(b"/results/none") is None
