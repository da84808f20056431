"""Clone clients as readers of the ZeroMQ guide have them: models 1-6 and 12/CHP, over pyzmq.

Nothing here knows that the server is Canopy. Each client keeps its map, every update that it was
given, and whatever broke the protocol. Clients are polled by a Clones (clones.py).
"""

import struct
import time
import uuid
from typing import NamedTuple

import zmq

from tests.harness.waiting import seconds

FRAMES = {"kvsimple": 3, "kvmsg": 5, "chp": 5}


class Update(NamedTuple):
    sequence: int
    key: bytes
    value: bytes  # empty: deleted
    live: bool  # False: from a snapshot
    properties: bytes
    at: float  # time.monotonic() of its arrival


def decode(frames, live):
    """An Update, or ValueError for what no Clone client understands."""
    if len(frames) not in (3, 5) or len(frames[1]) != 8:
        raise ValueError(f"{len(frames)} frames: {frames!r:.200}")
    (sequence,) = struct.unpack(">q", frames[1])
    properties = frames[3] if len(frames) == 5 else b""
    return Update(sequence, frames[0], frames[-1], live, properties, time.monotonic())


def encode(dialect, key, value, properties=b"", identity=None, sequence=0):
    """The frames of an update; kvmsg and chp carry a fresh uuid if none is given."""
    number = struct.pack(">q", sequence)
    if dialect == "kvsimple":
        return [key, number, value]
    return [key, number, uuid.uuid4().bytes if identity is None else identity, properties, value]


def make_socket(context, kind, endpoint=None, **options):
    socket = context.socket(kind)
    socket.linger = 0
    for name, value in options.items():
        setattr(socket, name, value)
    if endpoint:
        socket.connect(endpoint)
    return socket


class Writer:
    """The publishing side: PUSH in models 3-5, PUB in model 6 and 12/CHP."""

    def __init__(self, context, dialect, *triples, kind=None):
        self.dialect = dialect
        # XPUB is PUB that lets wait_live() see that the collector has subscribed.
        kind = kind or (zmq.XPUB if dialect == "chp" else zmq.PUSH)
        self.socket = make_socket(context, kind, sndtimeo=int(seconds(20) * 1000))
        if kind == zmq.XPUB:
            self.socket.xpub_verbose = True  # or the second collector's would not be passed on
        for triple in triples:
            self.socket.connect(triple[2])
        self._awaited = len(triples) if kind == zmq.XPUB else 0

    def wait_live(self, timeout=10):
        while self._awaited:
            assert self.socket.poll(seconds(timeout) * 1000), "the collector does not subscribe"
            self._awaited -= self.socket.recv().startswith(b"\x01")
        return self

    def put(self, key, value, ttl=None, **parts):
        if ttl is not None:
            parts["properties"] = b"ttl=%d\n" % ttl
        self.send(encode(self.dialect, key, value, **parts))

    def delete(self, key):
        self.put(key, b"")

    def send(self, frames):
        self.socket.send_multipart(frames)

    def close(self):
        self.socket.close()


class Recorder:
    """What a client makes of what it receives."""

    def __init__(self, dialect):
        self.frames = FRAMES[dialect]
        self.map = {}
        self.history = []
        self.faults = []  # breaches of the protocol, in words
        self.sequence = 0
        self._last_wire = {}  # server -> last sequence seen on its updates socket

    def decoded(self, frames, live):
        try:
            if len(frames) != self.frames:
                raise ValueError(f"{len(frames)} frames instead of {self.frames}: {frames!r:.200}")
            return decode(frames, live)
        except ValueError as error:
            self.faults.append(str(error))
            return None

    def store(self, update):
        self.history.append(update)
        if update.value:
            self.map[update.key] = update.value
        else:
            self.map.pop(update.key, None)

    def on_update(self, update, server=0):
        """Stores a live update unless the snapshot already held it, as Clone clients do."""
        last = self._last_wire.get(server)
        if last is not None and update.sequence <= last:
            self.faults.append(f"sequence {update.sequence} of {update.key} after {last}")
        self._last_wire[server] = update.sequence
        if update.sequence > self.sequence:
            self.sequence = update.sequence
            self.store(update)

    @property
    def live(self):
        return [update for update in self.history if update.live]


