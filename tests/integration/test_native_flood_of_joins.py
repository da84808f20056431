"""Many native clients join at once: each is exact, and the shards hardly notice."""

import pytest

from tests.harness.clusterfile import proxy, shard
from tests.harness.native import Writer, write
from tests.harness.native_watcher import Watcher, check_promises
from tests.harness.promises import WriteLoad, check_unbroken, value_of

KEYS, CLIENTS = 2000, 200
PREFIXES = (b"/results/", b"/results/eu/", b"/other/")
PARTITIONS = 3


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(
        [shard("s1", "/results/", "*"), shard("s2", "/results/eu/")],
        [proxy("p1", ["native"]), proxy("p2", ["native"])],
    )


def test_a_flood_of_joins(cluster, context, clones):
    writer = Writer(context, cluster.native("p1"))
    expected = {}
    for prefix in PREFIXES:
        keys = [prefix + b"%d" % number for number in range(KEYS // len(PREFIXES))]
        for first in range(0, len(keys), 100):
            writer.write(*(write(key, value_of(0, 20)) for key in keys[first : first + 100]))
        expected |= dict.fromkeys(keys, value_of(0, 20))

    moving = [prefix + b"moving" for prefix in PREFIXES]
    with WriteLoad(writer, moving, rate=100) as load:
        endpoints = [[cluster.native(name)] for name in ("p1", "p2")]
        clients = [
            clones.add(Watcher(context, endpoints[number % 2])) for number in range(CLIENTS)
        ]
        clones.run(lambda: all(each.active for each in clients), "all get their snapshot", 60)
        clones.run(lambda: all(each.live for each in clients), "and what follows it", 30)
    clones.agree(expected | load.map)
    check_promises(*clients)
    check_unbroken(*clients)
    for each in clients:
        assert len(each.catch_ups) == 1 and not each.gaps and not each.losses

    served = sum(
        cluster.metrics(name).sum("canopy_snapshot_requests_total", result="snapshot")
        for name in ("s1", "s2")
    )
    assert served == PARTITIONS * 2, "each partition once to each proxy"
    writer.close()
