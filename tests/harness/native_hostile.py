"""Ways to trouble a proxy's native frontend: wrong requests, each with the fault that answers it."""

from tests.harness.native import CLIENTS, GET, ANNOUNCE, KICK, LIST, PING, UNWATCH, WATCH, WRITE, pack, write

CLIENT = bytes(range(16))
MAX_VALUE, MAX_FRAME = 1 << 20, 4 << 20


def wrong_writes():
    """(what, the fields behind the kind, fault)"""
    good = ["/k", b"v", 0, None, b""]

    def fields(number=7, settled=7, writes=None):
        return [number, settled, [good] if writes is None else writes]

    def one(field, value):
        return fields(writes=[good[:field] + [value] + good[field + 1 :]])

    yield "no fields", [], "malformed"
    yield "a field too few", fields()[:-1], "malformed"
    yield "a field too many", fields() + [0], "malformed"
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


def wrong_announces():
    def fields(request=7, client=CLIENT, name="n", software="s"):
        return [request, client, name, software]

    yield "no fields", [], "malformed"
    yield "a field too few", fields()[:-1], "malformed"
    yield "a field too many", fields() + [0], "malformed"
    yield "request 0", fields(request=0), "bad_field"
    yield "a client id of 15 bytes", fields(client=CLIENT[1:]), "bad_field"
    yield "a client id of 17 bytes", fields(client=CLIENT + b"x"), "bad_field"
    yield "a client id that is text", fields(client="x" * 16), "malformed"
    yield "a name that is bytes", fields(name=b"n"), "malformed"
    yield "a name of 256 bytes", fields(name="n" * 256), "bad_field"
    yield "a name of two lines", fields(name="a\nb"), "bad_field"
    yield "software of 256 bytes", fields(software="s" * 256), "bad_field"


def wrong_watches():
    def fields(subtree="/results/", latest=0, lz4=0, known=None, request=7):
        return [request, subtree, latest, lz4, {} if known is None else known]

    yield "no fields", [], "malformed"
    yield "a field too few", fields()[:-1], "malformed"
    yield "a field too many", fields() + [0], "malformed"
    yield "request 0", fields(request=0), "bad_field"
    yield "latest over the limit", fields(latest=60_001), "bad_field"
    yield "a negative latest", fields(latest=-1), "bad_field"
    yield "lz4 that is 2", fields(lz4=2), "bad_field"
    yield "lz4 that is a boolean", fields(lz4=True), "malformed"
    yield from ((what, fields(subtree=each), fault) for what, each, fault in wrong_subtrees())
    yield "revisions that are a list", fields(known=[["/results/", 1]]), "malformed"
    yield "a revision that is text", fields(known={"/results/": "1"}), "malformed"
    yield "a negative revision", fields(known={"/results/": -1}), "bad_field"
    yield "a partition that is none", fields(known={"/results": 1}), "bad_subtree"
    many = {f"/{number}/": 1 for number in range(4097)}
    yield "4097 revisions", fields(known=many), "too_large"


def wrong_subtrees():
    yield "a subtree that is bytes", b"/results/", "malformed"
    yield "a subtree of 256 bytes", "/" * 256, "bad_subtree"
    yield "control characters in a subtree", "/a\n/", "bad_subtree"
    yield "a reserved key as the subtree", "HUGZ", "bad_subtree"


def wrong_reads():
    """(kind, what, fields, fault)"""
    for kind, good in ((GET, [7, "/k"]), (LIST, [7, "/k/", 0]), (KICK, [7, 1])):
        yield kind, "no fields", [], "malformed"
        yield kind, "a field too few", good[:-1], "malformed"
        yield kind, "a field too many", good + [0], "malformed"
        yield kind, "request 0", [0, *good[1:]], "bad_field"
    for what, each, fault in wrong_subtrees():
        yield LIST, what, [7, each, 0], fault
    yield LIST, "a negative limit", [7, "/k/", -1], "bad_field"
    yield LIST, "a limit that is text", [7, "/k/", "1"], "malformed"
    for key in ("", "/" + "k" * 255, "KTHXBAI", "/k\0"):
        yield GET, f"{key[:10]!r} as a key", [7, key], "bad_key"
    for kind in (UNWATCH, PING, CLIENTS):
        yield kind, "no fields", [], "malformed"
        yield kind, "a field too many", [7, 1], "malformed"
        yield kind, "request 0", [0], "bad_field"


def not_messages():
    """(what, frames): of this version, but no array with a kind."""
    yield "an empty frame", [b""]
    yield "the version alone", [b"\2"]
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
        yield what, [b"\2" + body]
    good = pack(PING, 7)
    yield "two frames", [good, good]
    yield "an envelope as of a REQ", [b"", good]
    yield "a dozen frames", [good] * 12


def good_requests():
    yield pack(ANNOUNCE, 300, CLIENT, "a name", "software")
    yield pack(WRITE, 300, 300, [write(b"/results/cut", b"v" * 40, 70_000, 1 << 41, b"p")])
    yield pack(WATCH, 300, "/a/", 300, 1, {"/results/": 1 << 41})
    yield pack(UNWATCH, 300)
    yield pack(GET, 300, "/results/cut")
    yield pack(LIST, 300, "/a/", 300)
    yield pack(PING, 300)
