"""/metrics, /livez and /readyz of every program: what DESIGN §8 lists, with help, and lint-free."""

import shutil
import subprocess

import pytest

from tests.harness.clusterfile import DIALECTS, partition, proxy, shard
from tests.harness.procfs import open_fds
from tests.harness.waiting import eventually

EVERYWHERE = {
    "canopy_open_fds": "gauge",
    "canopy_max_fds": "gauge",
    "canopy_build_info": "gauge",
    "process_cpu_seconds_total": "counter",
    "process_resident_memory_bytes": "gauge",
    "process_open_fds": "gauge",
    "process_max_fds": "gauge",
    "process_start_time_seconds": "gauge",
}
OF_BROKERS = {
    "canopy_process_up": "gauge",
    "canopy_partition_leader": "gauge",
    "canopy_members": "gauge",
    "canopy_link_queue_bytes": "gauge",
}
OF_SHARDS = {
    "canopy_directory_up": "gauge",
    "canopy_snapshot_requests_total": "counter",
    "canopy_proxy_links": "gauge",
    "canopy_updates_committed_total": "counter",
    "canopy_updates_received_total": "counter",
    "canopy_commit_latency_seconds": "histogram",
    "canopy_keys": "gauge",
    "canopy_state_bytes": "gauge",
    "canopy_revision": "gauge",
    "canopy_partition_leader": "gauge",
    "canopy_partition_full": "gauge",
    "canopy_in_sync_replicas": "gauge",
    "canopy_storage_queue_bytes": "gauge",
    "canopy_link_queue_bytes": "gauge",
    "canopy_batch_updates": "histogram",
}
OF_PROXIES = {
    "canopy_directory_up": "gauge",
    "canopy_shard_silent": "gauge",
    "canopy_max_linger_seconds": "gauge",
    "canopy_conflated_updates_total": "counter",
    "canopy_clients": "gauge",
    "canopy_max_clients": "gauge",
    "canopy_updates_received_total": "counter",
    "canopy_updates_delivered_total": "counter",
    "canopy_delivered_bytes_total": "counter",
    "canopy_hwm_dropped_updates_total": "counter",
    "canopy_client_queue_bytes": "gauge",
    "canopy_gaps_total": "counter",
    "canopy_resyncs_total": "counter",
    "canopy_batch_updates": "histogram",
    "canopy_flush_interval_seconds": "gauge",
    "canopy_delivery_latency_seconds": "histogram",
    "canopy_snapshot_requests_total": "counter",
    "canopy_snapshot_duration_seconds": "histogram",
    "canopy_rejected_total": "counter",
    "canopy_connections_closed_total": "counter",
}
MEMBERS = ("broker", "s1", "p1")


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", "*", partition("/disk/", durability="disk"))], [proxy("p1", max_clients=50)]
    )


@pytest.fixture
def used(cluster, clones):
    """Some of everything has happened."""
    clients = [clones.join(each, cluster.triple("p1", each)) for each in DIALECTS]
    clients[0].put(b"/k", b"v")
    clients[0].put(b"/disk/k", b"v" * 1000)
    clients[0].put(b"HUGZ", b"v")
    clones.agree({b"/k": b"v", b"/disk/k": b"v" * 1000})
    return clients


@pytest.mark.parametrize("name", MEMBERS)
def test_promtool_finds_nothing_to_say(cluster, used, name):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=cluster.metrics(name).text,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", MEMBERS)
def test_everything_is_there_with_help(cluster, used, name):
    metrics = cluster.metrics(name)
    roles = {"broker": OF_BROKERS, "s1": OF_SHARDS, "p1": OF_PROXIES}
    wrong = []
    for series, kind in {**EVERYWHERE, **roles[name]}.items():
        sample = series + "_count" if kind == "histogram" else series
        if not metrics.has(sample):
            wrong.append(f"no {series}")
        elif metrics.type.get(series) != kind:
            wrong.append(f"{series} is a {metrics.type.get(series)}, not a {kind}")
        elif len(metrics.help.get(series, "")) < 10:
            wrong.append(f"{series} has no help text")
    assert not wrong, "\n".join(wrong)
    others = {family for family in metrics.type if not family.startswith(("canopy_", "process_"))}
    assert not others, f"series of neither canopy_ nor process_: {others}"


def test_the_numbers_are_right(cluster, used, clones):
    def proxy_metric(series, **labels):
        return cluster.metrics("p1").sum(series, **labels)

    pid = cluster.process("p1").pid
    eventually(lambda: proxy_metric("canopy_clients") == len(DIALECTS), "clients are counted")
    assert proxy_metric("canopy_max_clients") == 50
    assert abs(proxy_metric("canopy_open_fds", role="proxy", name="p1") - open_fds(pid)) <= 3
    assert proxy_metric("canopy_max_fds") == 1024
    assert cluster.metrics("s1").sum("canopy_max_fds", role="shard", name="s1") == 1024
    eventually(lambda: cluster.metrics("s1").sum("canopy_keys") == 2, "keys are counted")
    assert cluster.metrics("s1").sum("canopy_state_bytes") > 1000
    assert cluster.metrics("s1").sum("canopy_proxy_links") == 1
    assert proxy_metric("canopy_rejected_total", reason="key_reserved") >= 1
    assert proxy_metric("canopy_hwm_dropped_updates_total") == 0

    committed = cluster.metrics("s1").sum("canopy_updates_committed_total")
    delivered = proxy_metric("canopy_updates_delivered_total")
    for i in range(100):
        used[0].put(b"/k", b"%d" % i)
    clones.run(lambda: all(len(each.live) >= 100 for each in used), "updates arrive")
    eventually(
        lambda: cluster.metrics("s1").sum("canopy_updates_committed_total") == committed + 100,
        "100 more are committed",
    )
    eventually(
        lambda: proxy_metric("canopy_updates_delivered_total") == delivered + 100 * len(DIALECTS),
        "100 more are delivered to each client",
    )


def test_labels_name_no_client_and_no_key(cluster, used):
    known = set(
        "role name version shard partition hop reason kind result source dialect encoding state le".split()
    )
    for name in MEMBERS:
        for series, labels, _ in cluster.metrics(name).samples:
            assert labels.keys() <= known, f"{series} {labels}"
