"""Waiting for conditions. Every time-out stretches with CANOPY_TEST_SLOW (sanitizer builds)."""

import os
import time

SLOW = float(os.environ.get("CANOPY_TEST_SLOW", "1"))
# How long a test goes on where longer finds more.
DURATION = float(os.environ.get("CANOPY_TEST_SECONDS", "3")) * SLOW


def seconds(count):
    return count * SLOW


def eventually(condition, what, timeout=10, every=0.02, turn=None):
    """Waits until condition() is true and returns what it returned.

    An OSError counts as "not yet": the other side may be starting. `turn` is called between
    attempts instead of sleeping, for what has to go on meanwhile.
    """
    deadline = time.monotonic() + seconds(timeout)
    while True:
        error = None
        try:
            result = condition()
            if result:
                return result
        except OSError as caught:
            error = caught
        if time.monotonic() >= deadline:
            detail = f": {error}" if error else ""
            raise AssertionError(f"not within {seconds(timeout):.0f} s: {what}{detail}")
        if turn:
            turn()
        else:
            time.sleep(every)


def remains(condition, what, duration, turn=None):
    """Checks that condition() stays true for `duration` seconds."""
    deadline = time.monotonic() + duration
    while time.monotonic() < deadline:
        assert condition(), f"no longer: {what}"
        if turn:
            turn()
        else:
            time.sleep(0.02)
