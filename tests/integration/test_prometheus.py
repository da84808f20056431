"""A real Prometheus discovers the cluster through /api/v1/sd and answers for its metrics."""

import json
import shutil

import pytest
import yaml

from tests.harness.clusterfile import proxy, shard
from tests.harness.prometheus import Prometheus
from tests.harness.scrape import get
from tests.harness.waiting import eventually


@pytest.fixture
def prometheus(cluster, tmp_path, ports):
    """A Prometheus that knows nothing but the broker's /api/v1/sd."""
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed")
    config = tmp_path / "prometheus.yml"
    discovery = {"url": f"http://{cluster.layout.broker_http}/api/v1/sd", "refresh_interval": "1s"}
    job = {"job_name": "canopy", "http_sd_configs": [discovery]}
    timing = {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
    config.write_text(yaml.safe_dump({"global": timing, "scrape_configs": [job]}))
    running = Prometheus(tmp_path, config, ports)
    yield running
    running.stop()


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(
        [shard("results", "/results/"), shard("rest", "*")],
        [proxy("p1", ["kvsimple"]), proxy("p2", ["kvmsg"])],
    )


def test_service_discovery_format(cluster):
    """As the http_sd documentation has it: JSON, a list of groups of targets and labels."""
    status, body = get(cluster.layout.broker_http, "/api/v1/sd")
    assert status == 200
    targets = {}
    for group in json.loads(body):
        assert group.keys() <= {"targets", "labels"}
        assert all(isinstance(value, str) for value in group.get("labels", {}).values())
        for target in group["targets"]:
            targets[target] = group.get("labels", {})
    assert targets.keys() == {cluster.http(name) for name in cluster.names + ["broker"]}


def test_discovers_and_answers(cluster, prometheus, clones):
    client = clones.join("kvsimple", cluster.triple("p1", "kvsimple"))
    client.put(b"/results/k", b"v")
    clones.agree({b"/results/k": b"v"})

    ask = prometheus.ask
    eventually(lambda: len(ask("up == 1")) == 5, "all five processes are up", 30)
    assert not ask("up == 0")
    names = {"results", "rest", "p1", "p2"}
    for query, least in {
        "canopy_open_fds": 5,
        "canopy_max_fds": 5,
        "canopy_clients": 2,
        "canopy_max_clients": 2,
        "canopy_hwm_dropped_updates_total": 1,
        "canopy_updates_committed_total": 1,
        "canopy_updates_delivered_total": 1,
        "canopy_keys": 1,
        "canopy_build_info": 5,
        "canopy_open_fds / canopy_max_fds < 0.9": 5,
        'canopy_hwm_dropped_updates_total{hop="shard_to_proxy"}': 1,
        "histogram_quantile(0.99, rate(canopy_delivery_latency_seconds_bucket[1m]))": 1,
        "canopy_clients == 1": 1,
    }.items():
        eventually(lambda: len(ask(query)) >= least, f"an answer to {query}", 15)
    labels = [each["metric"] for each in ask("canopy_open_fds")]
    assert {each["name"] for each in labels} >= names
    assert {each["role"] for each in labels} == {"broker", "shard", "proxy"}

    # One that is killed is found again, under its new port.
    before = cluster.kill("results")
    clones.run(lambda: cluster.restarted("results", before), "the shard is back")
    eventually(lambda: len(ask("up == 1")) == 5 and not ask("up == 0"), "all are up again", 30)
