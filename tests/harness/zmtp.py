"""ZMTP peers made by hand over bare TCP: every version that is in use, and what no libzmq would send.

A BareSocket is one connection. A BareClient is a Clone client of three of them, polled by a Clones.
"""

import itertools
import socket
import struct
import time

from tests.harness.clone import Recorder, encode
from tests.harness.waiting import seconds

ZMTP_2, ZMTP_3, ZMTP_3_1 = (2, 0), (3, 0), (3, 1)
VERSIONS = (ZMTP_2, ZMTP_3, ZMTP_3_1)
TYPES = ["PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"]
MORE, LONG, COMMAND = 1, 2, 4


def port_of(endpoint):
    return int(endpoint.rsplit(":", 1)[1])


def frame(body, flags=0, is_long=None):
    """`is_long`: with eight bytes of length, whatever the length is."""
    if is_long or len(body) > 255:
        return struct.pack(">BQ", flags | LONG, len(body)) + body
    return struct.pack(">BB", flags, len(body)) + body


def command(name, data=b""):
    return frame(bytes([len(name)]) + name + data, COMMAND)


def greeting(version=ZMTP_3_1, mechanism=b"NULL"):
    major, minor = version
    return b"\xff" + bytes(8) + b"\x7f" + bytes([major, minor]) + mechanism.ljust(20, b"\0") + bytes(32)


def ready(kind, routing_id=b""):
    def field(name, value):
        return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value

    return command(b"READY", field(b"Socket-Type", kind.encode()) + field(b"Identity", routing_id))


def handshake(kind, version=ZMTP_3_1, routing_id=b""):
    """All that a peer says before its first message; it need not wait for any answer."""
    if version == ZMTP_2:
        start = b"\xff" + bytes(8) + b"\x7f\x01" + bytes([TYPES.index(kind)])
        return start + frame(routing_id)
    return greeting(version) + ready(kind, routing_id)


class BareSocket:
    def __init__(self, endpoint, kind, version=ZMTP_3_1, routing_id=b"", receive_buffer=0):
        self.version = version
        self.commands = []  # (name, data), as they came
        self._inbox, self._parts = bytearray(), []
        self._lengths = itertools.cycle([False, True])
        self.peer = socket.socket()
        if receive_buffer:
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.peer.settimeout(seconds(10))
        self.peer.connect(("127.0.0.1", port_of(endpoint)))
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer.sendall(handshake(kind, version, routing_id))
        if version == ZMTP_2:
            self._read_until(lambda: len(self._inbox) >= 14)
            assert self._inbox[:11] == b"\xff" + bytes(7) + b"\x01\x7f\x03", self._inbox
            assert self._inbox[12:14] == b"\0\0", "no routing id"
            del self._inbox[:14]
        else:
            self._read_until(lambda: len(self._inbox) >= 64)
            del self._inbox[:64]
            while not self.commands:
                self._read_until(lambda: self._parse() or self.commands)
            assert self.commands.pop(0)[0] == b"READY"

    def send(self, *frames):
        """Every second frame says its length in eight bytes."""
        last = len(frames) - 1
        self.peer.sendall(
            b"".join(
                frame(body, MORE if i < last else 0, next(self._lengths))
                for i, body in enumerate(frames)
            )
        )

    def subscribe(self, prefix):
        self._subscription(b"SUBSCRIBE", b"\1", prefix)

    def cancel(self, prefix):
        self._subscription(b"CANCEL", b"\0", prefix)

    def _subscription(self, name, byte, prefix):
        if self.version == ZMTP_3_1:
            self.peer.sendall(command(name, prefix))
        else:
            self.send(byte + prefix)

    def ping(self, context):
        self.peer.sendall(command(b"PING", b"\0\0" + context))

    def receive(self, timeout=10):
        """The frames of the next message, or None."""
        deadline = time.monotonic() + timeout
        while (message := self._parse()) is None:
            left = deadline - time.monotonic()
            self.peer.settimeout(max(left, 1e-6))
            try:
                self._read()
            except (TimeoutError, BlockingIOError):
                return None
            finally:
                self.peer.settimeout(seconds(10))
        return message

    def ended(self, timeout=10):
        """Reads on until the other side closes."""
        self.peer.settimeout(seconds(timeout))
        try:
            while self.peer.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self):
        self.peer.close()

    def _read(self):
        more = self.peer.recv(1 << 18)
        if not more:
            raise ConnectionError("closed by the other side")
        self._inbox += more

    def _read_until(self, enough):
        while not enough():
            self._read()

    def _parse(self):
        """A message that is there in full, or None."""
        while len(self._inbox) >= 2:
            flags, length, at = self._inbox[0], self._inbox[1], 2
            if flags & LONG:
                if len(self._inbox) < 9:
                    return None
                (length,), at = struct.unpack(">Q", self._inbox[1:9]), 9
            if len(self._inbox) < at + length:
                return None
            body = bytes(self._inbox[at : at + length])
            del self._inbox[: at + length]
            if flags & COMMAND:
                self.commands.append((body[1 : 1 + body[0]], body[1 + body[0] :]))
                return None if self.commands[-1][0] == b"READY" else self._parse()
            self._parts.append(body)
            if not flags & MORE:
                message, self._parts = self._parts, []
                return message
        return None


class BareWriter:
    def __init__(self, dialect, triple, version=ZMTP_3_1):
        self.dialect = dialect
        self.socket = BareSocket(triple[2], "PUB" if dialect == "chp" else "PUSH", version)
        if dialect == "chp":
            # A publisher sends nothing before its peer has subscribed.
            if version == ZMTP_3_1:
                self.socket._read_until(lambda: self.socket._parse() or self.socket.commands)
                assert self.socket.commands == [(b"SUBSCRIBE", b"")]
            else:
                assert self.socket.receive() == [b"\1"]

    def put(self, key, value):
        self.socket.send(*encode(self.dialect, key, value))

    def close(self):
        self.socket.close()


class BareClient(Recorder):
    """Of models 3-6: subscribes, asks for its snapshot, applies what follows it, and writes."""

    def __init__(self, dialect, triple, subtree=b"", version=ZMTP_3_1):
        super().__init__(dialect)
        self.prefix, self.active = subtree, False
        self.subscriber = BareSocket(triple[1], "SUB", version)
        self.subscriber.subscribe(subtree)
        if dialect == "chp":
            self.subscriber.subscribe(b"HUGZ")
        self.snapshot = BareSocket(triple[0], "DEALER", version)
        self.snapshot.send(b"ICANHAZ?", subtree)
        self.writer = BareWriter(dialect, triple, version)

    def sockets(self):
        return []  # of ZeroMQ

    def tick(self, now):
        while not self.active and (frames := self.snapshot.receive(0)):
            if update := self.decoded(frames, live=False):
                self.active = update.key == b"KTHXBAI"
                if self.active:
                    self.sequence = update.sequence
                else:
                    self.store(update)
        while self.active and (frames := self.subscriber.receive(0)):
            update = self.decoded(frames, live=True)
            if update and update.key != b"HUGZ":
                self.on_update(update)

    def put(self, key, value):
        self.writer.put(key, value)

    def close(self):
        for each in (self.subscriber, self.snapshot, self.writer):
            each.close()
