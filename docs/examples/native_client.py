#!/usr/bin/env python3
"""A client of Canopy in pyzmq and msgpack, written from docs/reference/protocol.md. CANOPY_BROKER says where the broker
is; for a cluster with `security` CANOPY_KEY and CANOPY_SERVER_KEY name files: your NAME.key_secret, the cluster's .key.

    native_client.py watch SUBTREE      prints PUT KEY VALUE and DEL KEY, until interrupted
    native_client.py put KEY VALUE      prints the revision
"""
import contextlib, io, json, os, random, sys, time
import msgpack, zmq, zmq.auth

BROKER = os.environ.get("CANOPY_BROKER", "tcp://127.0.0.1:5550")
KEY, SERVER_KEY = os.environ.get("CANOPY_KEY"), os.environ.get("CANOPY_SERVER_KEY")
ANNOUNCE, WRITE, WATCH, PING, DIRECTORY = 128, 129, 130, 134, 144  # what comes back is matched by number

def send(socket, *fields):
    with contextlib.suppress(zmq.Again):  # the connection has ended, so nothing arrives any more
        socket.send(b"\2" + msgpack.packb(fields, unicode_errors="surrogateescape"), zmq.DONTWAIT)

def receive(socket):  # the message, and the entries behind it
    return list(msgpack.Unpacker(io.BytesIO(socket.recv()[1:]), unicode_errors="surrogateescape"))

def connect(endpoint):
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger, socket.sndhwm, socket.reconnect_ivl, socket.ipv6 = 0, 0, -1, "[" in endpoint
    if KEY:
        socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(KEY)
        socket.curve_serverkey, _ = zmq.auth.load_certificate(SERVER_KEY)
    socket.connect(endpoint)
    return socket

def find_proxy(avoid=None):  # its endpoint; another than the last if there is one
    while True:
        with connect(BROKER) as socket:
            send(socket, DIRECTORY, 1, "proxies/")
            members = receive(socket)[0][2] if socket.poll(1000) else []
        found = [json.loads(text) for _, text in members]
        if proxies := [each["native"] for each in found if each["state"] == "ready" and "native" in each]:
            return random.choice([proxy for proxy in proxies if proxy != avoid] or proxies)
        time.sleep(random.uniform(0.1, 0.5))

def wait_after(fault, text):  # before the next attempt, if it is worth one
    time.sleep(random.uniform(0.05, 0.1)) if fault >= 32 else sys.exit(f"refused: {text}")

def put(key, value):  # the revision; sent under the same number until it is answered
    client, proxy = os.urandom(16), None
    while True:
        proxy = find_proxy(proxy)
        with connect(proxy) as socket:
            send(socket, ANNOUNCE, 1, client, "", "native_client.py")
            send(socket, WRITE, 1, 1, [[key, os.fsencode(value), 0, None, b""]])
            while socket.poll(1000):
                match receive(socket)[0]:
                    case [193, _, revision]:
                        return revision
                    case [255, _, fault, text, *_]:
                        wait_after(fault, text)
                        break

class Held:  # what is known: key: revision; partition: revision
    def __init__(self):
        self.entries, self.partitions = {}, {}

    def below(self, partition):  # the keys that it owns
        owner = lambda key: max((name for name in self.partitions if key.startswith(name)), key=len, default=None)
        return [key for key in self.entries if owner(key) == partition]

    def apply(self, key, revision, value, *_):
        if revision <= self.entries.get(key, 0):
            return
        if value is not None:
            self.entries[key] = revision
            print("PUT", key, value.decode(errors="surrogateescape"), flush=True)
        elif self.entries.pop(key, None) is not None:
            print("DEL", key, flush=True)

def follow(proxy, subtree, held):  # until the proxy does not answer, goes away or refuses
    with connect(proxy) as socket:
        send(socket, WATCH, 1, subtree, 0, 0, held.partitions)
        live, named, heard, leave_at = None, set(), time.monotonic(), float("inf")
        while time.monotonic() < min(leave_at, heard + 3):
            if not socket.poll(1000):
                send(socket, PING, 2)
                continue
            heard = time.monotonic()
            message, *entries = receive(socket)
            match message:
                case [160, stream, after, count, revisions, _] if stream == live:
                    if after > position:
                        return  # the proxy erred
                    for entry in entries[position - after:]:
                        held.apply(*entry)
                    position = max(position, after + count)
                    for partition, revision in revisions.items():
                        held.partitions[partition] = max(revision, held.partitions.get(partition, 0))
                case [161, within_ms]:
                    leave_at = heard + random.uniform(0, within_ms / 1000)
                case [194, _, partition, _, 0, *_]:  # a new history
                    held.entries |= dict.fromkeys(held.below(partition), 0)
                    held.partitions[partition] = 0
                case [194, _, partition, mode, revision, more, _]:
                    if revision < held.partitions.get(partition, 0):
                        return time.sleep(random.uniform(0.05, 0.1))  # it lags behind the proxy before
                    for entry in entries:
                        held.apply(*entry)
                    named |= {entry[0] for entry in entries}
                    if more != 1:  # the partition is complete
                        held.partitions[partition] = revision
                        for key in [key for key in held.below(partition) if mode == 0 and key not in named]:
                            held.apply(key, revision, None)
                        named.clear()
                case [195, _, stream, at]:
                    live, position = stream, at
                case [198, *_]:
                    live = None  # chunks of what changed follow
                case [255, _, fault, text, *_]:
                    return wait_after(fault, text)

def watch(subtree):
    held, proxy = Held(), None
    while True:
        proxy = find_proxy(proxy)
        follow(proxy, subtree, held)

if __name__ == "__main__":
    sys.stdout.reconfigure(errors="surrogateescape")
    match sys.argv[1:]:
        case ["watch", subtree]: watch(subtree)
        case ["put", key, value]: print(put(key, value))
        case _: sys.exit(__doc__)
