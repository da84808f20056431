"""A native subscriber that does not keep up: what it misses is counted exactly, by shard; it is
told so, repairs it by what changed, and nobody else notices."""

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest

import native_watcher
from cluster import die_with_parent
from clusterfile import proxy, shard
from flock import Flock
from native import CHANGES, FETCH, FULL, Requests, Writer, write
from native_watcher import Watcher, check_promises
from promises import check_never_back, check_unbroken, value_of
from waiting import eventually, seconds

# Two of three keys are of shard s1.
SHARD_OF = {b"/a": "s1", b"/b": "s2", b"/c": "s1"}
PADDING = 2000
SMALL = {"rcvhwm": 1, "rcvbuf": 4096}


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(
        [shard("s1", "/a/", "*"), shard("s2", "/b/")],
        [proxy("p1", ["native"], stream_hwm=10, stream_send_buffer=4096)],
    )


@pytest.fixture
def aside(context):
    """For those who are not polled with the others."""
    made = Flock(context)
    yield made
    made.close()


class Flood:
    """Rounds of one batch of writes to each partition; all that the flock polls must have been told
    of one before the next: if something is missed, the slow one does."""

    def __init__(self, context, pair, flock):
        self._writer, self._flock = Writer(context, pair), flock
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
            self._flock.run(self._all_told, "the others are told at once")
            turn()

    def _all_told(self):
        return all(each.map == self.map for each in self._flock.clients)

    def _next(self, key):
        return value_of(int(self.map.get(key, b"0")) + 1, PADDING)

    def delete(self, key):
        self._writer.delete(key)
        del self.map[key]

    def close(self):
        self._writer.close()


@pytest.fixture
def others(cluster, context, flock):
    made = [flock.add(Watcher(context, [cluster.native("p1")])) for _ in range(3)]
    flock.run(lambda: all(each.active for each in made), "the others watch")
    return made


@pytest.fixture
def flood(cluster, context, flock, others):
    made = Flood(context, cluster.native("p1"), flock)
    yield made
    made.close()


def dropped(cluster):
    samples = cluster.metrics("p1").select(
        "canopy_hwm_dropped_updates_total", hop="proxy_to_client"
    )
    return {labels["shard"]: value for labels, value in samples if value}


def check_counted(cluster, other, positions):
    """Counted as dropped is exactly what came to the other one but not at these positions, by the
    shards that its keys are of."""
    missed = [key for (_, position), key in other.keys_at.items() if position not in positions]
    expected = dict(collections.Counter(SHARD_OF[key[:2]] for key in missed))
    with contextlib.suppress(AssertionError):
        eventually(lambda: dropped(cluster) == expected, "", 5)
    assert dropped(cluster) == expected


def test_one_that_stops_reading(cluster, context, flock, aside, others, flood):
    slow = aside.add(Watcher(context, [cluster.native("p1")], **SMALL))
    aside.run(lambda: slow.active, "the slow one watches")
    flood.run(2)
    aside.agree(flood.map, [slow])
    flood.run(150)
    flood.delete(b"/a/0")
    flood.delete(b"/b/0")
    flock.agree(flood.map)

    aside.agree(flood.map, [slow])
    check_counted(cluster, others[0], {position for _, position in slow.keys_at})
    assert slow.missed > 300
    metrics = cluster.metrics("p1")
    assert metrics.sum("canopy_client_gaps_total") == len(slow.gaps) == 1
    assert metrics.sum("canopy_client_resyncs_total", kind="changes") == 1
    assert metrics.sum("canopy_client_resyncs_total", kind="full") == 0
    assert [set(each.modes.values()) for each in slow.fetches] == [{FULL}, {CHANGES}]
    # The repair tells what changed since, each key once, and the two deletions.
    assert slow.fetches[1].entries <= len(flood.map) + 2

    flood.run(5)
    aside.agree(flood.map, [slow])
    check_promises(slow, *others)
    check_never_back_beyond_deletions(slow)
    assert len(slow.gaps) == 1, "it follows live again"
    for each in others:
        assert not each.gaps and len(each.fetches) == 1


