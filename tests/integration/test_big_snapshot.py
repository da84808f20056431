"""100,000 entries through a proxy at default HWMs arrive whole while updates flow."""

import os
import threading
import time

import pytest

from tests.harness.clusterfile import proxy, shard
from tests.harness.promises import check_protocol, fill

ENTRIES = int(os.environ.get("CANOPY_TEST_SNAPSHOT_ENTRIES", "100000"))


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


class TimedWriter(threading.Thread):
    """Writes the time to its keys, 100 times a second."""

    def __init__(self, writer):
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.last = {}
        self._writer = writer

    def run(self):
        count = 0
        while not self.stopping.wait(0.01):
            key = b"/clock/%d" % (count % 10)
            self.last[key] = b"%.6f" % time.monotonic()
            self._writer.put(key, self.last[key])
            count += 1


def latencies(client, start, end):
    return [
        update.at - float(update.value)
        for update in client.live
        if update.key.startswith(b"/clock/") and start <= update.at < end
    ]


@pytest.mark.parametrize("dialect", ["kvsimple", "kvmsg"])
def test_arrives_whole_while_updates_flow(start_cluster, clones, dialect):
    cluster = start_cluster(
        [shard("big", "/big/"), shard("rest", "*")],
        [proxy("p1", ["kvsimple", "kvmsg"]), proxy("p2", ["kvsimple", "kvmsg"])],
    )
    observer = clones.join("kvsimple", cluster.triple("p1", "kvsimple"))
    entries = {b"/big/%d" % i: b"value of %d " % i + b"." * 80 for i in range(ENTRIES)}
    fill(clones, observer.writer, observer, entries.items())
    assert observer.map == entries
    clones.leave(observer)

    watcher = clones.join(dialect, cluster.triple("p1", dialect), b"/clock/")
    timed = TimedWriter(clones.writer(dialect, cluster.triple("p2", dialect)))
    timed.start()
    clones.run_for(2)
    begun = time.monotonic()
    before = latencies(watcher, begun - 2, begun)
    # The second proxy does not hold the mirror yet: it has to fetch everything first.
    joiners = [clones.join(dialect, cluster.triple(p, dialect), wait=False) for p in ("p1", "p2")]
    clones.run(lambda: all(each.active for each in joiners), "whole snapshots arrive", 60)
    done = time.monotonic()
    clones.run_for(0.5)
    timed.stopping.set()
    timed.join()
    during = latencies(watcher, begun, done)
    print(
        f"{ENTRIES} entries to two clients in {done - begun:.2f} s; p99 of updates: "
        f"{percentile(before, 0.99) * 1e3:.1f} ms before, {percentile(during, 0.99) * 1e3:.1f} ms "
        "during (seen by a client in Python that also reads both snapshots)"
    )
    for each in joiners:
        got = {update.key for update in each.history if not update.live}
        assert len(got & entries.keys()) == ENTRIES, "the snapshot is whole"
    clones.agree({**entries, **timed.last}, joiners)
    clones.agree(timed.last, [watcher])
    check_protocol(watcher, *joiners)
