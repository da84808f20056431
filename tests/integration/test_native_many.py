"""One native client with as much under way as the protocol allows: nothing of it is lost, nothing
has to be asked for twice, and nothing is refused."""

import os
import time

import pytest

from tests.harness.clusterfile import proxy, shard
from tests.harness.native import (
    LIST,
    WATCH,
    WRITE,
    Batch,
    CaughtUp,
    Chunk,
    Gap,
    Refusal,
    Requests,
    Writer,
    Written,
    read_message,
    text,
    write,
)
from tests.harness.waiting import SLOW, eventually

UNDER_WAY = 1024  # writes of one client
LISTS = 16
WATCHES = 5000


@pytest.fixture
def cluster(start_cluster):
    return start_cluster([shard("s1", "*")], [proxy("p1", ["native"])])


def refused(metrics):
    return metrics.sum("canopy_rejected_total")


def test_answers_wait_for_a_client_that_does_not_read(cluster, context):
    """Its connection is full of chunks when all of its writes are answered; others are served."""
    writer = Writer(context, cluster.native("p1"))
    bulk = {b"/bulk/%02d" % number: bytes(200_000) for number in range(16)}
    for key, value in bulk.items():
        writer.put(key, value)

    def committed():
        return cluster.metrics("s1").sum("canopy_updates_committed_total")

    before = committed()
    slow = Requests(context, cluster.native("p1"), os.urandom(16), rcvhwm=1, rcvbuf=4096)
    for number in range(1, UNDER_WAY + 1):
        slow.send(WRITE, number, 1, [write(b"/k/%d" % number, b"v")])
    eventually(lambda: committed() == before + UNDER_WAY, "all is written")
    for number in range(1, LISTS + 1):
        slow.send(LIST, number, "/bulk/", 0)
    other = Requests(context, cluster.native("p1"))
    assert {e.key: e.value for c in other.read(b"/bulk/") for e in c.entries} == bulk
    other.close()
    time.sleep(0.5)  # the proxy has sent what the connection takes
    written, lists = [], {number: {} for number in range(1, LISTS + 1)}
    while len(written) < UNDER_WAY or any(each.keys() != bulk.keys() for each in lists.values()):
        answer = slow.answer()
        if isinstance(answer, Written):
            written.append(answer.request)
        else:
            lists[answer.request] |= {entry.key: entry.value for entry in answer.entries}
    assert not slow.socket.poll(100), "one answer each"
    assert sorted(written) == list(range(1, UNDER_WAY + 1))
    assert all(each == bulk for each in lists.values())
    assert refused(cluster.metrics("p1")) == 0
    slow.close()
    writer.close()


class Watches:
    """Many watches of one client, each of a key: where their streams stand and what they told."""

    def __init__(self, context, endpoint, keys):
        self._requests = Requests(context, endpoint)
        self.position, self.heard, self.values = {}, {}, {}  # by stream; values by key
        self.longest = 0  # a stream was silent
        self.holes, self.refusals = [], []
        for number, key in enumerate(keys, 1):
            self._requests.send(WATCH, number, text(key), 0, 0, {})

    def turn(self):
        self._requests.socket.poll(20)
        for _ in range(1000):
            if not self._requests.socket.poll(0):
                return
            self._on_message(read_message(self._requests.socket.recv()))

    def _on_message(self, message):
        now = time.monotonic()
        if isinstance(message, Batch):
            if message.after > self.position[message.stream]:
                self.holes.append(message)
            self.longest = max(self.longest, now - self.heard[message.stream])
            self.heard[message.stream] = now
            self.position[message.stream] = message.after + message.count
            for entry in message.entries:
                self.values[entry.key] = entry.value
        elif isinstance(message, CaughtUp):
            self.position[message.stream] = message.position
            self.heard[message.stream] = now
        elif isinstance(message, (Refusal, Gap)):
            self.refusals.append(message)
        else:
            assert isinstance(message, Chunk), message

    def close(self):
        self._requests.close()


def test_thousands_of_watches_live_quietly(cluster, context):
    keys = [b"/watched/%d" % number for number in range(WATCHES)]
    watches = Watches(context, cluster.native("p1"), keys)
    eventually(
        lambda: len(watches.position) == WATCHES, "all are live", 30, turn=watches.turn
    )
    deadline = time.monotonic() + 5 * SLOW
    while time.monotonic() < deadline:
        watches.turn()
    now = time.monotonic()
    idle = max(now - heard for heard in watches.heard.values())
    assert max(watches.longest, idle) < 3 * SLOW, "contact is lost after 3 s"

    # One batch for every stream, in one flush or a few.
    writer = Writer(context, cluster.native("p1"))
    for first in range(0, WATCHES, 1000):
        writer.write(*(write(key, b"v") for key in keys[first : first + 1000]))
    eventually(
        lambda: len(watches.values) == WATCHES, "each is told of its key", turn=watches.turn
    )
    assert not watches.holes and not watches.refusals
    metrics = cluster.metrics("p1")
    assert refused(metrics) == 0
    assert metrics.sum("canopy_hwm_dropped_updates_total") == 0
    writer.close()
    watches.close()
