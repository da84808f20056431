"""A client of the native protocol as docs/protocol.md has it, over pyzmq and msgpack.

Nothing here knows the server beyond that page: the frames, one request after another, and writing.
Who watches is in native_watcher.py.
"""

import os
import random
import struct
import time
from typing import NamedTuple

import msgpack
import zmq

from clone import make_socket
from waiting import seconds

VERSION = 1
WRITE, FETCH, CREDIT = 129, 130, 131
DIRECTORY, DRAIN, RELOAD = 144, 145, 146
BATCH, MOVE = 160, 161
WRITTEN, CHUNK, MEMBERS, DRAINED, REFUSAL = 193, 194, 208, 209, 255
FULL, CHANGES = 0, 1
LAST, SAME_PARTITION, NEXT_PARTITION = 0, 1, 2
FAULTS = {
    1: "malformed",
    2: "version_unknown",
    3: "kind_unknown",
    4: "too_large",
    5: "bad_key",
    6: "bad_subtree",
    7: "bad_field",
    8: "several_partitions",
    9: "no_partition",
    10: "revision_mismatch",
    11: "not_kept",
    12: "replayed",
    13: "not_found",
    14: "forbidden",
    15: "configuration",
    16: "full",
    17: "not_followed",
    32: "partition_unavailable",
    33: "busy",
    34: "draining",
    35: "too_many_requests",
    36: "not_subscribed",
}


# -- frames --------------------------------------------------------------------------------------


class Entry(NamedTuple):
    key: bytes
    revision: int
    value: bytes  # None: deleted
    expires_at_ms: int = 0
    properties: bytes = b""


class Batch(NamedTuple):
    incarnation: int
    after: int
    count: int
    revisions: dict
    raw_bytes: int
    entries: list


class Move(NamedTuple):
    within_ms: int


class Written(NamedTuple):
    request: int
    revision: int


class Chunk(NamedTuple):
    request: int
    number: int
    partition: bytes
    mode: int
    revision: int
    more: int
    incarnation: int
    position: int
    count: int
    entries: list


class Refusal(NamedTuple):
    request: int
    fault: str  # its name
    text: str
    revision: int

    @property
    def retriable(self):
        return next(number for number, name in FAULTS.items() if name == self.fault) >= 32


class Members(NamedTuple):
    request: int
    members: dict


class Drained(NamedTuple):
    request: int


class Breach(Exception):
    """What no server of this protocol may send."""


def text(data):
    return data.decode(errors="surrogateescape")


def raw(string):
    return string.encode(errors="surrogateescape")


def topic(subtree=b"", latest_ms=0, lz4=False):
    return struct.pack(">BBI", VERSION, lz4, latest_ms) + subtree + b"\0"


def pack(*fields, version=VERSION):
    packer = msgpack.Packer(unicode_errors="surrogateescape")
    return bytes([version]) + packer.pack(list(fields))


def write(key, value, ttl_ms=0, if_revision=None, properties=b""):
    """One write of a request; a value of None deletes."""
    return [text(key), value, ttl_ms, if_revision, properties]


def covers(subtree, key):
    return key.startswith(subtree) if subtree[-1:] in (b"", b"/") else key == subtree


def packed_revisions(known):
    return {text(partition): revision for partition, revision in known.items()}


def unpack(data):
    """The values that fill `data`, one after another."""
    unpacker = msgpack.Unpacker(unicode_errors="surrogateescape", max_buffer_size=1 << 25)
    unpacker.feed(data)
    values = list(unpacker)
    if unpacker.tell() != len(data):
        raise Breach(f"cut short after {unpacker.tell()} of {len(data)} bytes: {data[:100]!r}")
    return values


