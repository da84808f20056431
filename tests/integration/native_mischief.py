"""Ways to trouble a proxy's native frontend: wrong requests, each with the fault that answers it,
and a subscriber that no libzmq would be."""

import socket
import struct

import mischief
import native
from native import CREDIT, FETCH, WRITE, pack, write

CLIENT = bytes(range(16))
MAX_VALUE, MAX_FRAME = 1 << 20, 4 << 20


def wrong_writes():
    """(what, the fields behind the kind, fault)"""
    good = ["/k", b"v", 0, None, b""]

    def fields(client=CLIENT, number=7, settled=7, writes=None):
        return [client, number, settled, [good] if writes is None else writes]

    def one(field, value):
        return fields(writes=[good[:field] + [value] + good[field + 1 :]])

    yield "no fields", [], "malformed"
    yield "a field too few", fields()[:-1], "malformed"
    yield "a field too many", fields() + [0], "malformed"
    yield "a client id of 15 bytes", fields(client=CLIENT[1:]), "bad_field"
    yield "a client id of 17 bytes", fields(client=CLIENT + b"x"), "bad_field"
    yield "a client id that is text", fields(client="x" * 16), "malformed"
    yield "number 0", fields(number=0, settled=0), "bad_field"
    yield "a negative number", fields(number=-7), "bad_field"
    yield "a number that is text", fields(number="7"), "malformed"
    yield "a number that is a float", fields(number=7.0), "malformed"
    yield "settled beyond the number", fields(settled=8), "bad_field"
    yield "a negative settled", fields(settled=-1), "bad_field"
    yield "writes that are a map", fields(writes={"/k": b"v"}), "malformed"
    yield "no writes", fields(writes=[]), "bad_field"
    yield "1025 writes", fields(writes=[good] * 1025), "too_large"
    yield "a write that is text", fields(writes=["/k"]), "malformed"
    yield "a write of four fields", fields(writes=[good[:4]]), "malformed"
    yield "a write of six fields", fields(writes=[good + [0]]), "malformed"
    yield "a second write that is wrong", fields(writes=[good, good[:1]]), "malformed"
    yield "a key that is bytes", one(0, b"/k"), "malformed"
    yield "an empty key", one(0, ""), "bad_key"
    yield "a key of 256 bytes", one(0, "/" + "k" * 255), "bad_key"
    yield "a reserved key", one(0, "HUGZ"), "bad_key"
    for byte in (0, 9, 10, 31, 127):
        yield f"byte {byte} in a key", one(0, "/k%c" % byte), "bad_key"
    yield "a value that is text", one(1, "v"), "malformed"
    yield "a value that is a number", one(1, 1), "malformed"
    yield "a value over the limit", one(1, bytes(MAX_VALUE + 1)), "too_large"
    yield "a negative ttl", one(2, -1), "bad_field"
    yield "a ttl over the limit", one(2, (1 << 48) + 1), "bad_field"
    yield "no ttl", one(2, None), "malformed"
    yield "a negative if_revision", one(3, -1), "bad_field"
    yield "an if_revision that is text", one(3, "1"), "malformed"
    yield "properties that are text", one(4, ""), "malformed"
    yield "properties over the limit", one(4, bytes(4097)), "too_large"
    several = [good, ["/results/k", b"v", 0, None, b""]]
    yield "keys of several partitions", fields(writes=several), "several_partitions"


