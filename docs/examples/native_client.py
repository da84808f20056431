#!/usr/bin/env python3
"""A client of Canopy in pyzmq and msgpack, written from docs/protocol.md. CANOPY_BROKER says where the broker is; for a
cluster with `security` CANOPY_KEY and CANOPY_SERVER_KEY name files: your own NAME.key_secret, the cluster's .key.

    native_client.py watch SUBTREE      prints PUT KEY VALUE and DEL KEY, until interrupted
    native_client.py put KEY VALUE      prints the revision
"""
import io, json, os, random, sys, time
import msgpack, zmq, zmq.auth

BROKER = os.environ.get("CANOPY_BROKER", "tcp://127.0.0.1:5550")
KEY, SERVER_KEY = os.environ.get("CANOPY_KEY"), os.environ.get("CANOPY_SERVER_KEY")
WRITE, FETCH, CREDIT, DIRECTORY, MOVE, WRITTEN, REFUSAL = 129, 130, 131, 144, 161, 193, 255

def unpack(data):  # the MessagePack values, one after another
    return list(msgpack.Unpacker(io.BytesIO(data), unicode_errors="surrogateescape"))

def send(socket, *fields):
    socket.send(b"\1" + msgpack.packb(fields, unicode_errors="surrogateescape"))

def connect(kind, endpoint):
    socket = zmq.Context.instance().socket(kind)
    socket.linger, socket.sndhwm, socket.reconnect_ivl = 0, 0, random.randint(50, 150)
    if KEY:
        socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(KEY)
        socket.curve_serverkey, _ = zmq.auth.load_certificate(SERVER_KEY)
    socket.ipv6 = "[" in endpoint
    socket.connect(endpoint)
    return socket

def find_proxy(avoid=None):  # its endpoints; another than the last if there is one
    while True:
        with connect(zmq.DEALER, BROKER) as socket:
            send(socket, DIRECTORY, 1, "proxies/")
            members = unpack(socket.recv()[1:])[0][2] if socket.poll(1000) else []
        ready = [member for _, text in members if (member := json.loads(text))["state"] == "ready"]
        proxies = [member["native"] for member in ready if "native" in member]
        if proxies:
            return random.choice([proxy for proxy in proxies if proxy != avoid] or proxies)
        time.sleep(random.uniform(0.1, 0.5))

def retry_after(refusal):
    return random.uniform(0.05, 0.1) if refusal[2] >= 32 else sys.exit(f"refused: {refusal[3]}")

def put(key, value):  # the revision; sent under the same number until it is answered
    client, proxy = os.urandom(16), None
    while True:
        proxy = find_proxy(proxy)
        with connect(zmq.DEALER, proxy["requests"]) as socket:
            send(socket, WRITE, client, 1, 1, [[key, os.fsencode(value), 0, None, b""]])
            if socket.poll(1000):
                answer = unpack(socket.recv()[1:])[0]
                if answer[0] == WRITTEN:
                    return answer[2]
                time.sleep(retry_after(answer))