class Subscriber(Recorder):
    """Model 1: a SUB socket and nothing else."""

    def __init__(self, context, triple, prefix=b""):
        super().__init__("kvsimple")
        self.subscriber = make_socket(context, zmq.SUB, triple[1], subscribe=prefix)

    active = True

    def sockets(self):
        return [self.subscriber]

    def handle(self, socket, frames):
        if update := self.decoded(frames, live=True):
            self.on_update(update)

    def tick(self, now):
        pass

    def close(self):
        self.subscriber.close()


class CloneClient(Recorder):
    """Models 2-5: snapshot, then updates. Of model 2 and 3 without subtrees if `subtree` is None:
    the request is then a single frame."""

    def __init__(self, context, dialect, triple, subtree=b""):
        super().__init__(dialect)
        self.prefix = subtree or b""
        self.snapshot = make_socket(context, zmq.DEALER, triple[0])
        self.subscriber = make_socket(context, zmq.SUB, triple[1], subscribe=self.prefix)
        self.writer = Writer(context, dialect, triple)
        self.active = False
        self.snapshot.send_multipart([b"ICANHAZ?"] if subtree is None else [b"ICANHAZ?", subtree])

    def sockets(self):
        return [self.subscriber if self.active else self.snapshot]

    def handle(self, socket, frames):
        update = self.decoded(frames, live=self.active)
        if not update:
            return
        if self.active:
            self.on_update(update)
        elif update.key == b"KTHXBAI":
            self.sequence = update.sequence
            self.active = True
            if update.value not in (b"", self.prefix):
                self.faults.append(f"KTHXBAI with the body {update.value!r:.100}")
        else:
            self.store(update)

    def tick(self, now):
        pass

    def put(self, key, value, **parts):
        self.writer.put(key, value, **parts)

    def delete(self, key):
        self.writer.delete(key)

    def close(self):
        self.writer.close()
        self.snapshot.close()
        self.subscriber.close()


class ChpServer:
    def __init__(self, context, triple, subtree):
        self.snapshot = make_socket(context, zmq.DEALER, triple[0])
        self.subscriber = make_socket(context, zmq.SUB, triple[1])
        self.subscriber.subscribe(subtree)
        self.subscriber.subscribe(b"HUGZ")


class ChpClient(Recorder):
    """Model 6 and 12/CHP: a primary and a backup server, watched through their HUGZ.

    States: "initial" -> "syncing" (snapshot asked for) -> "active". A time-out of the server for
    `patience` seconds sends the client to the other server. Updates go to both, with one uuid.
    """

    def __init__(self, context, triples, subtree=b"", patience=5.0, writer_kind=None):
        super().__init__("chp")
        self.prefix = subtree
        self.patience = patience
        self.servers = [ChpServer(context, triple, subtree) for triple in triples]
        self.writer = Writer(context, "chp", *triples, kind=writer_kind)
        self.current = 0
        self.state = "initial"
        self.failovers = 0
        self.hugz = []  # times of arrival
        self._expiry = 0.0

    @property
    def active(self):
        return self.state == "active"

    @property
    def server(self):
        return self.servers[self.current]

    def sockets(self):
        return [self.server.subscriber if self.active else self.server.snapshot]

    def handle(self, socket, frames):
        update = self.decoded(frames, live=self.active)
        if not update:
            return
        self._expiry = update.at + self.patience
        if update.key == b"HUGZ":
            self.hugz.append(update.at)
            if frames[1:] != [bytes(8), b"", b"", b""]:
                self.faults.append(f"odd HUGZ: {frames!r}")
        elif self.active:
            self.on_update(update, self.current)
        elif update.key == b"KTHXBAI":
            self.sequence = update.sequence
            self.state = "active"
        else:
            self.store(update)

    def tick(self, now):
        if self.state == "initial":
            self.server.snapshot.send_multipart([b"ICANHAZ?", self.prefix])
            self.state = "syncing"
            self._expiry = now + self.patience
        elif now > self._expiry:
            self.current = (self.current + 1) % len(self.servers)
            self.failovers += 1
            self.state = "initial"

    def put(self, key, value, **parts):
        self.writer.put(key, value, **parts)

    def delete(self, key):
        self.writer.delete(key)

    def close(self):
        self.writer.close()
        for server in self.servers:
            server.snapshot.close()
            server.subscriber.close()


def make_client(context, dialect, triple, subtree=b"", **options):
    if dialect == "chp":
        return ChpClient(context, [triple], subtree or b"", **options)
    return CloneClient(context, dialect, triple, subtree, **options)
