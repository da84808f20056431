"""TCP ports for the processes under test. A claimed port stays bound here, but does not listen: no other claim and no
ephemeral connection can get it, and the process that is told of it can bind it, as it sets SO_REUSEADDR."""

import collections
import os
import socket

FIRST, LAST = 10_000, 30_000  # below the ephemeral range
HELD = 256  # claims that stay bound; a process listens at those before by then


class Ports:
    def __init__(self):
        self._next = FIRST + os.getpid() * 211 % (LAST - FIRST)
        self._held = collections.deque(maxlen=HELD)

    def claim(self, count=1):
        """The first of `count` consecutive ports."""
        for _ in range(LAST - FIRST):
            if self._next + count > LAST:
                self._next = FIRST
            first, self._next = self._next, self._next + count
            sockets = [hold(port) for port in range(first, first + count)]
            if all(sockets):
                self._held.extend(sockets)
                return first
        raise RuntimeError(f"no {count} free ports in a row")


def hold(port):
    """A socket that is bound to the port of every IPv4 address; None where the port is in use."""
    bound = socket.socket()
    try:
        bound.bind(("", port))  # without SO_REUSEADDR: fails beside any other socket
    except OSError:
        bound.close()
        return None
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return bound
