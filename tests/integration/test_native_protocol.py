"""The native protocol against running processes: watches, reads and the directory, each promise seen
from outside. Writes are in test_native_writes.py."""

import json
import os
import time

import pytest

from tests.harness import native
from tests.harness.native import KICK, LIST, PING, UNWATCH, WATCH, Batch, Refusal
from tests.harness.native_cluster import KEYS, PARTITIONS, below, state_of
from tests.harness.native_cluster import cluster, join, requests, writer  # noqa: F401, fixtures
from tests.harness.native_watcher import check_promises
from tests.harness.promises import WriteLoad, check_unbroken
from tests.harness.waiting import eventually


# -- watching ------------------------------------------------------------------------------------


def test_snapshot_and_stream_join_exactly(clones, join, writer):
    """Clients that join in the middle of writing see each key count up by one from their cut."""
    early = join()
    with WriteLoad(writer, KEYS, rate=400) as load:
        joined = []
        for number in range(8):
            clones.run(lambda: len(early.live) > 40 * number, "updates flow")
            joined.append(join([b"", b"/results/", b"/results/eu/", KEYS[0]][number % 4]))
        clones.run(lambda: len(joined[-1].live) > 10, "the last one in follows")
    clones.run(lambda: load.map.items() <= early.map.items(), "everything written is told")
    for each in joined:
        clones.agree(below(each.subtree, early.map), [each])
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
def test_every_kind_of_subtree(clones, join, writer, requests, subtree, partitions):
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
    clones.agree(below(subtree, everything), [watcher])
    received = [received.key for received in watcher.live]
    expected = [key for key in KEYS + [KEYS[1]] if native.covers(subtree, key)]
    assert received == expected
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


def test_heartbeats_each_second_carry_all_revisions(cluster, clones, join, writer):
    watcher = join(b"/results/")
    revision = writer.put(b"/results/a", b"1")
    clones.run(lambda: watcher.known[b"/results/"] >= revision, "the stream says the revision")
    watcher.heartbeats.clear()
    clones.run(lambda: len(watcher.heartbeats) >= 5, "heartbeats")
    assert watcher.heartbeats[4][0] - watcher.heartbeats[0][0] > 3, "not more often"
    for _, revisions in watcher.heartbeats:
        assert revisions == watcher.known
        assert revisions.keys() == {b"/results/", b"/results/eu/"}
    quiet = join(b"/results/quiet")
    revision = writer.put(b"/results/a", b"2")
    clones.run(lambda: quiet.known[b"/results/"] >= revision, "a stream without news says it, too")
    assert not quiet.live


def test_ttl_and_properties_are_passed_on(cluster, clones, join, writer, requests):
    watcher = join(b"/results/ttl/")
    before = time.time() * 1000
    writer.put(b"/results/ttl/short", b"v", ttl_ms=1500, properties=b"name=value\n")
    writer.put(b"/results/ttl/long", b"v", ttl_ms=3_600_000)
    (short, long) = (requests.get(b"/results/ttl/" + name) for name in (b"short", b"long"))
    assert before + 1500 - 50 <= short.expires_at_ms <= time.time() * 1000 + 1500
    assert short.properties == b"name=value\n"
    assert long.expires_at_ms >= before + 3_600_000 - 50 and long.properties == b""
    clones.agree({b"/results/ttl/short": b"v", b"/results/ttl/long": b"v"}, [watcher])
    clones.agree({b"/results/ttl/long": b"v"}, [watcher])  # an ordinary update of the shard
    assert time.time() * 1000 >= short.expires_at_ms
    assert watcher.live[-1].key == b"/results/ttl/short" and watcher.live[-1].value is None
    writer.put(b"/results/ttl/long", b"w")
    assert requests.get(b"/results/ttl/long").expires_at_ms == 0
    check_promises(watcher)


def test_keys_and_values_of_any_bytes(clones, join, writer):
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
    clones.run(lambda: entries.items() <= watcher.map.items(), "every change is reported live")
    late = join(b"/results/")
    assert late.map == watcher.map
    for key in entries:
        writer.delete(key)
    clones.run(lambda: not entries.keys() & (late.map.keys() | watcher.map.keys()), "and is gone")
    check_promises(watcher, late)


# -- dialects, directory -------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["kvsimple", "kvmsg", "chp"])
def test_the_dialects_agree(cluster, clones, join, writer, dialect):
    """Clone clients see what native ones write, and the other way round, expiry included."""
    subtree = b"/results/mixed/%s/" % dialect.encode()
    clone = clones.join(dialect, cluster.triple("p1", dialect), subtree)
    watcher = join(subtree, "p2")
    writer.put(subtree + b"native", b"1", properties=b"by=native\n")
    clone.put(subtree + b"clone", b"2")
    expected = {subtree + b"native": b"1", subtree + b"clone": b"2"}
    clones.agree(expected, [clone, watcher])
    if dialect != "kvsimple":
        assert clone.history[0].properties == b"by=native\n"
    writer.put(subtree + b"native-ttl", b"3", ttl_ms=700)
    if dialect != "kvsimple":
        clone.put(subtree + b"clone-ttl", b"4", ttl=1)
        clones.run(lambda: watcher.map.get(subtree + b"clone-ttl") == b"4", "it is told")
    clones.run(lambda: subtree + b"native-ttl" in clone.map, "it is told")
    clones.agree(expected, [clone, watcher])  # both have expired
    clone.delete(subtree + b"native")
    writer.delete(subtree + b"clone")
    clones.agree({}, [clone, watcher])
    assert clones.join(dialect, cluster.triple("p2", dialect), subtree).map == {}
    assert join(subtree).map == {}
    assert not clone.faults
    check_promises(watcher)


def test_the_broker_lists_the_proxies(cluster, context):
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


def test_connections_are_listed_and_can_be_ended(cluster, context, clones, join, writer, requests):
    """A client whose connection is ended comes again, and has missed nothing."""
    subtree = b"/results/listed/"
    watcher = join(subtree)
    clone = clones.join("kvsimple", cluster.triple("p1", "kvsimple"), subtree)

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
    clones.agree({subtree + b"a": b"1"}, [watcher, clone])
    clones.run(lambda: watcher.active, "it watches again")
    assert watcher.losses == 1 and watcher.catch_ups[-1].modes == {b"/results/": native.CHANGES}
    (again,) = listed("native 2")
    assert again.connection != native_one.connection
    check_promises(watcher)


def test_a_refusal_keeps_the_connection(requests, writer):
    """Whatever is wrong with a request, the next one is served."""
    answer = requests.ask(native.pack(LIST, 5, "/results\n", 0))
    assert isinstance(answer, Refusal) and (answer.request, answer.of) == (5, LIST)
    assert requests.get(b"/results/none") is None
