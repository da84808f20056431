"""`canopy status` and `canopy drain`, and what a watch says of a proxy that is drained, killed or stopped."""

import json

from tests.harness.clusterfile import proxy, shard
from tests.harness.command_line import ABSENT, OK, REFUSED, fail, put, run, succeed
from tests.harness.command_line import cluster, place, watch  # noqa: F401, fixtures
from tests.harness.waiting import eventually


def status(cluster):
    """(exit code, {role: {name: what is said of it}})"""
    done = run(cluster, "status", "--json")
    reported = json.loads(done.stdout)
    assert done.stderr == b"" and set(reported) == {"shards", "proxies", "partitions"}
    return done.returncode, {
        role: {each["name"]: each for each in reported[role]} for role in ("shards", "proxies")
    }


def test_status_shows_the_leader_of_each_partition(cluster):
    reported = json.loads(run(cluster, "status", "--json").stdout)
    assert [each["partition"] for each in reported["partitions"]] == ["*", "/disk/"]
    for each in reported["partitions"]:
        assert (each["leader"], each["in_sync"]) == ("s1", ["s1"]) and each["epoch"] > 0
        assert each["replicas"] == [{"shard": "s1", "state": "serving"}]
    described = {each["subtree"]: each for each in cluster.topology()["partitions"]}
    for each in reported["partitions"]:
        same = described[each["partition"]]
        assert all(same[field] == each[field] for field in ("leader", "epoch", "in_sync", "replicas"))
    *_, head, root, disk = succeed(cluster, "status").decode().splitlines()
    assert head.split() == "PARTITION LEADER EPOCH IN_SYNC REPLICAS".split()
    assert root.split()[0::2] == ["*", str(described["*"]["epoch"]), "s1=serving"]
    assert disk.split()[1::2] == ["s1", "s1"]


def test_status_tells_how_everybody_is_doing(cluster, place, watch):
    watching = watch(place)
    revision = put(cluster, place + "k", "v")
    watching.wait([("PUT", place + "k", str(revision), "v")], "it watches")

    def received():
        code, reported = status(cluster)
        assert code == OK
        clients = [each["clients"] for each in reported["proxies"].values()]
        everybody = [each for members in reported.values() for each in members.values()]
        if any(each["clients"] is None for each in everybody):
            return None
        reached = {each["name"] for each in everybody if each["revisions"].get("*") == str(revision)}
        return reported if sorted(clients) == [0, 1] and "s1" in reached and len(reached) > 1 else None

    reported = eventually(received, "the watching client is counted, and what it watches is mirrored")
    assert set(reported["shards"]) == {"s1"} and set(reported["proxies"]) == {"p1", "p2"}
    fields = {"name", "state", "pid", "clients", "fds", "max_fds", "drops", "revisions"}
    for members in reported.values():
        for name, each in members.items():
            assert set(each) == fields
            assert each["state"] == "ready" and each["pid"] == cluster.process(name).pid
            assert 0 < each["fds"] < each["max_fds"] and each["drops"] == 0
    assert reported["shards"]["s1"]["clients"] == 2, "the proxies"
    processes, _ = succeed(cluster, "status").decode().split("\n\n")
    head, *rows = processes.splitlines()
    assert head.split() == "ROLE NAME STATE PID CLIENTS FDS DROPS REVISIONS".split()
    assert [row.split()[:3] for row in rows] == [
        ["shard", "s1", "ready"],
        ["proxy", "p1", "ready"],
        ["proxy", "p2", "ready"],
    ]
    assert len({row.index("ready") for row in rows} | {head.index("STATE")}) == 1, "aligned"


