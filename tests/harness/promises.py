"""What every Clone client is promised, one check per promise, and writers whose updates make the
promises checkable: counters, each key written by one writer as 1, 2, 3, …"""

import itertools
import threading
import time

from tests.harness.native_watcher import Watcher
from tests.harness.waiting import SLOW


def value_of(counter, padding=0):
    return b"%d" % counter + b" " * padding


def counter_of(value):
    return int(value) if value else 0


def check_protocol(*clients):
    """Well-formed messages, and strictly increasing sequences on the wire."""
    for client in clients:
        assert not client.faults, f"{len(client.faults)} breaches: {client.faults[:5]}"
        sequences = [update.sequence for update in client.live]
        assert all(a < b for a, b in zip(sequences, sequences[1:])), "sequences do not increase"


def check_filtered(prefix, *clients):
    """Nothing from outside the subtree."""
    for client in clients:
        strays = {update.key for update in client.history if not update.key.startswith(prefix)}
        assert not strays, f"keys from outside {prefix}: {sorted(strays)[:5]}"


def check_unbroken(*clients):
    """Snapshot and updates join exactly: each key counts up by one, with no gap and no repeat. But a
    Clone client whose subscription arrives after its snapshot is told the present value of each key
    that changed: once, in place of those before it, or once more."""
    for client in clients:
        check_protocol(client)
        counters, heard, repeated = {}, set(), set()
        for update in client.history:
            last, new = counters.get(update.key, 0), counter_of(update.value)
            counters[update.key] = new
            if not update.live:
                continue
            caught_up = new >= last if update.key not in heard else new == last
            late = not isinstance(client, Watcher) and caught_up and update.key not in repeated
            assert new == last + 1 or late, (
                f"{update.key}: {new} after {last} (update {update.sequence}; the snapshot held "
                f"{sum(not u.live for u in client.history)} entries)"
            )
            heard.add(update.key)
            if new == last:
                repeated.add(update.key)


def check_never_back(*clients):
    """No key returns to an earlier value, though values may be skipped."""
    for client in clients:
        counters = {}
        for update in client.history:
            last, new = counters.get(update.key, 0), counter_of(update.value)
            assert new > last, f"{update.key}: {new} after {last} (update {update.sequence})"
            counters[update.key] = new


class WriteLoad(threading.Thread):
    """Writes counters to its keys in turn, `rate` updates a second, until stopped.

    Not so fast that a queue of the cluster could be the reason for a loss; slower in slow builds.
    """

    def __init__(self, writer, keys, rate=300, padding=0):
        super().__init__(name="load", daemon=True)
        self.counters = dict.fromkeys(keys, 0)
        self._writer, self._rate, self._padding = writer, rate / SLOW, padding
        self._stopping = threading.Event()
        self._failure = None

    def run(self):
        start, written = time.monotonic(), 0
        try:
            for key in itertools.cycle(self.counters):
                if self._stopping.is_set():
                    break
                self.counters[key] += 1
                self._writer.put(key, value_of(self.counters[key], self._padding))
                written += 1
                ahead = start + written / self._rate - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)
        except Exception as error:  # told by stop()
            self._failure = error

    def stop(self):
        self._stopping.set()
        self.join()
        if self._failure:
            raise self._failure

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def map(self):
        """What everybody must hold once it has stopped."""
        written = {key: count for key, count in self.counters.items() if count}
        return {key: value_of(count, self._padding) for key, count in written.items()}


class Stopwatch:
    """A writer that keeps how long its slowest write took."""

    def __init__(self, writer):
        self._writer, self.longest = writer, 0

    def put(self, key, value):
        began = time.monotonic()
        self._writer.put(key, value)
        self.longest = max(self.longest, time.monotonic() - began)


def fill(clones, writer, observer, entries, window=2000):
    """Writes `entries` (pairs), never more than `window` ahead of what the observer has seen."""
    base = len(observer.history)
    for count, (key, value) in enumerate(entries, 1):
        writer.put(key, value)
        if count % 500 == 0:
            clones.run(
                lambda: len(observer.history) - base >= count - window, f"{count} entries seen", 30
            )
    clones.run(lambda: len(observer.history) - base >= count, f"all {count} entries seen", 30)
