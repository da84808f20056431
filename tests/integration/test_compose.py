"""docker-compose.yml and deploy/three-hosts/compose.yaml as a user runs them: real containers, the real Prometheus beside
those of the first."""

import contextlib
import os
import shutil
import signal
import subprocess
import uuid

import pytest

from tests.harness.cluster import BIN, REPOSITORY
from tests.harness.containers import Compose, images, require, run
from tests.harness.prometheus import Prometheus
from tests.harness.waiting import eventually, seconds

SERVICES = {"broker": 1, "shard-results": 1, "shard-rest": 1, "proxy": 4}


class Watched(Prometheus):
    """The one in its container."""

    def __init__(self, address):
        self.address = address

    def up(self):
        """{name: whether it is up} of all targets."""
        return {each["metric"]["name"]: each["value"][1] == "1" for each in self.ask("up")}


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """The variables that name the images."""
    require()
    with images(tmp_path_factory.mktemp("images") / "context") as made:
        yield made


@pytest.fixture
def stack(tmp_path, names):
    # As shipped, but in more of a hurry.
    rules = tmp_path / "prometheus"
    shutil.copytree(REPOSITORY / "deploy/prometheus", rules)
    for file in rules.glob("*.yml"):
        text = file.read_text().replace("for: 15s", "for: 1s")
        text = text.replace("_interval: 5s", "_interval: 1s").replace("timeout: 4s", "timeout: 1s")
        file.write_text(text)
    os.chmod(tmp_path, 0o755)
    # Whatever is free; the tests use the containers' own addresses.
    ports = dict.fromkeys(
        ("CANOPY_BROKER_PORT", "CANOPY_HTTP_PORT", "CANOPY_PROMETHEUS_PORT"), "0"
    )
    override = {"services": {"prometheus": {"volumes": [f"{rules}:/etc/prometheus:ro"]}}}
    made = Compose("docker-compose.yml", tmp_path, override, {**ports, **names})
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
    reported = stack.compose("run", "--rm", "--no-deps", "loadtest", *command, *sizes, timeout=90)
    assert "60 served" in reported or "PASS" in reported, reported


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
    for alert, process in (("ProxyDown", name), ("ShardDown", "results")):
        eventually(lambda: prometheus.alerts(alert).get(process) == "firing", f"{alert} fires", 30)
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


# -- three hosts ---------------------------------------------------------------------------------

OF_A_HOST = ["etcd", "broker", "shard", "proxy"]


class Host(Compose):
    """One of the hosts. Its network is that of a further container instead of this machine's."""

    def __init__(self, number, network, directory, environment):
        services = {each: {"network_mode": "service:host"} for each in OF_A_HOST}
        services["host"] = {
            "image": environment["CANOPY_IMAGE"],
            "command": ["sleep", "infinity"],
            "stop_signal": "KILL",
            "networks": {"default": {"aliases": [f"h{number}"]}},
        }
        override = {"services": services, "networks": {"default": {"external": True, "name": network}}}
        super().__init__("deploy/three-hosts/compose.yaml", directory, override, {**environment, "HOST": str(number)})

    def kill(self):
        ids = run("docker", "ps", "--quiet", "--filter", f"label=com.docker.compose.project={self.name}").split()
        run("docker", "kill", *ids)

    def canopy(self, *words):
        """The command line in the container of the broker: (exit code, output)."""
        [broker] = self.containers("broker")
        done = subprocess.run(
            ["docker", "exec", broker["Id"], "canopy", "--timeout", "20s", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds(40),
        )  # fmt: skip
        return done.returncode, done.stdout

    def is_well(self):
        """All containers are healthy, and the broker finds every process of the cluster ready."""
        return all(self.healthy(service, 1) for service in OF_A_HOST) and self.canopy("status")[0] == 0


@pytest.fixture
def hosts(tmp_path, names):
    network = f"canopy-test-{uuid.uuid4().hex[:8]}"
    with contextlib.ExitStack() as cleanup:
        run("docker", "network", "create", network)
        cleanup.callback(run, "docker", "network", "rm", network)
        made = [Host(number, network, tmp_path, names) for number in (1, 2, 3)]
        for host in made:
            cleanup.callback(host.destroy)
        yield made
        for host in made:
            print(host.logs())  # shown when the test has failed


def all_well(hosts):
    for host in hosts:
        eventually(host.is_well, f"{host.environment['HOST']} is well", 60, every=0.5)


def test_a_host_is_lost_and_comes_back(hosts):
    for host in hosts:
        host.up()
    all_well(hosts)
    lost, near, far = hosts  # the first one's shard leads /results/
    acknowledged = {}

    def write(host, count):
        for _ in range(count):
            key = f"/results/{len(acknowledged)}"
            code, reported = host.canopy("put", key, "value")
            assert code == 0, reported
            acknowledged[key] = reported.strip()

    def listed(host):
        code, reported = host.canopy("list", "/results/")
        assert code == 0, reported
        return {key: revision for key, revision, _ in (line.split("\t") for line in reported.splitlines())}

    write(lost, 3)
    write(near, 3)
    lost.kill()
    write(near, 3)
    write(far, 3)
    for host in (near, far):
        assert listed(host) == acknowledged
    lost.up()
    all_well(hosts)
    write(lost, 3)
    assert listed(lost) == acknowledged
