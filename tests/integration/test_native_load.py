"""The load test's native clients by the hundred: what it validates while a proxy dies under them."""

import json
import subprocess

import pytest

from tests.harness.cluster import BIN, die_with_parent
from tests.harness.clusterfile import proxy, shard
from tests.harness.waiting import SLOW, eventually

CLIENTS = 250
VALIDATORS = {
    "Ordered",
    "Unique",
    "GapDetected",
    "SnapshotComplete",
    "Converged",
    "Filtered",
    "AppliedOnce",
}


@pytest.fixture
def cluster(start_cluster):
    """Unsupervised: a proxy that is killed stays away. The load test is not told of its exporters."""
    return start_cluster(
        [shard("s1", "/load/"), shard("rest", "*")],
        [proxy(name, ["native"], max_clients=CLIENTS) for name in ("p1", "p2", "p3")],
        broker={"supervise": False},
    )


class Load:
    """canopy-loadtest with native clients that watch and write, on their way."""

    def __init__(self, cluster, result, seconds):
        self.result = result
        self.process = subprocess.Popen(
            [
                BIN / "canopy-loadtest",
                *("--dialect", "native", "--broker", cluster.layout.broker_http),
                *("-c", str(CLIENTS), "--subtree", "/load/", "--period", "1000"),
                *("--duration", str(seconds), "--json", result),
            ],
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )

    def step(self):
        self.process.wait(120 * SLOW)
        return json.loads(self.result.read_text())["steps"][0]


def clients_of(cluster, name):
    return cluster.metrics(name).sum("canopy_clients")


def check(step):
    assert step["served"] == CLIENTS
    assert step["validators"] == dict.fromkeys(VALIDATORS, 0)
    assert step["client_stats"]["writes_unanswered"] == 0 and step["client_stats"]["writes_refused"] == 0


def test_a_proxy_dies_under_watching_and_writing_clients(cluster, tmp_path):
    load = Load(cluster, tmp_path / "result.json", seconds=10)
    eventually(
        lambda: sum(clients_of(cluster, each) for each in ("p1", "p2", "p3")) == CLIENTS
        and cluster.metrics("p1").sum("canopy_updates_delivered_total") > 10 * CLIENTS,
        "all have joined, and updates flow",
        30,
    )
    orphans = clients_of(cluster, "p2")
    assert orphans > CLIENTS / 10
    cluster.kill("p2")
    step = load.step()
    check(step)
    assert step["client_stats"]["resyncs_changes"] >= orphans, "each of its clients has resumed elsewhere"
    assert step["client_stats"]["resyncs_full"] == 0