def test_status_tells_how_the_replicas_of_a_partition_are_doing(start_cluster):
    partitions = [{"subtree": "*", "on": ["s1", "s2"]}]
    cluster = start_cluster([shard("s1"), shard("s2")], [proxy("p1")], partitions=partitions)

    def root():
        done = run(cluster, "status", "--json")
        return done.returncode, json.loads(done.stdout)["partitions"][0]

    following = {"shard": "s2", "state": "following s1"}
    code, reported = root()
    assert (code, reported["leader"], reported["in_sync"]) == (OK, "s1", ["s1", "s2"])
    assert reported["replicas"] == [{"shard": "s1", "state": "serving"}, following]
    with cluster.stopped("s1"):

        def taken_over():
            code, now = root()
            return now if code == ABSENT and now["leader"] == "s2" else None

        now = eventually(taken_over, "the other replica leads")
        assert now["epoch"] > reported["epoch"] and now["in_sync"] == ["s2"]
        assert now["replicas"][0] == {"shard": "s1", "state": "down"}
        short = "in sync on 1 of 2 replicas"
        eventually(lambda: short in cluster.readyz("broker")[1], "the broker's /readyz says so")
        assert cluster.metrics("broker").sum("canopy_partition_leader", shard="s2") == 1
    eventually(lambda: root()[0] == OK, "the first one is in sync again")


def test_a_drained_proxy_leaves_and_its_clients_go_on(start_cluster, watch):
    cluster = start_cluster([shard("s1", "*")], [proxy("p1"), proxy("p2")])
    assert status(cluster)[0] == OK
    watching = [watch("/d/", of=cluster) for _ in range(4)]
    expected = [("PUT", "/d/1", str(put(cluster, "/d/1", "before")), "before")]
    for each in watching:
        each.wait(expected, "everybody watches")
    before = cluster.expect_end("p1")
    assert succeed(cluster, "drain", "p1") == b""
    eventually(lambda: not before.alive(), "the proxy stops")
    expected.append(("PUT", "/d/2", str(put(cluster, "/d/2", "after")), "after"))
    for each in watching:
        eventually(
            lambda: [row for row in each.rows() if row[0] != "RESYNC"] == expected,
            "everybody goes on, and misses nothing",
        )
        assert ("RESYNC", "full") not in each.rows()
    code, reported = status(cluster)
    assert code == OK
    gone = reported["proxies"]["p1"]
    assert (gone["state"], gone["pid"], gone["clients"]) == ("drained", None, None)
    assert reported["proxies"]["p2"]["state"] == "ready"
    assert run(cluster, "status").returncode == OK
    assert cluster.readyz("broker") == (200, '{"ready":true}')
    eventually(lambda: cluster.member("p1")["state"] == "drained", "the topology shows it")
    assert cluster.metrics("broker").sum("canopy_members", role="proxy", state="drained") == 1
    assert cluster.metrics("broker").sum("canopy_members", role="proxy", state="down") == 0
    assert fail(cluster, REFUSED, "drain", "p1").endswith("p1"), "it is gone"


def test_nobody_else_can_be_drained(cluster):
    for name in ("p9", "s1"):
        assert name in fail(cluster, REFUSED, "drain", name)
    assert status(cluster)[0] == OK


def test_a_watch_resyncs_after_a_killed_proxy(start_cluster, watch):
    cluster = start_cluster([shard("s1", "*")], [proxy("p1")])
    watching = watch("/k/", of=cluster)
    expected = [("PUT", "/k/1", str(put(cluster, "/k/1", "before")), "before")]
    watching.wait(expected, "it watches")
    before = cluster.kill("p1")
    revision = put(cluster, "/k/2", "meanwhile", "--timeout", "20s")
    row = ("PUT", "/k/2", str(revision), "meanwhile")
    eventually(lambda: row in watching.rows(), "what it has missed is told", 20)
    eventually(lambda: ("RESYNC", "changes") in watching.rows(), "and that this is all")
    assert watching.rows()[:1] == expected and watching.rows().count(row) == 1
    eventually(lambda: cluster.restarted("p1", before), "the proxy is back")


def test_a_lost_connection_is_reported(start_cluster, watch):
    cluster = start_cluster([shard("s1", "*")], [proxy("p1")])
    watching = watch("/k/", of=cluster)
    put(cluster, "/k/1", "before")
    eventually(lambda: len(watching.rows()) == 1, "it watches")
    lost = "canopy: connection lost: looking for a proxy\n"
    with cluster.stopped("p1"):
        eventually(lambda: watching.errors() == lost, "it says so")
    again = lost + "canopy: connected again, to p1\n"
    eventually(lambda: watching.errors() == again, "and when it is over", 20)
    put(cluster, "/k/2", "after")
    eventually(lambda: watching.rows()[-1][1] == "/k/2", "it goes on")
