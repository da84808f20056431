"""docker-compose.yml as a user runs it: real containers, the real Prometheus beside them."""

import os
import shutil
import signal

import pytest

from cluster import BIN, REPOSITORY
from containers import Compose, run, why_not
from prometheus import Prometheus
from waiting import eventually

SERVICES = {"broker": 1, "shard-results": 1, "shard-rest": 1, "proxy": 4}


class Watched(Prometheus):
    """The one in its container."""

    def __init__(self, address):
        self.address = address

    def up(self):
        """{name: whether it is up} of all targets."""
        return {each["metric"]["name"]: each["value"][1] == "1" for each in self.ask("up")}


@pytest.fixture
def stack(tmp_path):
    missing = why_not()
    if missing:
        print(f"skipped: {missing}")
        pytest.skip(missing)
    # As shipped, but in more of a hurry.
    rules = tmp_path / "prometheus"
    shutil.copytree(REPOSITORY / "deploy/prometheus", rules)
    for file in rules.glob("*.yml"):
        text = file.read_text().replace("for: 15s", "for: 1s")
        text = text.replace("_interval: 5s", "_interval: 1s").replace("timeout: 4s", "timeout: 1s")
        file.write_text(text)
    os.chmod(tmp_path, 0o755)
    made = Compose(
        tmp_path, {"services": {"prometheus": {"volumes": [f"{rules}:/etc/prometheus:ro"]}}}
    )
    try:
        yield made
        print(made.logs())  # shown when the test has failed
    finally:
        made.destroy()


def all_healthy(stack, services, timeout):
    eventually(
        lambda: all(stack.healthy(service, count) for service, count in services.items()),
        f"healthy: {services}",
        timeout,
        every=0.3,
    )


def load(stack, dialect):
    """A small load from a container of its own; the verdict is its exit code."""
    command = ["canopy-loadtest", "--broker", "broker:8550", "--dialect", dialect]
    sizes = ["--clients", "60", "--duration", "2", "--period", "500"]
    said = stack.compose("run", "--rm", "--no-deps", "loadtest", *command, *sizes, timeout=90)
    assert "60 served" in said or "PASS" in said, said


def test_a_cluster_in_containers(stack):
    stack.up()
    all_healthy(stack, SERVICES, 60)
    for service in SERVICES:
        for container in stack.containers(service):
            assert container["HostConfig"]["ReadonlyRootfs"]
            assert container["Config"]["User"] == "8550:8550"

    for dialect in ("native", "kvsimple"):
        load(stack, dialect)
    stack.canopy("put", "/results/kept", "1")
    stack.canopy("put", "elsewhere", "1")

    prometheus = Watched(f"{stack.address(stack.containers('prometheus')[0])}:9090")
    names = {"broker", "results", "rest"} | {
        each["name"] for each in stack.topology()["proxies"]
    }
    assert len(names) == 7
    eventually(lambda: prometheus.up() == dict.fromkeys(names, True), "all targets are up", 30)

    deaths(stack, prometheus)
    more_proxies(stack)
    broker_restarts(stack, 6)
    stops(stack)


def deaths(stack, prometheus):
    """A proxy and a shard are killed: the others go on, alerts fire, they come back."""
    proxy = stack.containers("proxy")[0]
    shard = stack.containers("shard-results")[0]
    name = f"proxy-{proxy['Config']['Hostname']}"
    run("docker", "kill", proxy["Id"], shard["Id"])
    eventually(
        lambda: stack.status()[name] == "down" and stack.status()["results"] == "down",
        "the broker misses both",
        20,
    )
    stack.canopy("put", "elsewhere", "2")
    assert stack.canopy("get", "elsewhere").strip() == "2"
    assert stack.canopy("get", "/results/kept").strip() == "1", "read from a proxy's copy"
    for alert, who in (("ProxyDown", name), ("ShardDown", "results")):
        eventually(lambda: prometheus.alerts(alert).get(who) == "firing", f"{alert} fires", 30)
    run("docker", "start", proxy["Id"], shard["Id"])
    all_healthy(stack, SERVICES, 30)
    eventually(
        lambda: not prometheus.alerts("ProxyDown") and not prometheus.alerts("ShardDown"),
        "the alerts are over",
        30,
    )
    stack.canopy("put", "/results/kept", "2")

    # One that crashes by itself is restarted by docker.
    before = stack.containers("proxy")[1]
    os.kill(before["State"]["Pid"], signal.SIGKILL)

    def restarted():
        state = stack.containers("proxy")[1]["State"]
        return state["Running"] and state["Pid"] != before["State"]["Pid"]

    eventually(restarted, "docker restarts it", 20)
    all_healthy(stack, SERVICES, 30)


def more_proxies(stack):
    """New proxies take clients while nobody else is restarted."""
    started = {each["Id"]: each["State"]["StartedAt"] for each in stack.containers("broker")}
    before = {each["name"] for each in stack.topology()["proxies"]}
    stack.compose("up", "--detach", "--no-build", "--no-recreate", "--scale", "proxy=6", timeout=120)
    all_healthy(stack, {**SERVICES, "proxy": 6}, 30)
    eventually(lambda: len(stack.topology()["proxies"]) == 6, "six proxies", 10)
    assert list(stack.status().values()) == ["ready"] * 8
    fresh = [each for each in stack.topology()["proxies"] if each["name"] not in before]
    assert len(fresh) == 2
    for proxy in fresh:
        run(BIN / "canopy-loadtest", "--dialect", "native", "--proxy", proxy["native"],
            "--clients", "10", "--duration", "1", "--period", "200", timeout=60)  # fmt: skip
    now = {each["Id"]: each["State"]["StartedAt"] for each in stack.containers("broker")}
    assert now == started, "the broker was restarted"


def broker_restarts(stack, proxies):
    """The cluster finds its broker again."""
    run("docker", "restart", "--time", "10", stack.containers("broker")[0]["Id"])
    all_healthy(stack, {**SERVICES, "proxy": proxies}, 30)
    eventually(
        lambda: list(stack.status().values()) == ["ready"] * (proxies + 2), "all are back", 20
    )
    stack.canopy("put", "/results/kept", "3")


def stops(stack):
    """TERM reaches each program as process 1, and each ends well."""
    stack.compose("stop", timeout=60)
    for service in SERVICES:
        for container in stack.containers(service):
            state = container["State"]
            assert state["ExitCode"] == 0, (container["Name"], state)
