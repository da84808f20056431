"""A cluster of four partitions for tests of the native protocol, with a writer, a reader and watchers."""

import pytest

from tests.harness import native
from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.native import Writer
from tests.harness.native_watcher import Watcher

# Nested, on two shards.
PARTITIONS = (b"", b"/results/", b"/results/eu/", b"/silent/")
KEYS = [b"/results/a", b"/results/b", b"/results/eu/a", b"/results/eu/at/a", b"/other/a", b"/o/b"]


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [
            shard("s1", "/results/", "*"),
            shard("s2", "/results/eu/", partition("/silent/", retain=False)),
        ],
        [proxy("p1"), proxy("p2")],
    )


@pytest.fixture
def writer(cluster, context):
    made = Writer(context, cluster.native("p1"), cluster.native("p2"))
    yield made
    made.close()


@pytest.fixture
def requests(cluster, context):
    made = native.Requests(context, cluster.native("p1"))
    yield made
    made.close()


@pytest.fixture
def join(cluster, context, clones):
    def joined(subtree=b"", proxy_name="p1", wait=True, **options):
        watcher = clones.add(Watcher(context, [cluster.native(proxy_name)], subtree, **options))
        if wait:
            clones.run(lambda: watcher.active, "a native client gets its snapshot")
        return watcher

    return joined


def state_of(requests, subtree=b""):
    """What a plain read tells."""
    return {each.key: each.value for chunk in requests.read(subtree) for each in chunk.entries}


def below(subtree, state):
    return {key: value for key, value in state.items() if native.covers(subtree, key)}


def counted(cluster, series, **labels):
    return sum(cluster.metrics(name).sum(series, **labels) for name in cluster.names)
