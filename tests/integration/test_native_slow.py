"""A native client that does not keep up: it is told exactly how much it misses, and the same is
counted, by shard; it ends exact by what changed, costs the proxy a bounded queue, and nobody else
notices."""

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.harness import native_watcher
from tests.harness.clones import Clones
from tests.harness.cluster import REPOSITORY, die_with_parent
from tests.harness.clusterfile import proxy, shard
from tests.harness.native import CHANGES, FULL, LIST, Requests, Writer, write
from tests.harness.native_watcher import Watcher, check_promises
from tests.harness.procfs import memory_bytes
from tests.harness.promises import check_never_back, check_unbroken, value_of
from tests.harness.waiting import SLOW, eventually, seconds

# Two of three keys are of shard s1.
SHARD_OF = {b"/a": "s1", b"/b": "s2", b"/c": "s1"}
MIB = 1 << 20
QUEUE = 4 * MIB  # the least that a proxy takes
PADDING = 20_000
SMALL = {"rcvhwm": 1, "rcvbuf": 65_536}


class Size(NamedTuple):
    """Of values, and of a queue that holds what one round of the flood says at once."""

    padding: int
    queue: int


SMALL_VALUES, LARGE_VALUES = Size(PADDING, QUEUE), Size(MIB - 10, 32 * MIB)


@pytest.fixture
def size(request):
    return getattr(request, "param", SMALL_VALUES)


@pytest.fixture
def cluster(start_cluster, size):
    return start_cluster(
        [shard("s1", "/a/", "*"), shard("s2", "/b/")],
        [proxy("p1", ["native"], client_queue_bytes=size.queue, client_send_buffer=65_536)],
    )


@pytest.fixture
def aside(context):
    """For watchers that are not polled with the others."""
    made = Clones(context)
    yield made
    made.close()


class Flood:
    """Rounds of one batch of writes to each partition; all that the clones polls must have been told
    of one before the next: if something is missed, the slow one does."""

    def __init__(self, context, endpoint, clones, padding):
        self._writer, self._clones = Writer(context, endpoint), clones
        self._padding = padding
        self._rounds = 0
        self.map = {}

    def run(self, rounds, turn=lambda: None):
        for _ in range(rounds):
            self._rounds += 1
            for prefix in SHARD_OF:
                keys = [prefix + b"/%d" % number for number in range(1 + self._rounds % 3)]
                entries = {key: self._next(key) for key in keys}
                self._writer.write(*(write(key, value) for key, value in entries.items()))
                self.map |= entries
            self._clones.run(self._all_received, "the others are told at once")
            turn()

    def _all_received(self):
        return all(each.map == self.map for each in self._clones.clients)

    def _next(self, key):
        return value_of(int(self.map.get(key, b"0")) + 1, self._padding)

    def delete(self, key):
        self._writer.delete(key)
        del self.map[key]

    def close(self):
        self._writer.close()


@pytest.fixture
def others(cluster, context, clones):
    made = [clones.add(Watcher(context, [cluster.native("p1")])) for _ in range(3)]
    clones.run(lambda: all(each.active for each in made), "the others watch")
    return made


@pytest.fixture
def flood(cluster, context, clones, others, size):
    made = Flood(context, cluster.native("p1"), clones, size.padding)
    yield made
    made.close()


def dropped(cluster):
    samples = cluster.metrics("p1").select(
        "canopy_hwm_dropped_updates_total", hop="proxy_to_client"
    )
    found = collections.Counter()
    for labels, value in samples:
        found[labels["shard"]] += int(value)
    return +found


def check_counted(cluster, other, positions, gaps):
    """Counted as dropped is exactly what came to the other watcher but not at these positions, by the
    shards that its keys are of; and the slow one was told of just as many."""
    missed = [key for (_, position), key in other.keys_at.items() if position not in positions]
    expected = collections.Counter(SHARD_OF[key[:2]] for key in missed)
    with contextlib.suppress(AssertionError):
        eventually(lambda: dropped(cluster) == expected, "", 5)
    assert dropped(cluster) == expected
    assert sum(gaps) == len(missed)


def check_undisturbed(others):
    check_promises(*others)
    for each in others:
        assert not each.gaps and not each.losses and len(each.catch_ups) == 1


def test_one_that_stops_reading(cluster, context, clones, aside, others, flood):
    slow = aside.add(Watcher(context, [cluster.native("p1")], **SMALL))
    aside.run(lambda: slow.active, "the slow one watches")
    flood.run(2)
    aside.agree(flood.map, [slow])
    before = memory_bytes(cluster.process("p1").pid)
    flood.run(150)  # 900 updates of 20 KB each
    if SLOW == 1:  # sanitizers keep what is freed
        grown = memory_bytes(cluster.process("p1").pid) - before
        print(f"the proxy has grown by {grown / MIB:.1f} MiB")
        assert grown < QUEUE + 8 * MIB, "its queue, and what the fan-out itself takes"
    flood.delete(b"/a/0")
    flood.delete(b"/b/0")
    clones.agree(flood.map)

    aside.agree(flood.map, [slow])
    aside.run(lambda: slow.active and slow.reached == others[0].reached, "it has caught up")
    check_counted(cluster, others[0], {position for _, position in slow.keys_at}, slow.gaps)
    assert slow.missed > 300
    assert [set(each.modes.values()) for each in slow.catch_ups] == [{FULL}, {CHANGES}]
    # The repair tells what changed since, each key once, and the two deletions.
    assert slow.catch_ups[1].entries <= len(flood.map) + 2

    gaps = len(slow.gaps)
    flood.run(5)
    aside.agree(flood.map, [slow])
    check_promises(slow)
    check_never_back_beyond_deletions(slow)
    assert len(slow.gaps) == gaps and not slow.losses, "it follows live again"
    check_undisturbed(others)


