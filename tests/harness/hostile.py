"""Ways to trouble a server: malformed messages of each dialect, and raw bytes over TCP."""

import socket
import struct
import time

from tests.harness import zmtp

MAX_KEY, MAX_VALUE, MAX_PROPERTIES, MAX_UUID = 255, 1 << 20, 4 << 10, 64
MAX_PARTS = 16  # of a message; one with more ends the connection
NUMBER = bytes(8)
UUID = bytes(range(16))


def updates(dialect):
    """(what, frames, reason) for each way in which an update can be wrong; the reason is the one
    that canopy_rejected_total is to name."""
    full = dialect != "kvsimple"

    def message(key=b"/bad/k", number=NUMBER, uuid=UUID, properties=b"", value=b"v"):
        return [key, number, uuid, properties, value] if full else [key, number, value]

    good = message()
    yield "one frame", good[:1], "frame_count"
    yield "two frames", good[:2], "frame_count"
    yield "four frames", (good * 2)[:4], "frame_count"
    yield "a frame too many", good + [b""], "frame_count"
    yield "the other dialect", good[:3] if full else good + [b"", b""], "frame_count"
    yield "as many frames as there may be", good[:1] * MAX_PARTS, "frame_count"
    yield "one empty frame", [b""], "frame_count"
    yield "no key", message(key=b""), "key_empty"
    yield "a key of 256 bytes", message(key=b"/" + b"k" * MAX_KEY), "key_too_long"
    yield "a key of 100,000 bytes", message(key=b"k" * 100_000), "key_too_long"
    for byte in (0, 1, 9, 10, 13, 27, 31, 127):
        yield f"byte {byte} in a key", message(key=b"/bad/%c" % byte), "key_control_character"
    for word in (b"HUGZ", b"KTHXBAI", b"ICANHAZ?"):
        yield f"{word} as a key", message(key=word), "key_reserved"
    yield "a value over the limit", message(value=b"v" * (MAX_VALUE + 1)), "value_too_long"


def metadata(dialect):
    """(what, sequence, uuid, properties, ignored) for each way in which the metadata of a good
    update can be odd; `ignored` is the reason that canopy_ignored_metadata_total is to name."""
    for size in (0, 1, 4, 7, 9, 16, 255):
        yield f"a sequence of {size} bytes", b"\xff" * size, UUID, b"", None
    if dialect == "kvsimple":
        return
    for size in (0, 1, 15, 17, 32, 36, MAX_UUID):
        yield f"a uuid of {size} bytes", NUMBER, b"\xfe" * size, b"", None
    for size in (MAX_UUID + 1, 255):
        yield f"a uuid of {size} bytes", NUMBER, b"u" * size, b"", "uuid_too_long"
    long = b"p" * (MAX_PROPERTIES + 1)
    yield "properties over the limit", NUMBER, UUID, long, "properties_too_long"
    for properties in (b"\xff\0\x01", b"\n\n", b"=", b"no line", b"ttl", b"ttl=\n", b"ttl=0\n"):
        yield f"{properties} as properties", NUMBER, UUID, properties, None
    for ttl in (b"soon", b"-1", b"nan", b"\xff", b"--5"):
        yield f"{ttl} as ttl", NUMBER, UUID, b"ttl=%s\n" % ttl, "ttl_malformed"
    for ttl in (b"99999999999999999999", b"1e400", b"9" * 1000, b"inf"):
        yield f"{ttl[:20]} as ttl", NUMBER, UUID, b"ttl=%s\n" % ttl, None


def requests():
    """(what, frames) for the snapshot socket."""
    yield "an empty frame", [b""]
    yield "another word", [b"GIVEMEALL", b""]
    yield "the word in lower case", [b"icanhaz?", b""]
    yield "three frames", [b"ICANHAZ?", b"/a/", b"/b/"]
    yield "as many frames as there may be", [b"ICANHAZ?"] * MAX_PARTS
    yield "an envelope as of a REQ", [b"", b"ICANHAZ?", b""]
    yield "a subtree of 256 bytes", [b"ICANHAZ?", b"/" * 256]
    yield "control characters", [b"ICANHAZ?", b"/a\n/"]
    yield "binary noise", [bytes(range(256)), bytes(range(255, -1, -1))]


GREETING = zmtp.greeting()
READY = zmtp.ready("DEALER")


def garbage(random):
    """(what, bytes) to throw at any TCP port."""
    yield "nothing", b""
    yield "zeros", bytes(10_000)
    yield "0xff", b"\xff" * 10_000
    yield "noise", random.randbytes(50_000)
    yield "an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "an endless header", b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000
    yield "a bad method", b"\x00\x01\x02 / HTTP/9.9\r\n\r\n"
    yield "a bad length", b"POST /metrics HTTP/1.1\r\nContent-Length: -5\r\n\r\nhello"
    yield "a path outside", b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "half a greeting", GREETING[:20]
    yield "a greeting", GREETING
    yield "a greeting and noise", GREETING + random.randbytes(5_000)
    yield "an unknown mechanism", GREETING[:12] + b"ROT13" + GREETING[17:]
    yield "an empty command", GREETING + b"\x04\x00"
    yield "READY cut short", GREETING + READY[:-5]
    yield "READY and noise", GREETING + READY + random.randbytes(5_000)
    yield "READY and a frame of 2^63 bytes", GREETING + READY + b"\x02\x7f" + b"\xff" * 7
    yield "READY and a frame of 1 GiB", GREETING + READY + b"\x02" + struct.pack(">Q", 1 << 30)
    yield "READY and half a message", GREETING + READY + b"\x01\x05hel"
    yield "READY and empty frames", GREETING + READY + b"\x01\x00" * 2_000 + b"\x00\x00"


def throw(port, data, linger=0.02):
    """Sends raw bytes to a port, reads a bit of what comes back, and closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        try:
            peer.sendall(data)
            peer.settimeout(linger)
            deadline = time.monotonic() + linger
            while time.monotonic() < deadline and peer.recv(65_536):
                pass
        except OSError:
            pass  # cut off, as it should be
