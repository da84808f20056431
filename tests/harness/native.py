"""A client of the native protocol as docs/reference/protocol.md has it, over pyzmq and msgpack: one request after another, and
writing. native_watcher.py has the watching.
"""

import contextlib
import os
import random
import time

import zmq

from tests.harness.clone import make_socket
from tests.harness.native_messages import *  # noqa: F403, what tests send and hear
from tests.harness.waiting import seconds


# -- requests ------------------------------------------------------------------------------------


class Requests:
    """A DEALER to a proxy or to the broker. To write, a client id has to be given."""

    def __init__(self, context, endpoint, client=None, **options):
        # A connection made anew would have neither the watches nor the announcement of the one before.
        options = {"reconnect_ivl": -1, "sndhwm": 0, **options}
        self.socket = make_socket(context, zmq.DEALER, endpoint, **options)
        self._last = 0
        if client:
            self.announce(client)

    def send(self, *fields):
        with contextlib.suppress(zmq.Again):  # the connection has ended: nothing is answered either
            self.socket.send(pack(*fields), zmq.DONTWAIT)

    def answer(self, timeout=10):
        """The next message; not that which welcomes the client."""
        while True:
            assert self.socket.poll(seconds(timeout) * 1000), "no answer"
            message = read_message(self.socket.recv())
            if not isinstance(message, Welcome):
                return message

    def ask(self, frame):
        """The answer to a frame as given."""
        self.socket.send(frame)
        return self.answer()

    def next_number(self):
        self._last += 1
        return self._last

    def announce(self, client):
        self.send(ANNOUNCE, self.next_number(), client, "", "pyzmq")

    def write(self, number, *writes, settled=None):
        """The answer to a write."""
        return self.ask(pack(WRITE, number, number if settled is None else settled, list(writes)))

    def read(self, subtree=b"", limit=0):
        """The chunks of a subtree's list, or its refusal."""
        number = self.next_number()
        self.send(LIST, number, text(subtree), limit)
        return self._chunks_of(number, lambda last: isinstance(last, Chunk) and last.more == LAST)

    def catch_up(self, subtree=b"", known=None):
        """The chunks that a watch is told before it is live, or its refusal."""
        number = self.next_number()
        self.send(WATCH, number, text(subtree), 0, 0, packed_revisions(known or {}))
        received = self._chunks_of(number, lambda last: isinstance(last, CaughtUp))
        if isinstance(received, Refusal):
            return received
        self.send(UNWATCH, number)
        return received[:-1]

    def _chunks_of(self, number, ends):
        received = []
        while not received or not ends(received[-1]):
            message = self.answer()
            if isinstance(message, (Batch, Gap)):
                continue
            assert message.request == number, message
            if isinstance(message, Refusal):
                return message
            received.append(message)
        return received

    def get(self, key):
        """The Entry of a key, or None."""
        number = self.next_number()
        self.send(GET, number, text(key))
        while isinstance(answer := self.answer(), Batch):
            pass
        assert isinstance(answer, Got) and answer.request == number, answer
        return answer.entry

    def clients(self):
        """The connections of the proxy's clients, or a refusal."""
        number, found = self.next_number(), []
        self.send(CLIENTS, number)
        while isinstance(answer := self.answer(), ClientList):
            found += answer.clients
            if not answer.more:
                return found
        return answer

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

    def __init__(self, context, *endpoints, patience=1.0, timeout=20):
        self._context, self._patience, self._timeout = context, seconds(patience), timeout
        self._endpoints, self._at = endpoints, 0
        self.client = os.urandom(16)
        self._requests = Requests(context, endpoints[0], self.client)
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
            self._requests.send(WRITE, self.number, self.number, list(writes))
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
            answer = read_message(self._requests.socket.recv())
            mine = isinstance(answer, Written) or getattr(answer, "of", None) == WRITE
            if mine and answer.request == self.number:
                return answer  # not a late one to an earlier sending

    def _elsewhere(self):
        self._requests.close()
        self._at = (self._at + 1) % len(self._endpoints)
        self._requests = Requests(self._context, self._endpoints[self._at], self.client)

    def close(self):
        self._requests.close()