def lz4_unpack(block, size):
    """What an LZ4 block holds."""
    out, at = bytearray(), 0

    def length(nibble):
        nonlocal at
        total = nibble
        while nibble == 15:
            total += block[at]
            at += 1
            if block[at - 1] != 255:
                break
        return total

    while at < len(block):
        token = block[at]
        at += 1
        literals = length(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at == len(block):
            break  # the last sequence has no match
        offset = block[at] | block[at + 1] << 8
        at += 2
        matched = length(token & 15) + 4
        if not 0 < offset <= len(out):
            raise Breach(f"LZ4: an offset of {offset} at {len(out)}")
        for _ in range(matched):
            out.append(out[-offset])
    if len(out) != size:
        raise Breach(f"LZ4: {len(out)} bytes instead of {size}")
    return bytes(out)


def read_entries(values, count):
    entries = [Entry(raw(key), *rest) for key, *rest in values]
    if len(entries) != count:
        raise Breach(f"{len(entries)} entries instead of {count}")
    for each in entries:
        if not isinstance(each.revision, int) or not isinstance(each.value, (bytes, type(None))):
            raise Breach(f"not an entry: {each!r:.200}")
    return entries


def by_partition(revisions):
    return {raw(partition): revision for partition, revision in revisions.items()}


def read_stream(frame, expected_topic):
    """The Batch or Move of one message of a stream."""
    if not frame.startswith(expected_topic):
        raise Breach(f"not of the topic {expected_topic!r}: {frame[:100]!r}")
    body = frame[len(expected_topic) :]
    unpacker = msgpack.Unpacker(unicode_errors="surrogateescape", max_buffer_size=1 << 25)
    unpacker.feed(body)
    kind, *fields = unpacker.unpack()
    if kind == MOVE:
        return Move(*fields)
    if kind != BATCH:
        raise Breach(f"kind {kind} on a stream")
    incarnation, after, count, revisions, raw_bytes = fields
    rest = body[unpacker.tell() :]
    entries = read_entries(unpack(lz4_unpack(rest, raw_bytes) if raw_bytes else rest), count)
    return Batch(incarnation, after, count, by_partition(revisions), raw_bytes, entries)


def read_answer(frame):
    if frame[0] != VERSION:
        raise Breach(f"version {frame[0]}")
    (kind, *fields), *entries = unpack(frame[1:])
    if kind == CHUNK:
        fields[2] = raw(fields[2])
        return Chunk(*fields, read_entries(entries, fields[-1]))
    if entries:
        raise Breach(f"bytes behind an answer of kind {kind}")
    if kind == REFUSAL:
        request, fault, words, revision = fields
        return Refusal(request, FAULTS[fault], words, revision)
    if kind == MEMBERS:
        return Members(fields[0], dict(fields[1]))
    return {WRITTEN: Written, DRAINED: Drained}[kind](*fields)


# -- requests ------------------------------------------------------------------------------------


class Requests:
    """A DEALER to a proxy or to the broker."""

    def __init__(self, context, endpoint, **options):
        options = {"reconnect_ivl": random.randint(20, 60), "sndtimeo": 5000, **options}
        self.socket = make_socket(context, zmq.DEALER, endpoint, **options)
        self._last = 0

    def send(self, *fields):
        self.socket.send(pack(*fields))

    def answer(self, timeout=10):
        assert self.socket.poll(seconds(timeout) * 1000), "no answer"
        return read_answer(self.socket.recv())

    def ask(self, frame):
        """The answer to a frame as given."""
        self.socket.send(frame)
        return self.answer()

    def next_number(self):
        self._last += 1
        return self._last

    def read(self, subtree=b"", known=None):
        """The chunks of a plain read, or its refusal."""
        number = self.next_number()
        self.send(FETCH, number, b"", text(subtree), packed_revisions(known or {}), None, 4)
        chunks = []
        while not chunks or chunks[-1].more != LAST:
            answer = self.answer()
            if isinstance(answer, Refusal):
                return answer
            assert (answer.request, answer.number) == (number, len(chunks))
            chunks.append(answer)
            if answer.more != LAST:
                self.send(CREDIT, number, 1)
        return chunks

    def get(self, key):
        """The Entry of a key, or None."""
        entries = [entry for chunk in self.read(key) for entry in chunk.entries]
        assert len(entries) <= 1, entries
        return entries[0] if entries else None

    def directory(self, prefix=""):
        number = self.next_number()
        answer = self.ask(pack(DIRECTORY, number, prefix))
        assert answer.request == number
        return answer.members

    def close(self):
        self.socket.close()


class Refused(Exception):
    """A final refusal."""

    def __init__(self, refusal):
        super().__init__(f"{refusal.fault}: {refusal.text}")
        self.fault, self.revision = refusal.fault, refusal.revision


class Writer:
    """One request after another, each sent under its number, through one proxy after the other,
    until it is answered."""

    def __init__(self, context, *pairs, patience=1.0, timeout=20):
        self._context, self._patience, self._timeout = context, seconds(patience), timeout
        self._endpoints = [requests for requests, _ in pairs]
        self._at = 0
        self._requests = Requests(context, self._endpoints[0])
        self.client = os.urandom(16)
        self.number = 0
        self.written = []  # (revision, writes) of each answered request
        self.sent_again = 0

    def put(self, key, value, **options):
        return self.write(write(key, value, **options))

    def delete(self, key, **options):
        return self.write(write(key, None, **options))

    def write(self, *writes):
        """The revision of the last of them; raises Refused."""
        self.number += 1
        deadline = time.monotonic() + seconds(self._timeout)
        while time.monotonic() < deadline:
            self._requests.send(WRITE, self.client, self.number, self.number, list(writes))
            answer = self._answer()
            if isinstance(answer, Written):
                self.written.append((answer.revision, writes))
                return answer.revision
            if answer and not answer.retriable:
                raise Refused(answer)
            if answer:
                time.sleep(random.uniform(0.02, 0.1))
            if not answer or answer.fault == "draining":
                self._elsewhere()
            self.sent_again += 1
        raise AssertionError(f"a write is not answered: {writes!r:.200}")

    def _answer(self):
        deadline = time.monotonic() + self._patience
        while (left := deadline - time.monotonic()) > 0:
            if not self._requests.socket.poll(left * 1000):
                return None
            answer = read_answer(self._requests.socket.recv())
            if answer.request == self.number:
                return answer  # not a late one to an earlier sending

    def _elsewhere(self):
        self._requests.close()
        self._at = (self._at + 1) % len(self._endpoints)
        self._requests = Requests(self._context, self._endpoints[self._at])

    def close(self):
        self._requests.close()
