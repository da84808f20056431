"""A native client that watches: the state machine of docs/reference/protocol.md.

A Watcher keeps its map, every update that it was told, and whatever broke a promise; it is polled
by a Clones (clones.py), like the Clone clients.
"""

import json
import random
import select
import sys
import time
from typing import NamedTuple

import msgpack
import zmq

from tests.harness.clones import Clones
from tests.harness.native import (
    CHANGES,
    FULL,
    LAST,
    PING,
    SAME_PARTITION,
    UNWATCH,
    WATCH,
    Batch,
    Breach,
    CaughtUp,
    Chunk,
    Entry,
    Gap,
    Move,
    Pong,
    Refusal,
    Requests,
    covers,
    packed_revisions,
    read_message,
    text,
)
from tests.harness.waiting import seconds


class Received(NamedTuple):
    """One event of a Watcher's map."""

    sequence: int  # of the Watcher's events
    key: bytes
    value: bytes  # None: deleted
    live: bool  # False: by a catch-up
    revision: int
    at: float


class CatchUp(NamedTuple):
    """One that was told to its end."""

    known: dict  # as the watch named it; of one that follows a gap nothing
    modes: dict  # partition -> FULL or CHANGES
    entries: int
    stream: int
    position: int


class Watcher:
    """Watches a subtree at the first of `endpoints`, and goes on at the next when contact is lost or
    it is told to move. What it finds wrong goes to `faults`, named for the promise that it
    breaks."""

    def __init__(self, context, endpoints, subtree=b"", latest_ms=0, lz4=False, **options):
        self.subtree, self.latest_ms, self._lz4 = subtree, latest_ms, int(lz4)
        self.map, self.history, self.faults = {}, [], []
        self.known = {}  # partition -> revision
        self.keys_at = {}  # (stream, position) -> key, of all that came live
        self.gaps = []  # what the proxy said that it missed; None: it could not say
        self.catch_ups, self.refusals, self.moves, self.heartbeats = [], [], [], []
        self.losses = 0  # of contact
        self.lagging = 0  # catch-ups by a proxy that was behind
        self.compressed = 0  # batches
        self._context, self._endpoints, self._at = context, endpoints, 0
        self._options = options
        self._last = {}  # key -> revision last told, deletions included
        self._request = 0
        self._retired, self._ticked = [], 0
        self._open()

    # What a Clones wants of its clients.

    @property
    def live(self):
        return [received for received in self.history if received.live]

    @property
    def proxy(self):
        """The endpoint that it is connected to."""
        return self._endpoints[self._at]

    @property
    def missed(self):
        return sum(each or 0 for each in self.gaps)

    @property
    def reached(self):
        return self._stream, self._position

    def sockets(self):
        return [self._requests.socket]

    def handle(self, socket, frames):
        try:
            (frame,) = frames
            self._heard, self._pinged = time.monotonic(), False
            self._on_message(read_message(frame))
        except (Breach, ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
            self.faults.append(f"protocol: {error!r} in {frames!r:.200}")

    def tick(self, now):
        # A watcher that was stopped itself does not count that time.
        if now > self._ticked + seconds(1):
            self._heard = max(self._heard, now)
        self._ticked = max(self._ticked, now)
        while self._retired:
            self._retired.pop().close()
        if now > self._leave_at:
            self._elsewhere()
        elif self._requests.socket.poll(0):
            return
        elif now > self._heard + seconds(3):
            self.losses += 1
            self._elsewhere()
        elif now > self._watch_at:
            self._watch()
        elif now > self._heard + seconds(1) and not self._pinged:
            self._pinged = True
            self._requests.send(PING, self._next_request())

    def close(self):
        self.tick(0)
        self._requests.close()

    # The state machine of docs/reference/protocol.md.

    def _open(self):
        self._requests = Requests(self._context, self.proxy, **self._options)
        self._heard, self._pinged = time.monotonic(), False
        self._leave_at = float("inf")
        self._stream = self._position = None
        self._named = {}  # partition -> revision, by this stream
        self._watch()

    def _elsewhere(self):
        self._retired.append(self._requests)
        self._at = (self._at + 1) % len(self._endpoints)
        self._open()

    def _next_request(self):
        self._request += 1
        return self._request

    def _watch(self):
        self._watch_at = float("inf")
        self._number = self._next_request()
        self._missed, self._asked = None, dict(self.known)
        self._begin_catch_up(dict(self.known))
        known = packed_revisions(self.known)
        subtree = text(self.subtree)
        self._requests.send(WATCH, self._number, subtree, self.latest_ms, self._lz4, known)

    def _begin_catch_up(self, knew):
        self.active, self._knew = False, knew
        self._received, self._modes, self._entries = {}, {}, 0

    def _watch_later(self):
        """Whatever is under way of the watch is of no use."""
        self._number, self.active = None, False
        self._watch_at = time.monotonic() + random.uniform(0.05, 0.1)

    def _on_message(self, message):
        if isinstance(message, Move):
            self.moves.append(message.within_ms)
            moment = time.monotonic() + random.uniform(0, message.within_ms / 1000)
            self._leave_at = min(self._leave_at, moment)
        elif isinstance(message, Batch):
            self._on_batch(message)
        elif isinstance(message, Pong) or message.request != self._number:
            return
        else:
            {Chunk: self._on_chunk, CaughtUp: self._on_caught_up, Gap: self._on_gap}.get(
                type(message), self._on_refusal
            )(message)

    def _on_refusal(self, refusal):
        assert isinstance(refusal, Refusal) and refusal.of == WATCH, refusal
        self.refusals.append(refusal.fault)
        if not refusal.retriable:
            self.faults.append(f"refused: {refusal}")
        if refusal.fault == "draining":
            self._leave_at = 0
        self._watch_later()

    def _on_gap(self, gap):
        self.gaps.append(gap.missed)
        if self.active:
            self._end, self._missed = self._position, 0
            self._asked = {}
            self._begin_catch_up({})
        if gap.missed is None:
            self._missed = None
        elif self._missed is not None:
            self._missed += gap.missed

    def _on_chunk(self, chunk):
        if self.active:
            self.faults.append(f"a chunk without a gap before: {chunk[:-1]}")
        if chunk.revision == 0:
            return self._void(chunk)
        if chunk.revision < self.known.get(chunk.partition, 0):
            self.lagging += 1
            self._requests.send(UNWATCH, self._number)
            return self._watch_later()
        for entry in chunk.entries:
            self._check_caught_up(chunk, entry)
            self._received[entry.key] = entry.revision
            self._apply(entry, live=False)
        self._entries += chunk.count
        self._modes[chunk.partition] = min(chunk.mode, self._modes.get(chunk.partition, CHANGES))
        if chunk.more != SAME_PARTITION:
            self._complete(chunk)
        if chunk.more == LAST:
            self._received, self._asked = {}, {}  # another round may follow

    def _void(self, chunk):
        """What is known of the partition is of another history."""
        if chunk.entries or chunk.mode != FULL or chunk.more == LAST:
            self.faults.append(f"a void chunk that says something: {chunk}")
        for key in [key for key in self._last if self._partition_of(key) == chunk.partition]:
            del self._last[key]
        self.known[chunk.partition] = self._asked[chunk.partition] = 0

    def _check_caught_up(self, chunk, entry):
        wrong = None
        if not covers(self.subtree, entry.key) or not entry.key.startswith(chunk.partition):
            wrong = "Filtered"
        elif entry.key in self._received:
            wrong = "Unique"
        elif entry.revision > chunk.revision:
            wrong = "SnapshotComplete: after the cut"
        elif chunk.mode == FULL and entry.value is None:
            wrong = "SnapshotComplete: a deletion"
        elif chunk.mode == CHANGES and entry.revision <= self._asked.get(chunk.partition, 0):
            wrong = "Unique: known"
        if wrong:
            self.faults.append(f"{wrong}: {entry!r:.200} in {chunk[:-1]}")

    def _complete(self, chunk):
        self.known.setdefault(chunk.partition, 0)
        if chunk.mode == FULL:
            for key in self.map.keys() - self._received.keys():
                if self._partition_of(key) == chunk.partition:
                    self._apply(Entry(key, chunk.revision, None), live=False)
        self.known[chunk.partition] = chunk.revision

    def _on_caught_up(self, caught_up):
        if caught_up.stream != self._stream:
            self._named, self._missed = {}, None
        if self._missed is not None and caught_up.position != self._end + self._missed:
            self.faults.append(f"GapDetected: {self._missed} missed after {self._end}: {caught_up}")
        self._stream, self._position = caught_up.stream, caught_up.position
        self._joins, self.active = True, True
        self.catch_ups.append(
            CatchUp(self._knew, self._modes, self._entries, caught_up.stream, caught_up.position)
        )

    def _on_batch(self, batch):
        self.compressed += batch.raw_bytes > 0
        if batch.count == 0:
            self.heartbeats.append((time.monotonic(), batch.revisions))
        wrong = None
        if self._number is None:
            return  # it was under way when the watch was ended
        if not self.active or batch.stream != self._stream:
            wrong = "a batch for no live watch"
        elif batch.after > self._position:
            wrong = f"GapDetected: nothing said of a hole after {self._position}"
        elif batch.after < self._position and not self._joins:
            wrong = f"Unique: it comes after {self._position}"
        if wrong:
            return self.faults.append(f"{wrong}: {batch[:-1]}")
        self._joins = False
        self._apply_batch(batch)

    def _apply_batch(self, batch):
        new = batch.entries[self._position - batch.after :]
        for position, entry in enumerate(new, self._position + 1):
            if self.keys_at.setdefault((batch.stream, position), entry.key) != entry.key:
                self.faults.append(f"Unique: position {position} is told twice")
            if not covers(self.subtree, entry.key):
                self.faults.append(f"Filtered: {entry.key}")
            partition = self._partition_of(entry.key)
            floor = max(self.known.get(partition, 0), self._last.get(entry.key, 0))
            if entry.revision <= floor and not self.latest_ms:
                self.faults.append(f"Ordered: {entry.key} of {entry.revision:#x} after {floor:#x}")
            self._apply(entry, live=True)
        self._position = max(self._position, batch.after + batch.count)
        for partition, revision in batch.revisions.items():
            if revision < self._named.get(partition, 0):
                self.faults.append(f"Ordered: {partition} goes back to {revision:#x}")
            self._named[partition] = revision
            # From before the cut of the catch-up, it may be less.
            self.known[partition] = max(revision, self.known.get(partition, 0))

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
            Received(len(self.history), entry.key, entry.value, live, entry.revision, time.monotonic())
        )


def check_promises(*watchers):
    """Ordered, Unique, Filtered and SnapshotComplete, as each Watcher saw them."""
    for each in watchers:
        assert not each.faults, f"{len(each.faults)} breaches: {each.faults[:5]}"


def main(endpoint, options):
    """A Watcher as a process: says "active", then answers each line with what has become of it."""
    clones = Clones(zmq.Context())
    watcher = clones.add(Watcher(clones.context, [endpoint], **json.loads(options)))
    clones.run(lambda: watcher.active, "it watches")
    print("active", flush=True)
    while True:
        clones.turn()
        if not select.select([sys.stdin], [], [], 0)[0]:
            continue
        if not sys.stdin.readline():
            return
        report = {
            "map": {text(key): text(value) for key, value in watcher.map.items()},
            "active": watcher.active,
            "reached": watcher.reached,
            "faults": watcher.faults,
            "losses": watcher.losses,
            "gaps": watcher.gaps,
            "positions": [position for _, position in watcher.keys_at],
            "modes": [sorted(set(each.modes.values())) for each in watcher.catch_ups],
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