class Watch:
    def __init__(self, subtree):
        self.subtree, self.topic = subtree, b"\1" + bytes(5) + os.fsencode(subtree) + b"\0"
        self.entries, self.known, self.request = {}, {}, 0  # key: revision; partition: revision

    def follow(self, proxy):  # until contact is lost or the proxy goes away
        self.requests, self.stream = connect(zmq.DEALER, proxy["requests"]), connect(zmq.SUB, proxy["streams"])
        with self.requests, self.stream:
            self.stream.subscribe(self.topic)
            self.kept, self.again_at, self.incarnation = [], None, None  # again_at: while fetching
            self.heard, self.leave_at = time.monotonic(), float("inf")
            while time.monotonic() < min(self.leave_at, self.heard + 3):
                ready = zmq.select([self.requests, self.stream], [], [], 0.1)[0]
                if self.stream in ready:
                    self.on_stream(self.stream.recv())
                if self.requests in ready:
                    self.on_answer(*unpack(self.requests.recv()[1:]))
                if time.monotonic() > (self.again_at or self.heard + 1.5):  # if it is forbidden, the answer says so
                    self.fetch(None)

    def fetch(self, gap):
        self.request, self.next_chunk, self.told = self.request + 1, 0, set()
        self.again_at = time.monotonic() + 5
        send(self.requests, FETCH, self.request, self.topic, self.subtree, self.known, gap, 4)

    def on_stream(self, frame):
        header, *entries = unpack(frame[len(self.topic):])
        self.heard = time.monotonic()
        if header[0] == MOVE:
            self.leave_at = min(self.leave_at, self.heard + random.uniform(0, header[1] / 1000))
            return
        self.kept.append((header, entries))
        self.take_kept()

    def take_kept(self):  # what follows on what is held; from a hole on, what changed is fetched
        while self.kept and not self.again_at:
            (_, incarnation, after, count, revisions, _), entries = self.kept[0]
            if incarnation != self.incarnation:
                return self.fetch(None)  # the stream has begun, or begun anew
            if after > self.position:
                return self.fetch([incarnation, self.position, after])
            for entry in entries[self.position - after:]:
                self.apply(*entry)
            self.position = max(self.position, after + count)
            for partition, revision in revisions.items():  # one from before the answer says less
                self.known[partition] = max(revision, self.known.get(partition, 0))
            del self.kept[0]

    def on_answer(self, answer, *entries):
        if answer[1] != self.request or not self.again_at:
            return
        if answer[0] == REFUSAL:
            self.leave_at = 0 if answer[2] == 34 else self.leave_at  # draining
            self.again_at = time.monotonic() + retry_after(answer)
            return
        _, request, number, partition, mode, revision, more, incarnation, position, _ = answer
        if number != self.next_chunk or 0 < revision < self.known.get(partition, 0):
            self.request, self.again_at = self.request + 1, time.monotonic() + random.uniform(0.05, 0.1)
            return  # of no use, nor is the rest of it
        self.next_chunk, self.again_at = number + 1, time.monotonic() + 5
        if revision == 0:  # the partition has a new history, which may be joined already
            if incarnation != self.incarnation:
                self.entries |= {key: 0 for key in self.entries if self.owner(key) == partition}
                self.known[partition] = 0
            return send(self.requests, CREDIT, request, 1)
        for entry in entries:
            self.told.add(entry[0])
            self.apply(*entry)
        if more != 1:  # the partition is complete
            self.known.setdefault(partition, 0)
            for key in [key for key in self.entries if mode == 0 and key not in self.told]:
                if self.owner(key) == partition:
                    self.apply(key, revision, None)
            self.known[partition] = revision
        if more != 0:
            return send(self.requests, CREDIT, request, 1)
        self.again_at, self.incarnation, self.position = None, incarnation, position
        while self.kept and self.kept[0][0][1] != incarnation:
            del self.kept[0]  # from before the answer
        self.take_kept()

    def owner(self, key):
        return max((name for name in self.known if key.startswith(name)), key=len, default=None)

    def apply(self, key, revision, value, expires_at_ms=0, properties=b""):
        if revision <= self.entries.get(key, 0) or (value is None and key not in self.entries):
            return
        if value is None:
            del self.entries[key]
            return print("DEL", key, flush=True)
        self.entries[key] = revision
        print("PUT", key, value.decode(errors="surrogateescape"), flush=True)

def watch(subtree):
    state, proxy = Watch(subtree), None
    while True:
        proxy = find_proxy(proxy)
        state.follow(proxy)

if __name__ == "__main__":
    sys.stdout.reconfigure(errors="surrogateescape")
    match sys.argv[1:]:
        case ["watch", subtree]: watch(subtree)
        case ["put", key, value]: print(put(key, value))
        case _: sys.exit(__doc__)
