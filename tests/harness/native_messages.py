"""The frames of the native protocol as docs/reference/protocol.md has them: what is sent, packed, and what comes, read. Nothing
here knows the server beyond that page."""

from typing import NamedTuple

import msgpack

VERSION = 2
ANNOUNCE, WRITE, WATCH, UNWATCH, GET, LIST, PING, CLIENTS, KICK = range(128, 137)
DIRECTORY, DRAIN, RELOAD = 144, 145, 146
BATCH, MOVE = 160, 161
WELCOME, WRITTEN, CHUNK, CAUGHT_UP, ENTRY, PONG, GAP, CLIENT_LIST, KICKED = range(192, 201)
MEMBERS, DRAINED, RELOADED, REFUSAL = 208, 209, 210, 255
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
    18: "too_few_replicas",
    32: "partition_unavailable",
    33: "busy",
    34: "draining",
    35: "too_many_requests",
}


# -- frames --------------------------------------------------------------------------------------


class Entry(NamedTuple):
    key: bytes
    revision: int
    value: bytes  # None: deleted
    expires_at_ms: int = 0
    properties: bytes = b""
    uuid: bytes = b""  # of a Clone client


class Batch(NamedTuple):
    stream: int
    after: int
    count: int
    revisions: dict
    raw_bytes: int
    entries: list


class Move(NamedTuple):
    within_ms: int


class Welcome(NamedTuple):
    request: int
    proxy: str


class Written(NamedTuple):
    request: int  # number of the write
    revision: int


class Chunk(NamedTuple):
    request: int
    partition: bytes
    mode: int
    revision: int
    more: int
    count: int
    entries: list


class CaughtUp(NamedTuple):
    request: int
    stream: int
    position: int


class Got(NamedTuple):
    request: int
    entry: Entry  # None: there is no such key


class Pong(NamedTuple):
    request: int


class Gap(NamedTuple):
    request: int
    missed: int  # None: of another history


class Client(NamedTuple):
    connection: int
    peer: str
    name: str
    protocol: str
    subscriptions: list
    queued: int
    missed: int
    catch_ups: int
    age_ms: int


class ClientList(NamedTuple):
    request: int
    more: int
    clients: list


class Kicked(NamedTuple):
    request: int


class Refusal(NamedTuple):
    request: int
    fault: str  # its name
    text: str
    revision: int
    of: int  # kind of what is refused

    @property
    def retriable(self):
        return next(number for number, name in FAULTS.items() if name == self.fault) >= 32


class Members(NamedTuple):
    request: int
    members: dict


class Drained(NamedTuple):
    request: int


class Reloaded(NamedTuple):
    request: int
    settings: list


class Breach(Exception):
    """What no server of this protocol may send."""


def text(data):
    return data.decode(errors="surrogateescape")


def raw(string):
    return string.encode(errors="surrogateescape")


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


PLAIN = {
    WELCOME: Welcome,
    WRITTEN: Written,
    CAUGHT_UP: CaughtUp,
    PONG: Pong,
    GAP: Gap,
    KICKED: Kicked,
    MOVE: Move,
    DRAINED: Drained,
    RELOADED: Reloaded,
}


def read_message(frame):
    """What a proxy or the broker has sent."""
    if frame[0] != VERSION:
        raise Breach(f"version {frame[0]}")
    unpacker = msgpack.Unpacker(unicode_errors="surrogateescape", max_buffer_size=1 << 25)
    unpacker.feed(frame[1:])
    kind, *fields = unpacker.unpack()
    rest = frame[1 + unpacker.tell() :]
    if kind == BATCH:
        stream, after, count, revisions, raw_bytes = fields
        entries = read_entries(unpack(lz4_unpack(rest, raw_bytes) if raw_bytes else rest), count)
        return Batch(stream, after, count, by_partition(revisions), raw_bytes, entries)
    if kind == CHUNK:
        fields[1] = raw(fields[1])
        return Chunk(*fields, read_entries(unpack(rest), fields[-1]))
    if kind == ENTRY:
        request, count = fields
        return Got(request, *(read_entries(unpack(rest), count) or [None]))
    if rest:
        raise Breach(f"bytes behind a message of kind {kind}")
    if kind == REFUSAL:
        request, fault, words, revision, of = fields
        return Refusal(request, FAULTS[fault], words, revision, of)
    if kind == CLIENT_LIST:
        return ClientList(*fields[:2], [Client(*each) for each in fields[2]])
    if kind == MEMBERS:
        return Members(fields[0], dict(fields[1]))
    return PLAIN[kind](*fields)
