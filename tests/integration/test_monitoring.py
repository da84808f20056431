"""What deploy/prometheus and deploy/grafana bring: run against a real Prometheus and a cluster whose
processes, like containers, are not restarted by the broker."""

import json
import re
import shutil
import signal
import subprocess

import pytest
import yaml

from tests.harness import native
from tests.harness.cluster import REPOSITORY
from tests.harness.clusterfile import DIALECTS, partition, proxy, shard
from tests.harness.native_watcher import Watcher
from tests.harness.prometheus import Prometheus
from tests.harness.scrape import get
from tests.harness.waiting import eventually, remains

FILES = REPOSITORY / "deploy/prometheus"
DASHBOARDS = sorted((REPOSITORY / "deploy/grafana/dashboards").glob("*.json"))
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load((FILES / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
RULE_TESTS = sorted((FILES / "tests").glob("*.yml"))

# Queries that nothing answers in a cluster that is well.
IDLE = {
    "canopy_replica_lag_updates": "there are no replicas yet",
    "canopy_restarts_total": "this cluster's broker supervises nobody",
}

needs_prometheus = pytest.mark.skipif(
    not shutil.which("prometheus") or not shutil.which("promtool"),
    reason="prometheus is not installed",
)


# -- the files ------------------------------------------------------------------------------------


def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_the_configuration_and_its_rules_are_valid():
    promtool("check", "config", FILES / "prometheus.yml")
    promtool("check", "rules", FILES / "rules.yml", FILES / "alerts.yml")


@needs_prometheus
@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should(file):
    promtool("test", "rules", file)


def test_every_alert_is_tested_to_fire_and_not_to_fire():
    fires, idle = set(), set()
    for file in RULE_TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for check in test["alert_rule_test"]:
                (fires if check.get("exp_alerts") else idle).add(check["alertname"])
    assert fires == ALERTS.keys()
    assert idle == ALERTS.keys()


def test_every_alert_is_explained():
    page = (REPOSITORY / "docs/how-to/alerts.md").read_text()
    received = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert sorted(received) == sorted(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}, name
        assert rule["annotations"]["runbook"] == f"docs/how-to/alerts.md#{name.lower()}"


# -- a live cluster -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", "/results/", partition("/disk/", durability="disk")), shard("s2", "*")],
        [proxy("p1"), proxy("p2", mirror_keep_ms=500)],
        broker={"supervise": False},
    )


@pytest.fixture(scope="module")
def prometheus(cluster, tmp_path_factory, ports):
    """Runs the files of deploy/prometheus; only the address is another, and the time passes faster."""
    directory = tmp_path_factory.mktemp("prometheus")
    for name in ("prometheus.yml", "rules.yml", "alerts.yml"):
        text = (FILES / name).read_text().replace("broker:8550", cluster.layout.broker_http)
        text = re.sub(r"(scrape|evaluation)_interval: 5s", r"\1_interval: 500ms", text)
        text = text.replace("scrape_timeout: 4s", "scrape_timeout: 500ms")
        text = text.replace("refresh_interval: 5s", "refresh_interval: 1s")
        text = re.sub(r"for: 15s", "for: 1s", text)
        (directory / name).write_text(text)
    running = Prometheus(directory, directory / "prometheus.yml", ports)
    yield running
    running.stop()


def up(prometheus):
    return {
        (each["metric"]["role"], each["metric"]["name"], each["metric"]["instance"])
        for each in prometheus.ask('up{job="canopy"} == 1')
    }


def targets(prometheus):
    return [each["labels"]["name"] for each in prometheus.get("targets")["activeTargets"]]


EVERYBODY = {
    ("broker", "broker", "broker"),
    ("shard", "s1", "s1"),
    ("shard", "s2", "s2"),
    ("proxy", "p1", "p1"),
    ("proxy", "p2", "p2"),
}


@needs_prometheus
def test_everybody_is_found_and_up(prometheus):
    eventually(lambda: up(prometheus) == EVERYBODY, "all five processes are up", 30)
    assert not prometheus.ask("up == 0")
    assert sorted(targets(prometheus)) == sorted(name for _, name, _ in EVERYBODY)
    eventually(
        lambda: len(prometheus.ask("role_name:canopy_process_up:min == 1")) == len(EVERYBODY),
        "nobody is missed",
    )


@needs_prometheus
def test_every_rule_can_be_evaluated(prometheus):
    def rules():
        groups = prometheus.get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    eventually(lambda: all(rule["health"] != "unknown" for rule in rules()), "all have been tried")
    assert {rule["name"] for rule in rules() if rule["type"] == "alerting"} == ALERTS.keys()
    assert not [rule for rule in rules() if rule["health"] != "ok" or rule.get("lastError")]


def queries_of(dashboard):
    """(panel, query) of each target, as Grafana would send it."""
    document = json.loads(dashboard.read_text())
    assert document["uid"] == dashboard.stem
    names = [variable["name"] for variable in document["templating"]["list"]]
    for panel in document["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", "20s")
            for name in names:
                query = query.replace(f"${name}", ".+")
            assert "$" not in query, query
            yield panel["title"], query


def variables_of(dashboard):
    for variable in json.loads(dashboard.read_text())["templating"]["list"]:
        yield re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()


def idle_for(query):
    return next((why for series, why in IDLE.items() if series in query), None)


@needs_prometheus
@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda file: file.stem)
def test_every_panel_shows_something(cluster, prometheus, clones, context, dashboard):
    for each in DIALECTS:
        clones.join(each, cluster.triple("p1", each))
    endpoints = [cluster.native("p1"), cluster.native("p2")]
    watcher = clones.add(Watcher(context, endpoints, b"/results/"))
    clones.run(lambda: watcher.active, "a native client watches")
    writer = native.Writer(context, *endpoints)
    reader = native.Requests(context, endpoints[1])
    number = 0

    def traffic():
        nonlocal number
        number += 1
        if number % 8 == 0:  # a snapshot of p2, which takes others of the shards for it
            reader.read(b"")
        for subtree in ("/results/", "/disk/", "/"):
            writer.put(f"{subtree}{number % 10}".encode(), b"%d" % number)
        for _ in range(10):
            clones.turn(0.02)

    def answered(query):
        return any(not each["value"][1] == "NaN" for each in prometheus.ask(query))

    try:
        for panel, query in queries_of(dashboard):
            prometheus.ask(query)  # that it is understood, whatever it answers
            if idle_for(query):
                assert not answered(query), f"{query} is answered: it need not be excepted"
                continue
            eventually(lambda: answered(query), f"{panel}: an answer to {query}", 30, turn=traffic)
    finally:
        writer.close()
        reader.close()
    for series, label in variables_of(dashboard):
        values = prometheus.get(f"label/{label}/values", **{"match[]": series})
        assert set(values) in ({"s1", "s2"}, {"p1", "p2"}), f"{series}: {values}"


