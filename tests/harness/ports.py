"""TCP ports for the processes under test: below the ephemeral range, from blocks that one test
process holds alone, so that any number of workers and runs can share a machine."""

import fcntl
import os
import socket
import tempfile

FIRST, LAST, BLOCK = 10_000, 30_000, 200


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Ports:
    """Hands out runs of consecutive free ports, going round its block."""

    def __init__(self):
        self._lock, self._first = self._claim_block()
        self._next = self._first

    def claim(self, count=1):
        """The first of `count` consecutive ports that nothing is bound to."""
        candidate = self._next
        for _ in range(2 * BLOCK):
            if candidate + count > self._first + BLOCK:
                candidate = self._first
            taken = [port for port in range(candidate, candidate + count) if not is_free(port)]
            if not taken:
                self._next = candidate + count
                return candidate
            candidate = taken[-1] + 1
        raise RuntimeError(f"no {count} free ports in a row from {self._first}")

    @staticmethod
    def _claim_block():
        directory = os.path.join(tempfile.gettempdir(), f"canopy-test-ports-{os.getuid()}")
        os.makedirs(directory, exist_ok=True)
        for first in range(FIRST, LAST, BLOCK):
            lock = open(os.path.join(directory, str(first)), "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock, first
            except OSError:
                lock.close()
        raise RuntimeError("every block of test ports is taken")
