"""A killed proxy is back within 2 s, and the clients of the others notice nothing."""

import socket
import time

import pytest

from tests.harness import procfs
from tests.harness.clusterfile import DIALECTS, proxy, shard
from tests.harness.promises import WriteLoad, check_never_back, check_protocol, check_unbroken
from tests.harness.waiting import seconds


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(
        [shard("results", "/results/"), shard("rest", "*")], [proxy("p1"), proxy("p2")]
    )


def connectable(endpoint):
    host, port = endpoint.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), timeout=1):
        return True


def test_back_within_two_seconds_and_the_others_notice_nothing(cluster, clones):
    keys = [b"/results/k", b"/results/l", b"/other/k", b"bare"]
    others = [clones.join(each, cluster.triple("p2", each)) for each in DIALECTS]
    writer = clones.writer("kvmsg", cluster.triple("p2", "kvmsg"))
    endpoints = [end for each in DIALECTS for end in cluster.triple("p1", each)]
    with WriteLoad(writer, keys, rate=400) as load:
        clones.run(lambda: len(others[0].live) > 100, "updates flow")
        with clones.background():
            for number in range(3):
                before = cluster.kill("p1")
                died = time.monotonic()
                while not cluster.restarted("p1", before):
                    assert time.monotonic() < died + seconds(10), "p1 does not come back"
                    time.sleep(0.02)
                assert all(connectable(end) for end in endpoints)
                took = time.monotonic() - died
                print(f"kill {number + 1}: p1 back after {took:.2f} s")
                assert took < seconds(2)
        fresh = [clones.join(each, cluster.triple("p1", each)) for each in DIALECTS]
        clones.run(lambda: all(len(each.live) > 100 for each in fresh), "it fans out again")
    clones.agree(load.map)
    check_unbroken(*others)
    check_unbroken(*fresh)


def test_its_own_clients_go_on_by_themselves(cluster, clones):
    """Their sockets reconnect; the proxy's stamp never falls, or they would drop every update."""
    clients = [clones.join(each, cluster.triple("p1", each), b"/results/") for each in DIALECTS]
    writer = clones.writer("kvsimple", cluster.triple("p2", "kvsimple"))
    with WriteLoad(writer, [b"/results/%d" % i for i in range(5)], rate=400) as load:
        clones.run(lambda: all(len(each.live) > 100 for each in clients), "updates flow")
        before = cluster.kill("p1")
        clones.run(lambda: cluster.restarted("p1", before), "p1 is back")
        seen = [each.sequence for each in clients]
        counts = [len(each.live) for each in clients]
        clones.run(
            lambda: all(len(each.live) > count + 100 for each, count in zip(clients, counts)),
            "updates flow again, with higher sequences",
        )
        assert all(each.sequence > last for each, last in zip(clients, seen))
    clones.agree(load.map)  # every key was written again since
    check_protocol(*clients)
    check_never_back(*clients)


def test_stopped_by_term_it_leaves_cleanly_and_comes_back(cluster, clones):
    """TERM to a supervised proxy: it drains, and the supervisor starts it anew."""
    watcher = clones.join("kvsimple", cluster.triple("p2", "kvsimple"))
    writer = clones.writer("kvsimple", cluster.triple("p2", "kvsimple"))
    with WriteLoad(writer, [b"/k"], rate=200):
        before = cluster.terminate("p1")
        clones.run(lambda: not before.alive(), "it ends")
        clones.run(lambda: cluster.restarted("p1", before), "it is started again", 20)
    clones.run(lambda: watcher.map, "updates arrived meanwhile")
    check_unbroken(watcher)


def test_all_proxies_killed_again_and_again(cluster, clones):
    """Nothing piles up: after five rounds everything serves, with as many descriptors as before."""
    shard_pid = cluster.process("results").pid
    fds = procfs.open_fds(shard_pid)
    for _ in range(5):
        killed = {name: cluster.kill(name) for name in ("p1", "p2")}
        clones.run(
            lambda: all(cluster.restarted(name, before) for name, before in killed.items()),
            "both are back",
            20,
        )
    client = clones.join("kvmsg", cluster.triple("p1", "kvmsg"))
    client.put(b"/results/x", b"1")
    clones.run(lambda: client.map.get(b"/results/x") == b"1", "it serves")
    clones.run(
        lambda: procfs.open_fds(shard_pid) <= fds + 2, "no descriptors leak in the shard"
    )
