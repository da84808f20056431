"""One native client with as much under way as the protocol allows: nothing of it is lost, nothing
has to be asked for twice, and nothing is refused."""

import time

import pytest
import zmq

from clone import make_socket
from clusterfile import proxy, shard
from native import (
    FETCH,
    LAST,
    WRITE,
    Chunk,
    Refusal,
    Requests,
    Writer,
    Written,
    read_answer,
    read_stream,
    text,
    topic,
    write,
)
from waiting import SLOW, eventually

UNDER_WAY = 1024  # writes of one client
FETCHES = 64
WATCHES = 5000
CLIENT = bytes(range(16))


@pytest.fixture
def cluster(start_cluster):
    return start_cluster([shard("s1", "*")], [proxy("p1", ["native"])])


def refused(metrics):
    return metrics.sum("canopy_rejected_total")


def test_answers_wait_for_a_client_that_does_not_read(cluster, context):
    """Its connection is full of chunks when all of its writes are answered."""
    writer = Writer(context, cluster.native("p1"))
    for number in range(64):
        writer.put(b"/bulk/%02d" % number, bytes(200_000))
    before = cluster.metrics("s1").sum("canopy_updates_committed_total")
    slow = Requests(context, cluster.native("p1")[0], rcvhwm=1, rcvbuf=4096)
    slow.send(FETCH, 1 << 40, b"", "/bulk/", {}, None, 64)
    eventually(
        lambda: cluster.metrics("p1").sum("canopy_snapshot_requests_total", result="sent") == 1,
        "its chunks are in the proxy's queue",
    )
    for number in range(1, UNDER_WAY + 1):
        slow.send(WRITE, CLIENT, number, 1, [write(b"/k/%d" % number, b"v")])
    eventually(
        lambda: cluster.metrics("s1").sum("canopy_updates_committed_total") == before + UNDER_WAY,
        "all is written",
    )
    answers = [slow.answer() for _ in range(64 + UNDER_WAY)]
    assert not slow.socket.poll(100), "one answer each"
    assert [each.number for each in answers if isinstance(each, Chunk)] == list(range(64))
    written = [each.request for each in answers if isinstance(each, Written)]
    assert sorted(written) == list(range(1, UNDER_WAY + 1))
    metrics = cluster.metrics("p1")
    assert metrics.sum("canopy_answers_lost_total") == 0
    assert refused(metrics) == 0
    eventually(
        lambda: cluster.metrics("p1").sum("canopy_answers_queued_bytes") == 0, "nothing waits"
    )
    slow.close()
    writer.close()


class Watches:
    """Many watches of one client, each of a key: where their streams stand and what they told."""

    def __init__(self, context, pair, keys):
        self._stream = make_socket(context, zmq.SUB, pair[1], sndhwm=0)
        self._requests = Requests(context, pair[0])
        self.keys = {topic(key): key for key in keys}
        self.position, self.heard, self.values = {}, {}, {}
        self.longest = 0  # a stream was silent
        self.holes, self.refusals = [], []
        self._queue, self._asked, self.live = [], {}, set()
        self._begun = time.monotonic()
        for each in self.keys:
            self._stream.subscribe(each)

    def turn(self):
        self._stream.poll(20)
        for frame in self._read(self._stream):
            self._on_stream(frame)
        for frame in self._read(self._requests.socket):
            self._on_answer(frame)
        while self._queue and len(self._asked) < FETCHES:
            its = self._queue.pop(0)
            number = self._requests.next_number()
            self._asked[number] = its
            self._requests.send(FETCH, number, its, text(self.keys[its]), {}, None, 4)

    def _read(self, socket):
        for _ in range(1000):
            if not socket.poll(0):
                return
            yield socket.recv()

    def _on_stream(self, frame):
        its = frame[: frame.index(b"\0", 6) + 1]
        batch, now = read_stream(frame, its), time.monotonic()
        if its in self.position:
            if batch.after != self.position[its]:
                self.holes.append(self.keys[its])
        else:
            self._queue.append(its)
        self.longest = max(self.longest, now - self.heard.get(its, self._begun))
        self.heard[its] = now
        self.position[its] = batch.after + batch.count
        for entry in batch.entries:
            self.values[entry.key] = entry.value

    def _on_answer(self, frame):
        answer = read_answer(frame)
        its = self._asked.pop(answer.request)
        if isinstance(answer, Refusal):
            self.refusals.append(answer)
            return
        assert answer.more == LAST
        self.live.add(its)

    def close(self):
        self._stream.close()
        self._requests.close()


def test_thousands_of_watches_live_quietly(cluster, context):
    keys = [b"/watched/%d" % number for number in range(WATCHES)]
    watches = Watches(context, cluster.native("p1"), keys)
    eventually(
        lambda: len(watches.live) == WATCHES, "all are live", 30, turn=watches.turn
    )
    deadline = time.monotonic() + 5 * SLOW
    while time.monotonic() < deadline:
        watches.turn()
    now = time.monotonic()
    silent = max(now - heard for heard in watches.heard.values())
    assert max(watches.longest, silent) < 3 * SLOW, "contact is lost after 3 s"

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
    for series in ("canopy_client_resyncs_total", "canopy_client_gaps_total"):
        assert metrics.sum(series) == 0
    assert metrics.sum("canopy_hwm_dropped_updates_total") == 0
    writer.close()
    watches.close()