def wrong_fetches():
    def fields(topic=b"", subtree="/results/", known=None, gap=None, credit=4, request=7):
        return [request, topic, subtree, {} if known is None else known, gap, credit]

    def topic(head, subtree=b"/results/", end=b"\0"):
        return fields(topic=head + subtree + end)

    good = native.topic(b"/results/")[:6]
    yield "no fields", [], "malformed"
    yield "a field too few", fields()[:-1], "malformed"
    yield "a field too many", fields() + [0], "malformed"
    yield "request 0", fields(request=0), "bad_field"
    yield "a topic that is text", fields(topic="x"), "malformed"
    yield "a topic that is none", fields(topic=b"x"), "bad_field"
    yield "a topic cut short", topic(good, end=b""), "bad_field"
    yield "a topic of another version", topic(b"\2" + good[1:]), "bad_field"
    yield "a topic with unknown flags", topic(b"\1\2" + good[2:]), "bad_field"
    yield "latest over the limit", topic(b"\1\0" + (60_001).to_bytes(4, "big")), "bad_field"
    yield "bytes behind a topic", topic(good, end=b"\0x"), "bad_field"
    yield "a topic of another subtree", topic(good, b"/results/eu/"), "bad_subtree"
    yield "a topic that nobody subscribes to", topic(good), "not_subscribed"
    yield "a subtree that is bytes", fields(subtree=b"/results/"), "malformed"
    yield "a subtree of 256 bytes", fields(subtree="/" * 256), "bad_subtree"
    yield "control characters in a subtree", fields(subtree="/a\n/"), "bad_subtree"
    yield "a reserved key as the subtree", fields(subtree="HUGZ"), "bad_subtree"
    yield "revisions that are a list", fields(known=[["/results/", 1]]), "malformed"
    yield "a revision that is text", fields(known={"/results/": "1"}), "malformed"
    yield "a negative revision", fields(known={"/results/": -1}), "bad_field"
    yield "a partition that is none", fields(known={"/results": 1}), "bad_subtree"
    many = {f"/{number}/": 1 for number in range(4097)}
    yield "4097 revisions", fields(known=many), "too_large"
    yield "a gap of two numbers", fields(gap=[1, 2]), "malformed"
    yield "a gap that is none", fields(gap=[1, 2, 2]), "bad_field"
    yield "a gap backwards", fields(gap=[1, 3, 2]), "bad_field"
    yield "a gap of text", fields(gap=["1", "2", "3"]), "malformed"
    yield "credit 0", fields(credit=0), "bad_field"
    yield "credit 65", fields(credit=65), "bad_field"
    yield "a negative credit", fields(credit=-1), "bad_field"
    yield "no credit", fields(credit=None), "malformed"


def wrong_credits():
    yield "no fields", [], "malformed"
    yield "a field too few", [7], "malformed"
    yield "a field too many", [7, 1, 1], "malformed"
    yield "request 0", [0, 1], "bad_field"
    yield "no chunks", [7, 0], "bad_field"
    yield "65 chunks", [7, 65], "bad_field"
    yield "chunks that are text", [7, "1"], "malformed"


def not_messages():
    """(what, frames): of this version, but no array with a kind."""
    yield "an empty frame", [b""]
    yield "the version alone", [b"\1"]
    for what, body in {
        "an empty array": b"\x90",
        "a map": b"\x80",
        "a number": b"\x07",
        "nothing": b"\xc0",
        "a byte that is no MessagePack": b"\xc1",
        "an extension": b"\xd4\x01\x00",
        "a kind that is text": b"\x91\xa1x",
        "a kind that is an array": b"\x91\x91\x01",
        "an array of 2^32 - 1": b"\xdd\xff\xff\xff\xff\xcc\x81",
        "deep nesting": b"\x91" * 10_000,
        "text of 2^32 - 1 bytes": b"\x91\xdb\xff\xff\xff\xff",
    }.items():
        yield what, [b"\1" + body]
    good = pack(FETCH, 7, b"", "", {}, None, 4)
    yield "two frames", [good, good]
    yield "an envelope as of a REQ", [b"", good]
    yield "twenty frames", [good] * 20


def good_requests():
    yield pack(WRITE, CLIENT, 300, 300, [write(b"/results/cut", b"v" * 40, 70_000, 1 << 41, b"p")])
    yield pack(FETCH, 300, native.topic(b"/a/"), "/a/", {"/results/": 1 << 41}, [1, 2, 3], 4)
    yield pack(CREDIT, 300, 2)


class RawSubscriber:
    """Speaks just enough ZMTP to send a proxy what no libzmq socket would."""

    def __init__(self, port, own=native.topic(b"/raw/")):
        """With a topic that it is the first to subscribe to, and waits for; None for none."""
        self.peer = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.received = b""
        self.peer.sendall(mischief.GREETING)
        self._receive(lambda data: len(data) >= len(mischief.GREETING))
        self.peer.sendall(mischief.command(b"\5READY\x0bSocket-Type\0\0\0\3SUB"))
        self._receive(lambda data: b"READY" in data)
        if own is not None:
            self.send(b"\1" + own)
            self._receive(lambda data: own in data)

    def send(self, message):
        self.peer.sendall(struct.pack(">BB", 0, len(message)) + message)

    def _receive(self, enough):
        while not enough(self.received):
            more = self.peer.recv(65_536)
            assert more, f"cut off after {self.received!r}"
            self.received += more
