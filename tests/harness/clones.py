"""Many Clone clients in one thread: one poller over whatever each of them listens to."""

import contextlib
import threading
import time

import zmq

from tests.harness.clone import Writer, make_client
from tests.harness.clusterfile import DIALECTS
from tests.harness.waiting import eventually, seconds

BURST = 500  # messages read from one socket before the others get their turn


class Clones:
    """Not thread-safe: while background() polls, only `map`, `history` and writers are read."""

    def __init__(self, context):
        self.context = context
        self.clients = []
        self.writers = []
        self._poller = zmq.Poller()
        self._listening = {}  # client -> sockets registered for it
        self._owner = {}  # socket -> client

    def join(self, dialect, triple, subtree=b"", wait=True, **options):
        """A new client, by default with its snapshot taken."""
        client = self.add(make_client(self.context, dialect, triple, subtree, **options))
        if wait:
            self.run(lambda: client.active, f"a {dialect} client gets its snapshot", 20)
            if dialect == "chp":
                client.writer.wait_live()
        return client

    def writer(self, dialect, triple):
        self.writers.append(Writer(self.context, dialect, triple).wait_live())
        return self.writers[-1]

    def add(self, client):
        self.clients.append(client)
        self._refresh(client)
        return client

    def leave(self, client):
        self.clients.remove(client)
        self._listen(client, [])
        client.close()

    def turn(self, timeout=0.05):
        """Polls once and handles what has arrived."""
        for socket, _ in self._poller.poll(timeout * 1000):
            client = self._owner.get(socket)
            if client is None:
                continue  # left within this turn
            try:
                for _ in range(BURST):
                    client.handle(socket, socket.recv_multipart(zmq.NOBLOCK))
                    if socket not in client.sockets():
                        break
            except zmq.Again:
                pass
        now = time.monotonic()
        for client in self.clients:
            client.tick(now)
            self._refresh(client)

    def run(self, until, what, timeout=10):
        return eventually(until, what, timeout, turn=self.turn)

    def run_for(self, duration):
        deadline = time.monotonic() + duration
        while time.monotonic() < deadline:
            self.turn()

    def agree(self, expected, clients=None, timeout=20):
        """Waits until every client (of `clients`) holds exactly `expected`."""
        clients = self.clients if clients is None else clients
        expected = dict(expected)
        with contextlib.suppress(AssertionError):
            self.run(lambda: all(each.map == expected for each in clients), "", timeout)
        for each in clients:
            assert each.map == expected, describe_difference(each, expected, timeout)

    @contextlib.contextmanager
    def background(self):
        """Polls in a thread of its own meanwhile."""
        stopping = threading.Event()
        failure = []

        def loop():
            try:
                while not stopping.is_set():
                    self.turn()
            except BaseException as error:  # told to the test below
                failure.append(error)

        thread = threading.Thread(target=loop, name="clones")
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()
        if failure:
            raise failure[0]

    def close(self):
        for client in list(self.clients):
            self.leave(client)
        for writer in self.writers:
            writer.close()

    def _refresh(self, client):
        wanted = client.sockets()
        if wanted != self._listening.get(client, []):
            self._listen(client, wanted)

    def _listen(self, client, wanted):
        for socket in self._listening.pop(client, []):
            self._poller.unregister(socket)
            del self._owner[socket]
        for socket in wanted:
            self._poller.register(socket, zmq.POLLIN)
            self._owner[socket] = client
        if wanted:
            self._listening[client] = wanted


def describe_difference(client, expected, timeout):
    missing = sorted(expected.keys() - client.map.keys())
    surplus = sorted(client.map.keys() - expected.keys())
    differing = [
        (key, client.map[key], expected[key])
        for key in sorted(expected.keys() & client.map.keys())
        if client.map[key] != expected[key]
    ]
    return (
        f"a client's map differs after {seconds(timeout):.0f} s: {len(missing)} keys missing "
        f"{missing[:5]}, {len(surplus)} too many {surplus[:5]}, {len(differing)} others "
        f"(key, has, should have) {differing[:5]!r:.600}"
    )


def join_everywhere(cluster, clones):
    """A client of each dialect at each proxy."""
    places = [(dialect, name) for dialect in DIALECTS for name in ("p1", "p2")]
    return [clones.join(dialect, cluster.triple(name, dialect)) for dialect, name in places]


def all_agree(cluster, clones, observers):
    """Everybody, old clients and new, holds the same map; it is returned."""
    fresh = join_everywhere(cluster, clones)
    clones.run_for(1)
    for each in observers + fresh[1:]:
        clones.run(lambda: each.map == fresh[0].map, "all clients hold the same map", 20)
    return fresh[0].map