@needs_prometheus
@pytest.mark.parametrize("name, alert", [("p2", "ProxyDown"), ("s1", "ShardDown")])
def test_an_alert_fires_for_a_killed_process_until_it_is_back(cluster, prometheus, name, alert):
    eventually(lambda: up(prometheus) == EVERYBODY, "all five processes are up", 30)
    eventually(lambda: not prometheus.alerts(alert), "nobody is missed")
    before = cluster.kill(name)
    eventually(lambda: not before.alive(), "it is dead")
    eventually(lambda: prometheus.alerts(alert) == {name: "firing"}, f"{alert} fires", 30)
    # Its port was any free one: once the directory misses it, there is nothing to be scraped.
    eventually(lambda: name not in targets(prometheus), "it is no target any more", 30)
    remains(lambda: prometheus.alerts(alert) == {name: "firing"}, f"{alert} fires", 3)
    if alert == "ShardDown":
        led = {"/results/": "firing", "/disk/": "firing"}
        eventually(lambda: prometheus.alerts("NoLeader") == led, "its partitions are missed", 30)
    assert not prometheus.alerts("BrokerDown")
    cluster.launch_member(name)
    eventually(lambda: cluster.restarted(name, before), f"{name} is back", 20)
    eventually(lambda: not prometheus.alerts(alert), f"{alert} is over", 30)
    eventually(lambda: not prometheus.alerts("NoLeader"), "every partition is led again", 30)
    eventually(lambda: up(prometheus) == EVERYBODY, "all five processes are up again", 30)


@needs_prometheus
def test_an_alert_fires_for_a_stopped_process_that_keeps_its_connections(cluster, prometheus):
    """Neither the broker nor Prometheus hears of it."""
    eventually(lambda: up(prometheus) == EVERYBODY, "all five processes are up", 30)
    stopped = cluster.signal("p2", signal.SIGSTOP)
    try:
        eventually(lambda: prometheus.alerts("ProxyDown") == {"p2": "firing"}, "it is missed", 30)
    finally:
        stopped.signal(signal.SIGCONT)
    eventually(lambda: not prometheus.alerts("ProxyDown"), "it is back", 30)


def test_a_drained_proxy_is_not_missed(start_cluster, context, ports):
    """By the broker, which would else be told of as long as it runs; nor is it scraped."""
    metrics_port = ports.claim()
    cluster = start_cluster(
        [shard("s1", "*")],
        [proxy("p1"), proxy("p2", http=f"127.0.0.1:{metrics_port}")],
    )

    def missed():
        found = cluster.metrics("broker").select("canopy_process_up")
        return {labels["name"]: value == 0 for labels, value in found}

    assert missed() == {"s1": False, "p1": False, "p2": False}
    before = cluster.expect_end("p2")
    broker = native.Requests(context, cluster.broker_endpoint)
    broker.ask(native.pack(native.DRAIN, 1, "p2"))
    broker.close()
    eventually(lambda: not before.alive(), "p2 ends")
    eventually(lambda: missed() == {"s1": False, "p1": False}, "p2 is not on the roll")
    remains(lambda: missed() == {"s1": False, "p1": False}, "nobody is missed", 1)
    assert str(metrics_port) not in get(cluster.layout.broker_http, "/api/v1/sd")[1]