def check_never_back_beyond_deletions(watcher):
    last = {}
    for told in watcher.history:
        assert told.revision > last.get(told.key, 0), told
        last[told.key] = told.revision


def test_one_that_reads_too_slowly(cluster, context, flock, aside, others, flood):
    """Hole after hole in the middle of the flood: each is told of and counted."""
    slow = aside.add(Watcher(context, [cluster.native("p1")], **SMALL))
    aside.run(lambda: slow.active, "the slow one watches")
    rounds = iter(range(10_000))

    def sometimes():
        if next(rounds) % 60 == 59:
            aside.turn()
            aside.turn()

    flood.run(400, sometimes)
    aside.agree(flood.map, [slow])
    assert len(slow.gaps) > 1
    # The last hole shows with the next heartbeat.
    aside.run(lambda: slow.active and slow.reached == others[0].reached, "it has told of all")
    check_counted(cluster, others[0], {position for _, position in slow.keys_at})
    assert cluster.metrics("p1").sum("canopy_client_gaps_total") == len(slow.gaps)
    assert not slow.losses
    assert cluster.metrics("p1").sum("canopy_client_resyncs_total", kind="full") == 0
    check_promises(slow, *others)
    check_never_back(slow)
    check_unbroken(*others)
    assert not any(each.gaps for each in others)


def test_one_that_is_stopped(cluster, flock, others, flood):
    """A process of its own, stopped by a signal for a while in the middle of the flood."""
    child = subprocess.Popen(
        [sys.executable, native_watcher.__file__, *cluster.native("p1"), json.dumps(SMALL)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    try:
        assert child.stdout.readline() == "active\n"
        flood.run(20)
        os.kill(child.pid, signal.SIGSTOP)
        try:
            flood.run(150)
        finally:
            os.kill(child.pid, signal.SIGCONT)
        flood.run(50)
        flock.agree(flood.map)
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
    assert not its["faults"] and not its["losses"]
    assert its["gaps"] >= 1 and its["missed"] > 300
    assert its["resyncs"] == ["changes"] * its["gaps"]
    check_counted(cluster, others[0], set(its["positions"]))
    check_promises(*others)
    check_unbroken(*others)
    assert not any(each.gaps for each in others)


def requests_answered(cluster, result):
    return cluster.metrics("p1").sum("canopy_snapshot_requests_total", result=result)


def test_clients_that_leave_a_fetch_behind(cluster, context, flock, others, flood):
    """Gone in the middle of it, or without granting credit: the fetch is given up."""
    writer = Writer(context, cluster.native("p1"))
    bulk = {b"/c/bulk/%d" % number: bytes(200_000) for number in range(10)}
    for key, value in bulk.items():
        writer.put(key, value)
    silent = Requests(context, cluster.native("p1")[0])
    silent.send(FETCH, 1, b"", "/c/bulk/", {}, None, 1)
    assert silent.answer().number == 0
    gone = Requests(context, cluster.native("p1")[0])
    gone.send(FETCH, 1, b"", "/c/bulk/", {}, None, 1)
    assert gone.answer().number == 0
    gone.close()
    flock.run(lambda: requests_answered(cluster, "client_gone") == 1, "it ends with its connection")
    flock.run(lambda: requests_answered(cluster, "timeout") == 1, "the other is given up", 20)
    flock.run(
        lambda: cluster.metrics("p1").sum("canopy_snapshots_waiting") == 0, "nothing is left"
    )
    assert not silent.socket.poll(0), "nothing without credit"
    assert {e.key: e.value for c in silent.read(b"/c/bulk/") for e in c.entries} == bulk
    flock.agree(bulk)
    check_promises(*others)
    silent.close()
    writer.close()
