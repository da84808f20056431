"""A changed file, taken on by a running cluster: what it can, and nothing at all where it cannot."""

import signal

import pytest
import yaml

from tests.harness.cluster import run_program
from tests.harness.clusterfile import proxy, shard
from tests.harness.waiting import eventually

REFUSED = 3


@pytest.fixture
def cluster(start_cluster):
    return start_cluster([shard("s1", "/results/", "*")], [proxy("p1"), proxy("p2")])


def canopy(cluster, *words):
    return run_program("canopy", *words, "--broker", cluster.broker_endpoint)


def change(cluster, edit):
    """Rewrites the cluster's file: `edit` gets its content."""
    document = yaml.safe_load(cluster.file.read_text())
    edit(document)
    cluster.file.write_text(yaml.safe_dump(document, sort_keys=False))


def named(document, name):
    return next(each for each in document["shards"] + document["proxies"] if each["name"] == name)


def gauge(cluster, name, series):
    return cluster.metrics(name).sum(series)


def reloads(cluster, name, result):
    return cluster.metrics(name).sum("canopy_reloads_total", result=result)


def test_limits_linger_and_log_level_are_taken_on_while_clients_stay(cluster, clones):
    clones.join("kvsimple", cluster.triple("p1", "kvsimple"))

    def edit(document):
        document["log_level"] = "debug"
        named(document, "p1").update(max_clients=7, max_linger_ms=0)

    change(cluster, edit)
    done = canopy(cluster, "reload")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == [
        "log_level",
        "proxies.p1.max_clients",
        "proxies.p1.max_linger_ms",
    ]
    eventually(lambda: gauge(cluster, "p1", "canopy_max_clients") == 7, "p1 admits seven")
    assert gauge(cluster, "p2", "canopy_max_clients") == 300
    for name in ("broker", "s1", "p1", "p2"):
        eventually(lambda each=name: reloads(cluster, each, "applied") == 1, f"{name} reloaded")
        assert reloads(cluster, name, "refused") == 0
    assert canopy(cluster, "put", "/results/1", "x").returncode == 0
    clones.agree({b"/results/1": b"x"})
    assert canopy(cluster, "reload").stdout == "", "nothing is left to change"


def test_an_added_proxy_is_started_and_takes_clients(cluster, ports):
    port = ports.claim()

    def edit(document):
        document["proxies"].append({"name": "p9", "native": f"tcp://127.0.0.1:{port}"})

    change(cluster, edit)
    done = canopy(cluster, "reload")
    assert (done.returncode, done.stdout) == (0, "proxies.p9 (added)\n"), done.stderr
    eventually(lambda: (cluster.member("p9") or {}).get("state") == "ready", "p9 is ready", 15)
    p9 = cluster.process("p9")
    p9.signal(signal.SIGKILL)
    eventually(lambda: cluster.restarted("p9", p9), "p9 is supervised like the others", 15)


def break_off(cluster):
    text = cluster.file.read_text()
    cluster.file.write_text(text[: text.index("name: p1") + 3])


def misspell(cluster):
    change(cluster, lambda document: named(document, "p2").update(max_client=9))


def overdo(cluster):
    change(cluster, lambda document: named(document, "p2").update(max_linger_ms=1_000_000))


def remove(cluster):
    cluster.file.unlink()


def move(cluster):
    def edit(document):
        named(document, "p1").update(max_clients=9, http="127.0.0.1:1", nofile=2048)
        named(document, "s1")["partitions"][0].update(durability="disk")
        document["proxies"] = [each for each in document["proxies"] if each["name"] != "p2"]

    change(cluster, edit)


@pytest.mark.parametrize(
    "spoil, complaints",
    [
        (break_off, ["cluster.yaml:"]),
        (misspell, ["cluster.yaml:", "proxies.max_client: unknown key"]),
        (overdo, ["cluster.yaml:", "proxies.max_linger_ms: 1000000 is out of bounds"]),
        (remove, ["cluster.yaml: cannot be read"]),
        (
            move,
            [
                "takes a restart: ",
                "partitions./results/.durability",
                "proxies.p1.http",
                "proxies.p1.nofile",
                "proxies.p2 (removed)",
            ],
        ),
    ],
)
def test_a_file_that_cannot_be_taken_on_leaves_the_cluster_as_it_was(cluster, spoil, complaints):
    processes = {name: cluster.process(name).pid for name in cluster.names}
    spoil(cluster)
    done = canopy(cluster, "reload")
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.startswith("canopy: ") and done.stderr.count("\n") == 1
    for complaint in complaints:
        assert complaint in done.stderr
    assert "p1.max_clients" not in done.stderr, "what could have been changed is not the trouble"
    cluster.signal("p1", signal.SIGHUP)  # nor does a process take it on by itself
    eventually(lambda: reloads(cluster, "p1", "refused") == 1, "p1 has looked, too")
    assert reloads(cluster, "broker", "refused") == 1
    assert gauge(cluster, "p1", "canopy_max_clients") == 300
    assert {name: cluster.process(name).pid for name in cluster.names} == processes
    assert canopy(cluster, "put", "/results/1", "x").returncode == 0


def test_a_process_that_does_not_reload_is_named(cluster):
    def edit(document):
        named(document, "p1").update(max_clients=5000)
        named(document, "p2").update(max_clients=7)

    change(cluster, edit)
    done = canopy(cluster, "reload")
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.startswith("canopy: not followed by p1: max_clients 5000 needs ")
    assert "RLIMIT_NOFILE" in done.stderr and "p2:" not in done.stderr
    assert "proxies.p2.max_clients" in done.stderr, "what the others changed"
    assert gauge(cluster, "p1", "canopy_max_clients") == 300
    eventually(lambda: gauge(cluster, "p2", "canopy_max_clients") == 7, "p2 follows")
    assert reloads(cluster, "p1", "refused") == 1
    again = canopy(cluster, "reload")
    assert again.returncode == REFUSED and "p1: " in again.stderr, "as long as it does not"
    change(cluster, lambda document: named(document, "p1").update(max_clients=8))
    assert canopy(cluster, "reload").returncode == 0
    assert gauge(cluster, "p1", "canopy_max_clients") == 8


def test_a_process_that_hangs_is_named(cluster):
    with cluster.stopped("p2"):
        change(cluster, lambda document: named(document, "p1").update(max_clients=8))
        done = canopy(cluster, "reload")
    assert done.returncode == REFUSED
    assert "not followed by p2: " in done.stderr and "p1: " not in done.stderr


def test_processes_of_others_are_named_until_they_reload(start_cluster):
    cluster = start_cluster(
        [shard("s1", "*")], [proxy("p1"), proxy("p2")], broker={"supervise": False}
    )
    change(cluster, lambda document: named(document, "p1").update(max_clients=8))
    done = canopy(cluster, "reload")
    assert done.returncode == REFUSED
    assert all(f"{name}: runs another file" in done.stderr for name in ("s1", "p1", "p2"))
    assert done.stderr.count("send it HUP") == 3
    for name in ("s1", "p1", "p2"):
        cluster.signal(name, signal.SIGHUP)
    done = canopy(cluster, "reload")
    assert (done.returncode, done.stderr) == (0, "")
    assert gauge(cluster, "p1", "canopy_max_clients") == 8
