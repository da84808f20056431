"""Partitions with replicas on two shards, as several tests have them."""

import pytest

from tests.harness import native
from tests.harness.cluster import run_program
from tests.harness.promises import WriteLoad
from tests.harness.waiting import SLOW, eventually

LEASE = 1.0 * SLOW
SUBTREE = "/r/"
REPLICAS = ("s1", "s2")
WAITS = "waiting: every replica that has all that was committed is away"


@pytest.fixture
def writer(context):
    made = []

    def make(cluster):
        made.append(native.Writer(context, cluster.native("p1"), cluster.native("p2")))
        return made[-1]

    yield make
    for each in made:
        each.close()


def canopy(cluster, *words):
    return run_program("canopy", *words, "--broker", cluster.broker_endpoint)


def state(cluster, name):
    reported = cluster.partition(name, SUBTREE)
    return reported["state"] if reported else "down"


def leader(cluster):
    """The shard that serves the partition, or None."""
    return next((name for name in REPLICAS if state(cluster, name) == "serving"), None)


def other(name):
    return next(each for each in REPLICAS if each != name)


def wait_in_sync(cluster):
    """Waits until one replica leads and the other is in sync; returns the leader."""

    def in_sync():
        leads = leader(cluster)
        if not leads or state(cluster, other(leads)) != f"following {leads}":
            return None
        metrics = cluster.metrics(leads)
        in_sync = metrics.sum("canopy_in_sync_replicas", partition=SUBTREE)
        lags = metrics.has("canopy_replica_lag_updates", partition=SUBTREE, follower=other(leads))
        return leads if in_sync == 2 and lags else None

    return eventually(in_sync, "both replicas are in sync", 20)


def held(cluster, context, name="p1"):
    """What a plain read tells."""
    requests = native.Requests(context, cluster.native(name))
    try:
        chunks = requests.read(SUBTREE.encode())
        if isinstance(chunks, native.Refusal):
            raise ConnectionError(chunks.text)
        return {each.key: each.value for chunk in chunks for each in chunk.entries}
    finally:
        requests.close()


def load(writer, keys=20000):
    """Each key is written once, and stays lost if it is lost."""
    return WriteLoad(writer, [b"%s%d" % (SUBTREE.encode(), i) for i in range(keys)], rate=500)


def goes_on(load, what):
    before = len(load.map)
    eventually(lambda: len(load.map) > before + 200, f"writes go on {what}", 30)
