"""A native client that watches: the state machine of docs/protocol.md.

A Watcher keeps its map, every update that it was told, and whatever broke a promise; it is polled
by a Flock (flock.py), like the Clone clients.
"""

import json
import random
import select
import sys
import time
from typing import NamedTuple

import msgpack
import zmq

from clone import make_socket
from flock import Flock
from native import (
    CHANGES,
    CREDIT,
    FETCH,
    FULL,
    LAST,
    SAME_PARTITION,
    Breach,
    Entry,
    Move,
    Refusal,
    Requests,
    covers,
    packed_revisions,
    read_answer,
    read_stream,
    text,
    topic,
)
from waiting import seconds



class Told(NamedTuple):
    """One event of a Watcher's map."""

    sequence: int  # of the Watcher's events
    key: bytes
    value: bytes  # None: deleted
    live: bool  # False: by a fetch
    revision: int
    at: float


class Answered(NamedTuple):
    """One fetch that was answered to its end."""

    known: dict
    modes: dict  # partition -> FULL or CHANGES
    entries: int
    incarnation: int
    position: int


class Watcher:
    """Watches a subtree at the first of `pairs` (requests, streams), and goes on at the next when
    contact is lost or it is told to move. What it finds wrong goes to `faults`, named for the
    promise that it breaks."""

    def __init__(self, context, pairs, subtree=b"", latest_ms=0, lz4=False, credit=4, **options):
        self.subtree, self.latest_ms = subtree, latest_ms
        self.topic = topic(subtree, latest_ms, lz4)
        self.map, self.history, self.faults = {}, [], []
        self.known = {}  # partition -> revision
        self.reached = (None, 0)  # incarnation and position of what the stream has brought
        self.keys_at = {}  # (incarnation, position) -> key, of all that came live
        self.gaps = []  # [incarnation, had, saw] as told to the proxy
        self.fetches, self.refusals, self.moves, self.heartbeats = [], [], [], []
        self.losses = 0  # of contact
        self.lagging = 0  # answers of a proxy that was behind
        self.compressed = 0  # batches
        self._context, self._pairs, self._at = context, pairs, 0
        self._credit, self._options = credit, options
        self._last = {}  # key -> revision last told, deletions included
        self._request = 0
        self._retired, self._ticked = [], 0
        self._open()

    # What a Flock wants of its clients.

    @property
    def active(self):
        return self.state == "live"

    @property
    def live(self):
        return [told for told in self.history if told.live]

    @property
    def proxy(self):
        """The pair that it is connected to."""
        return self._pairs[self._at]

    @property
    def missed(self):
        return sum(saw - had for _, had, saw in self.gaps)  # on the stream

    def sockets(self):
        return [self._stream, self._requests.socket]

    def handle(self, socket, frames):
        try:
            (frame,) = frames
            if socket is self._stream:
                self._heard = time.monotonic()
                self._on_stream(read_stream(frame, self.topic))
            else:
                self._on_answer(read_answer(frame))
        except (Breach, ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
            self.faults.append(f"protocol: {error!r} in {frames!r:.200}")

    def tick(self, now):
        # Who was stopped himself has not heard a silence.
        if now > self._ticked + seconds(1):
            self._heard = max(self._heard, now)
        self._ticked = max(self._ticked, now)
        while self._retired:
            self._retired.pop().close()
        if now > self._leave_at:
            self._elsewhere()
        elif now > self._heard + seconds(3) and not self._stream.poll(0):
            self.losses += 1
            self._elsewhere()
        elif self.state != "fetching" or now < self._again_at:
            return
        elif not self._requests.socket.poll(0):
            self._fetch()

    def close(self):
        self.tick(0)
        self._stream.close()
        self._requests.close()

    # The state machine of docs/protocol.md.

    def _open(self):
        requests, streams = self._pairs[self._at]
        self._requests = Requests(self._context, requests)
        options = {"sndhwm": 0, "reconnect_ivl": random.randint(20, 60), **self._options}
        self._stream = make_socket(self._context, zmq.SUB, streams, **options)
        self._stream.subscribe(self.topic)
        self.state, self._kept = "listening", []
        self._incarnation = self._position = self._cut = None
        self._said = {}  # partition -> revision, by this stream
        self.reached = (None, 0)
        self._holes = []  # not yet told to the proxy
        self._heard, self._leave_at = time.monotonic(), float("inf")

    def _elsewhere(self):
        self._retired += [self._stream, self._requests]
        self._at = (self._at + 1) % len(self._pairs)
        self._open()

    def _fetch(self):
        gap = self._holes.pop(0) if self._holes else None
        if gap:
            self.gaps.append(gap)
        self.state = "fetching"
        self._request += 1
        self._next_chunk, self._told, self._modes = 0, {}, {}
        self._asked = dict(self.known)
        self._again_at = time.monotonic() + seconds(5)
        known = packed_revisions(self.known)
        self._requests.send(
            FETCH, self._request, self.topic, text(self.subtree), known, gap, self._credit
        )

    def _fetch_later(self):
        self._request += 1  # whatever is under way is of no use
        self._again_at = time.monotonic() + random.uniform(0.05, 0.1)

    def _on_stream(self, message):
        if isinstance(message, Move):
            self.moves.append(message.within_ms)
            moment = time.monotonic() + random.uniform(0, message.within_ms / 1000)
            self._leave_at = min(self._leave_at, moment)
            return
        self._look_for_holes(message)
        self.compressed += message.raw_bytes > 0
        if message.count == 0:
            self.heartbeats.append((time.monotonic(), message.revisions))
        for number, entry in enumerate(message.entries, message.after + 1):
            if self.keys_at.setdefault((message.incarnation, number), entry.key) != entry.key:
                self.faults.append(f"Unique: position {number} is told twice")
        self._kept.append(message)
        if self.state == "listening":
            self._fetch()
        elif self.state == "live":
            self._take_kept()

    def _look_for_holes(self, batch):
        incarnation, position = self.reached
        if batch.incarnation != incarnation:
            self._holes, position = [], batch.after
        elif batch.after > position:
            self._holes.append([incarnation, position, batch.after])
        self.reached = (batch.incarnation, max(position, batch.after + batch.count))

    def _take_kept(self):
        while self._kept:
            batch = self._kept[0]
            if batch.incarnation != self._incarnation:
                return self._fetch()
            if batch.after > self._position:
                return self._fetch()
            if batch.after < self._position != self._cut:
                self.faults.append(f"Unique: {batch.after} comes after {self._position}")
            self._apply_batch(self._kept.pop(0))
        self.state = "live"
        if self._holes:  # before the cut of a fetch: repaired by it, not yet told of
            self._fetch()

    def _apply_batch(self, batch):
        for entry in batch.entries[self._position - batch.after :]:
            if not covers(self.subtree, entry.key):
                self.faults.append(f"Filtered: {entry.key}")
            partition = self._partition_of(entry.key)
            floor = max(self.known.get(partition, 0), self._last.get(entry.key, 0))
            if entry.revision <= floor and not self.latest_ms:
                self.faults.append(f"Ordered: {entry.key} of {entry.revision:#x} after {floor:#x}")
            self._apply(entry, live=True)
        self._position = max(self._position, batch.after + batch.count)
        for partition, revision in batch.revisions.items():
            if revision < self._said.get(partition, 0):
                self.faults.append(f"Ordered: {partition} goes back to {revision:#x}")
            self._said[partition] = revision
            # From before the cut of the fetch, it may be less.
            self.known[partition] = max(revision, self.known.get(partition, 0))

    def _on_answer(self, answer):
        if answer.request != self._request or self.state != "fetching":
            return
        if isinstance(answer, Refusal):
            self.refusals.append(answer.fault)
            if not answer.retriable:
                self.faults.append(f"refused: {answer}")
            if answer.fault == "draining":
                self._leave_at = 0
            return self._fetch_later()
        if answer.number != self._next_chunk:
            self.faults.append(f"chunk {answer.number} instead of {self._next_chunk}")
            return self._fetch_later()
        if answer.revision == 0:
            return self._void(answer)
        if answer.revision < self.known.get(answer.partition, 0):
            self.lagging += 1
            return self._fetch_later()
        self._next_chunk += 1
        self._again_at = time.monotonic() + seconds(5)
        self._take_chunk(answer)

    def _void(self, chunk):
        """What is known of the partition is of another history, unless this stream has told it."""
        self._next_chunk += 1
        if chunk.entries or chunk.mode != FULL or chunk.more == LAST:
            self.faults.append(f"a void chunk that says something: {chunk}")
        if chunk.incarnation != self._incarnation:
            for key in [key for key in self._last if self._partition_of(key) == chunk.partition]:
                del self._last[key]
            self.known[chunk.partition] = 0
        self._requests.send(CREDIT, chunk.request, 1)

    def _take_chunk(self, chunk):
        for entry in chunk.entries:
            self._check_fetched(chunk, entry)
            self._told[entry.key] = entry.revision
            self._apply(entry, live=False)
        self._modes[chunk.partition] = chunk.mode
        if chunk.more != SAME_PARTITION:
            self._complete(chunk)
        if chunk.more != LAST:
            return self._requests.send(CREDIT, chunk.request, 1)
        if chunk.incarnation != self._incarnation:
            self._said = {}
        self._incarnation, self._position = chunk.incarnation, chunk.position
        self._cut = chunk.position
        self.fetches.append(
            Answered(
                self._asked, self._modes, len(self._told), chunk.incarnation, chunk.position
            )
        )
        while self._kept and self._kept[0].incarnation != self._incarnation:
            self._kept.pop(0)  # from before the answer
        self._take_kept()

    def _check_fetched(self, chunk, entry):
        wrong = None
        if not covers(self.subtree, entry.key) or not entry.key.startswith(chunk.partition):
            wrong = "Filtered"
        elif entry.key in self._told:
            wrong = "Unique"
        elif entry.revision > chunk.revision:
            wrong = "SnapshotComplete: after the cut"
        elif chunk.mode == FULL and entry.value is None:
            wrong = "SnapshotComplete: a deletion"
        elif chunk.mode == CHANGES and entry.revision <= self._asked[chunk.partition]:
            wrong = "Unique: known"
        if wrong:
            self.faults.append(f"{wrong}: {entry!r:.200} in {chunk[:-1]}")

    def _complete(self, chunk):
        self.known.setdefault(chunk.partition, 0)
        if chunk.mode == FULL:
            for key in self.map.keys() - self._told.keys():
                if self._partition_of(key) == chunk.partition:
                    self._apply(Entry(key, chunk.revision, None), live=False)
        self.known[chunk.partition] = chunk.revision

    def _partition_of(self, key):
        return max((name for name in self.known if key.startswith(name)), key=len, default=None)

    def _apply(self, entry, live):
        if entry.revision <= self._last.get(entry.key, 0):
            return
        self._last[entry.key] = entry.revision
        if entry.value is None:
            if self.map.pop(entry.key, None) is None:
                return
        else:
            self.map[entry.key] = entry.value
        self.history.append(
            Told(len(self.history), entry.key, entry.value, live, entry.revision, time.monotonic())
        )


def check_promises(*watchers):
    """Ordered, Unique, Filtered and SnapshotComplete, as each Watcher saw them."""
    for each in watchers:
        assert not each.faults, f"{len(each.faults)} breaches: {each.faults[:5]}"


def main(requests, streams, options):
    """A Watcher as a process: says "active", then answers each line with what has become of it."""
    flock = Flock(zmq.Context())
    watcher = flock.add(Watcher(flock.context, [(requests, streams)], **json.loads(options)))
    flock.run(lambda: watcher.active, "it watches")
    print("active", flush=True)
    while True:
        flock.turn()
        if not select.select([sys.stdin], [], [], 0)[0]:
            continue
        if not sys.stdin.readline():
            return
        resyncs = [each for each in watcher.fetches if each.known]
        report = {
            "map": {text(key): text(value) for key, value in watcher.map.items()},
            "active": watcher.active,
            "reached": watcher.reached,
            "faults": watcher.faults,
            "losses": watcher.losses,
            "gaps": len(watcher.gaps),
            "missed": watcher.missed,
            "positions": [position for _, position in watcher.keys_at],
            "resyncs": ["full" if FULL in each.modes.values() else "changes" for each in resyncs],
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