def check_never_back_beyond_deletions(watcher):
    last = {}
    for received in watcher.history:
        assert received.revision > last.get(received.key, 0), received
        last[received.key] = received.revision


def test_one_that_reads_too_slowly(cluster, context, clones, aside, others, flood):
    """Gap after gap in the middle of the flood: each is told of and counted."""
    slow = aside.add(Watcher(context, [cluster.native("p1")], **SMALL))
    aside.run(lambda: slow.active, "the slow one watches")
    rounds = iter(range(10_000))

    def sometimes():
        if next(rounds) % 100 == 99:
            aside.run_for(0.2)

    flood.run(400, sometimes)
    aside.agree(flood.map, [slow])
    aside.run(lambda: slow.active and slow.reached == others[0].reached, "it has caught up")
    assert len(slow.catch_ups) > 2
    check_counted(cluster, others[0], {position for _, position in slow.keys_at}, slow.gaps)
    assert not slow.losses
    assert all(set(each.modes.values()) == {CHANGES} for each in slow.catch_ups[1:])
    check_promises(slow)
    check_never_back(slow)
    check_unbroken(*others)
    check_undisturbed(others)


@pytest.mark.parametrize(
    "size,rounds", [(SMALL_VALUES, 150), (LARGE_VALUES, 20)], ids=["small", "large"], indirect=["size"]
)
def test_one_that_is_stopped(cluster, clones, others, flood, size, rounds):
    """A process of its own, stopped by a signal for a while in the middle of the flood."""
    child = subprocess.Popen(
        [sys.executable, "-m", native_watcher.__name__, cluster.native("p1"), json.dumps(SMALL)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    try:
        assert child.stdout.readline() == "active\n"
        flood.run(rounds // 4)
        before = memory_bytes(cluster.process("p1").pid)
        os.kill(child.pid, signal.SIGSTOP)
        try:
            flood.run(rounds)
            grown = memory_bytes(cluster.process("p1").pid) - before
        finally:
            os.kill(child.pid, signal.SIGCONT)
        print(f"the proxy has grown by {grown / MIB:.1f} MiB")
        flood.run(rounds // 4)
        clones.agree(flood.map)
        expected = {key.decode(): value.decode() for key, value in flood.map.items()}
        its = {}

        def exact():
            child.stdin.write("\n")
            child.stdin.flush()
            its.update(json.loads(child.stdout.readline()))
            at_the_end = tuple(its["reached"]) == others[0].reached
            return its["map"] == expected and its["active"] and at_the_end

        eventually(exact, "the stopped one is exact", 20)
    finally:
        child.kill()
        child.wait(seconds(5))
        child.stdin.close()
        child.stdout.close()
    if SLOW == 1:
        assert grown < size.queue + 8 * MIB
    assert not its["faults"] and not its["losses"]
    assert sum(its["gaps"]) > rounds
    assert its["modes"][0] == [FULL] and its["modes"][1:] == [[CHANGES]] * (len(its["modes"]) - 1)
    check_undisturbed(others)
    check_counted(cluster, others[0], set(its["positions"]), its["gaps"])
    check_unbroken(*others)


def queued(cluster):
    return cluster.metrics("p1").sum("canopy_client_queue_bytes")


def test_clients_that_leave_a_list_behind(cluster, context, clones, others, flood):
    """One goes in the middle of it, another takes its time: no more than the bound is queued for
    it, and it gets everything."""
    writer = Writer(context, cluster.native("p1"))
    bulk = {b"/c/bulk/%d" % number: bytes(900_000) for number in range(20)}
    for key, value in bulk.items():
        writer.put(key, value)
        flood.map[key] = value
        clones.agree(flood.map)  # or the others' queues would fill, too
    late, gone = (Requests(context, cluster.native("p1"), **SMALL) for _ in range(2))
    before = memory_bytes(cluster.process("p1").pid)
    for each in (late, gone):
        each.send(LIST, 1, "/c/bulk/", 0)
    first = late.answer()
    assert gone.answer().more
    gone.close()
    flood.run(5)
    if SLOW == 1:
        assert memory_bytes(cluster.process("p1").pid) - before < QUEUE + 8 * MIB
    received = [first]
    while received[-1].more:
        received.append(late.answer())
    assert {entry.key: entry.value for chunk in received for entry in chunk.entries} == bulk
    eventually(lambda: queued(cluster) == 0, "nothing is left")
    clones.agree(flood.map)
    check_undisturbed(others)
    late.close()
    writer.close()
