"""Descriptors: a proxy refuses what its limit cannot carry, and admits no more than max_clients."""

import contextlib
import re
import resource
import socket
import time

import pytest

from tests.harness.cluster import run_program
from tests.harness.clusterfile import DIALECTS, Layout, proxy, shard
from tests.harness.procfs import cpu_share, open_fds
from tests.harness.promises import WriteLoad, check_unbroken
from tests.harness.scrape import get
from tests.harness.waiting import SLOW, eventually, remains
from tests.harness.zmtp import port_of


@pytest.mark.parametrize("nofile,max_clients", [(128, 1000), (1024, 1020), (100, 40)])
def test_more_clients_than_descriptors_is_refused(tmp_path, ports, nofile, max_clients):
    layout = Layout(
        ports, [shard("s1", "*")], [proxy("p1", nofile=nofile, max_clients=max_clients)]
    )
    file = tmp_path / "cluster.yaml"
    file.write_text(layout.text(state_dir=str(tmp_path)))

    def limited():
        resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

    done = run_program("canopy-proxy", "--config", file, "--name", "p1", preexec_fn=limited)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if str(max_clients) in line]
    assert len(lines) == 1, done.stderr
    assert re.search(rf"\b{nofile}\b", lines[0]), f"both numbers are told: {lines[0]}"


@pytest.mark.parametrize("dialect", ["kvsimple", "kvmsg", "chp"])
def test_at_max_clients_the_others_wait_outside(start_cluster, clones, dialect):
    cluster = start_cluster([shard("s1", "*")], [proxy("p1", [dialect], max_clients=5)])
    triple = cluster.triple("p1", dialect)
    pid = cluster.process("p1").pid
    http = cluster.http("p1")
    options = {"patience": 3600.0} if dialect == "chp" else {}

    def state():
        return cluster.member("p1")["state"]

    def ready():
        return get(http, "/readyz")[0] == 200

    admitted = [clones.join(dialect, triple, **options) for _ in range(5)]
    clones.run(lambda: state() == "full" and not ready(), "the proxy says that it is full")
    assert cluster.member("p1")["clients"] == 5
    for number, client in enumerate(admitted):
        client.put(b"/by-client-%d" % number, b"1")
    expected = {b"/by-client-%d" % number: b"1" for number in range(5)}
    clones.agree(expected, admitted)  # the last one in has all of its connections, too

    waiting = [clones.join(dialect, triple, wait=False, **options) for _ in range(20)]
    remains(
        lambda: not any(each.active for each in waiting), "further clients wait", 2, clones.turn
    )
    with clones.background():
        assert cpu_share(pid) < 0.5 * SLOW
    fds = open_fds(pid)
    assert state() == "full"
    metrics = cluster.metrics("p1")
    assert metrics.sum("canopy_clients") == 5 == metrics.sum("canopy_max_clients")
    admitted[0].put(b"/while-full", b"1")
    expected[b"/while-full"] = b"1"
    clones.agree(expected, admitted)

    for client in admitted[:3]:
        clones.leave(client)
    clones.run(lambda: sum(each.active for each in waiting) == 3, "three others get in", 20)
    inside = admitted[3:] + [each for each in waiting if each.active]
    inside[-1].put(b"/after", b"1")
    expected[b"/after"] = b"1"
    clones.agree(expected, inside)
    remains(
        lambda: sum(each.active for each in waiting) == 3, "and no more than three", 1, clones.turn
    )
    assert open_fds(pid) <= fds + 3 * 6
    for client in list(clones.clients):
        clones.leave(client)
    clones.run(lambda: state() == "ready" and ready(), "empty again, it says ready", 20)
    clones.run(lambda: cluster.member("p1")["clients"] == 0, "and it counts no client", 5)


def test_many_clients_at_a_full_listener(start_cluster, clones):
    """Sixty clients come to a proxy that takes twenty: nobody is half-served, and all get their
    turn as others leave."""
    cluster = start_cluster(
        [shard("s1", "*")], [proxy("p1", ["kvsimple"], max_clients=20, nofile=256)]
    )
    triple = cluster.triple("p1", "kvsimple")
    pid = cluster.process("p1").pid
    outside = [clones.join("kvsimple", triple, wait=False) for _ in range(60)]
    seen, deadline = 0, time.monotonic() + 60 * SLOW
    while outside and time.monotonic() < deadline:
        clones.turn()
        for client in [each for each in outside if each.active]:
            key = b"/many/%d" % seen
            client.put(key, b"1")
            clones.run(lambda: client.map.get(key) == b"1", "an admitted client is served", 20)
            outside.remove(client)
            clones.leave(client)
            seen += 1
    assert seen == 60, f"{seen} of 60 were served"
    assert cluster.process("p1").pid == pid
    assert open_fds(pid) <= 0.9 * 256


@contextlib.contextmanager
def descriptors_left(pid, count):
    """The process may open so many more, meanwhile."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # Descriptors are the lowest free numbers: with few closed, the limit is about their count.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_fds(pid) + count, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("name", ["p1", "s1", "broker"])
def test_a_limit_that_is_lowered_under_load(start_cluster, clones, name):
    """Accepting fails: nothing spins, connected clients are served, and others get in once the
    limit is raised."""
    cluster = start_cluster([shard("s1", "*")], [proxy("p1"), proxy("p2")])
    clients = [clones.join(each, cluster.triple("p1", each)) for each in DIALECTS]
    writer = clones.writer("kvmsg", cluster.triple("p2", "kvmsg"))
    pid = cluster.process(name).pid
    endpoints = {
        "p1": [endpoint for each in DIALECTS for endpoint in cluster.triple("p1", each)],
        "s1": [cluster.member("s1")["requests"], cluster.member("s1")["updates"]],
        "broker": [cluster.broker_endpoint],
    }[name]
    cluster_http = cluster.http(name)
    outside = []
    with WriteLoad(writer, [b"/k%d" % i for i in range(5)], rate=300) as load:
        with clones.background(), descriptors_left(pid, 3):
            for _ in range(40):
                for endpoint in endpoints:
                    outside.append(socket.create_connection(("127.0.0.1", port_of(endpoint)), 5))
            http_host, http_port = cluster_http.split(":")
            outside.append(socket.create_connection((http_host, int(http_port)), 5))
            time.sleep(0.5)
            assert open_fds(pid) == resource.prlimit(pid, resource.RLIMIT_NOFILE)[0], "no more"
            assert cpu_share(pid) < 0.5 * SLOW, "it spins"
            received = [len(each.history) for each in clients]
            time.sleep(0.3)
            assert all(len(each.history) > count for each, count in zip(clients, received))
        if name == "p1":
            waiting = [clones.join(each, cluster.triple("p1", each), wait=False) for each in DIALECTS]
            clones.run(lambda: all(each.active for each in waiting), "others get in")
        clones.run_for(0.3)
    clones.agree(load.map)
    check_unbroken(*clients)
    for each in outside:
        each.close()
    cluster.wait_ready()
    eventually(lambda: cpu_share(pid, 0.3) < 0.1 * SLOW, "it is idle", 5)
