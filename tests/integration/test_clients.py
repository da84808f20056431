"""The connections of a cluster's proxies, as `canopy clients`, `canopy kick` and /api/v1/clients have it."""

import json
import os

import pytest
import zmq

from tests.harness import native
from tests.harness.clone import Subscriber
from tests.harness.cluster import run_program
from tests.harness.clusterfile import proxy, shard
from tests.harness.keyring import Keyring
from tests.harness.native_watcher import Watcher, check_promises
from tests.harness.scrape import get
from tests.harness.waiting import eventually

OK, ABSENT, _, REFUSED, NO_ANSWER = range(5)
QUEUE = 4 << 20  # the least that a proxy takes
PADDING = 50_000
FIELDS = {
    "proxy", "connection", "peer", "name", "protocol", "queued_bytes", "missed", "catch_ups", "age_ms", "subscriptions",
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", "/seen/", "*")],
        [
            proxy("p1", client_queue_bytes=QUEUE, client_send_buffer=65_536),
            proxy("p2", ["native"]),
            proxy("p3", ["kvsimple"]),
        ],
    )


def canopy(cluster, *words, **environment):
    return run_program("canopy", "--broker", cluster.broker_endpoint, *words, env={**os.environ, **environment})


def listed(cluster, *words, **environment):
    """The clients of p1, as objects."""
    done = canopy(cluster, "clients", "--proxy", "p1", "--json", *words, **environment)
    assert (done.returncode, done.stderr) == (OK, ""), done
    return json.loads(done.stdout)


def of_subtree(clients, subtree):
    return [each for each in clients if any(subtree in shown for shown in each["subscriptions"])]


def one(clients, subtree, protocol):
    (found,) = [each for each in of_subtree(clients, subtree) if each["protocol"].startswith(protocol)]
    return found


@pytest.fixture
def watch(cluster, context, clones):
    """watch(subtree, **options) -> a native client of p1 that is live."""

    def start(subtree, **options):
        made = clones.add(Watcher(context, [cluster.native("p1")], subtree, **options))
        clones.run(lambda: made.active, "it watches")
        return made

    return start


@pytest.fixture
def writer(cluster, context):
    made = native.Writer(context, cluster.native("p2"))
    yield made
    made.close()


@pytest.fixture
def dashboard(cluster, context):
    """A native client with a name, which watches a subtree."""
    made = native.Requests(context, cluster.native("p1"))
    made.send(native.ANNOUNCE, 1, b"d" * 16, "dash board", "test 1")
    made.send(native.WATCH, 2, "/seen/named/", 100, 0, {})
    while not isinstance(made.answer(), native.CaughtUp):
        pass
    yield made
    made.close()


def test_native_and_clone_clients_are_listed(cluster, clones, watch, dashboard):
    watch(b"/seen/")
    clones.join("kvsimple", cluster.triple("p1", "kvsimple"), b"/seen/clone/")
    clients = listed(cluster)
    assert all(each.keys() == FIELDS and each["proxy"] == "p1" for each in clients)
    numbers = [each["connection"] for each in clients]
    assert len(set(numbers)) == len(numbers)
    assert len({each["peer"] for each in clients}) == len(clients)
    assert all(each["peer"].startswith("127.0.0.1:") for each in clients)
    named = one(clients, "/seen/named/", "native")
    assert (named["name"], named["protocol"]) == ("dash board", "native 2, test 1")
    assert named["subscriptions"] == ["/seen/named/ latest 100 ms"]
    assert (named["queued_bytes"], named["missed"], named["catch_ups"]) == (0, 0, 0)
    assert 0 <= named["age_ms"] < 60_000
    assert one(clients, "/seen/clone/", "kvsimple updates")["subscriptions"] == ["/seen/clone/"]
    roles = [each["protocol"] for each in clients if each["protocol"].startswith("kvsimple")]
    assert sorted(roles) == ["kvsimple collector", "kvsimple snapshot", "kvsimple updates"]
    table = canopy(cluster, "clients", "--proxy", "p1", "--sort", "connection").stdout.splitlines()
    assert table[0].split() == (
        ["PROXY", "CONNECTION", "PEER", "NAME", "PROTOCOL", "QUEUED", "MISSED", "CATCH-UPS", "AGE", "SUBSCRIPTIONS"]
    )
    rows = {int(row.split()[1]): row for row in table[1:]}
    assert list(rows) == sorted(rows) and set(numbers) - set(rows) <= {max(numbers)}, "all but that of the first call"
    row = rows[named["connection"]]
    assert row.startswith("p1 ") and named["peer"] in row and row.endswith("  /seen/named/ latest 100 ms")
    assert "  dash board  native 2, test 1  " in row


@pytest.mark.parametrize("protocol", ["native 2", "kvsimple updates"])
def test_a_client_that_does_not_read_is_listed_first(cluster, context, writer, protocol):
    """Bytes queued and updates missed are those of the one connection, and it is the first of the list."""
    subtree = f"/seen/slow-{protocol.split()[0]}/"
    context.setsockopt(zmq.RCVHWM, 1)
    context.setsockopt(zmq.RCVBUF, 65_536)
    if protocol == "native 2":
        slow = native.Requests(context, cluster.native("p1"))
        slow.send(native.WATCH, 1, subtree, 0, 0, {})
        assert isinstance(slow.answer(), (native.Chunk, native.CaughtUp))
    else:
        slow = Subscriber(context, cluster.triple("p1", "kvsimple"), subtree.encode())
        eventually(lambda: of_subtree(listed(cluster), subtree), "it is subscribed")
    at = 0
    while not (seen := one(listed(cluster), subtree, protocol))["missed"]:
        for _ in range(20):
            at += 1
            writer.put(b"%sk%d" % (subtree.encode(), at % 50), b"%d" % at + bytes(PADDING))
        assert at < 2000, f"nothing is missed after {at} updates: {seen}"
    clients = listed(cluster)
    assert one(clients[:1], subtree, protocol)["queued_bytes"] > 500_000
    assert all(each["missed"] == 0 for each in clients[1:])
    (first, *_) = listed(cluster, "--sort", "missed")
    assert first["connection"] == seen["connection"] and 0 < first["missed"] <= at
    slow.close()


def test_kick_ends_one_connection_and_its_client_is_exact(cluster, clones, watch, writer):
    subtree = b"/seen/kicked/"
    writer.put(subtree + b"before", b"1")
    watcher, other = watch(subtree), watch(subtree)
    clone = clones.join("kvsimple", cluster.triple("p1", "kvsimple"), subtree)
    before = {each["connection"] for each in of_subtree(listed(cluster), "/seen/kicked/")}
    assert len(before) == 3
    kicked = max(each["connection"] for each in listed(cluster) if each["connection"] in before
                 and each["protocol"].startswith("native"))  # fmt: skip
    done = canopy(cluster, "kick", "p1", kicked)
    assert (done.returncode, done.stdout, done.stderr) == (OK, "", "")
    writer.put(subtree + b"meanwhile", b"2")
    clones.agree({subtree + b"before": b"1", subtree + b"meanwhile": b"2"}, [watcher, other, clone])
    clones.run(lambda: watcher.active and other.active, "it watches again")
    assert sorted((watcher.losses, other.losses)) == [0, 1]
    after = {each["connection"] for each in of_subtree(listed(cluster), "/seen/kicked/")}
    assert before - after == {kicked} and len(after) == 3
    check_promises(watcher, other)
    again = canopy(cluster, "kick", "p1", kicked)
    assert (again.returncode, again.stderr) == (REFUSED, "canopy: p1: no such connection\n")


def test_proxies_that_cannot_be_asked_are_named(cluster, watch):
    watch(b"/seen/beside/")
    done = canopy(cluster, "clients", "--json")
    assert (done.returncode, done.stderr) == (ABSENT, "canopy: p3: no `native` endpoint\n")
    assert {each["proxy"] for each in json.loads(done.stdout)} == {"p1", "p2"}
    with cluster.stopped("p2"):
        done = canopy(cluster, "clients", "--timeout", "1s")
        assert done.returncode == ABSENT
        assert sorted(done.stderr.splitlines()) == ["canopy: p2: no answer", "canopy: p3: no `native` endpoint"]
        assert "/seen/beside/" in done.stdout
        done = canopy(cluster, "kick", "p2", 1, "--timeout", "1s")
        assert (done.returncode, done.stderr) == (NO_ANSWER, "canopy: p2: no answer\n")
    done = canopy(cluster, "clients", "--proxy", "p9")
    assert (done.returncode, done.stdout, done.stderr) == (REFUSED, "", "canopy: no proxy p9\n")


def test_http_says_the_same(cluster, watch, clones):
    watch(b"/seen/http/")
    clones.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/seen/http/")

    def answers():
        reported = [
            get(cluster.http("p1"), "/api/v1/clients"),
            get(cluster.layout.broker_http, "/api/v1/clients/p1"),
            (200, json.dumps(listed(cluster))),
        ]
        assert all(status == 200 for status, _ in reported)
        return [of_subtree(json.loads(body), "/seen/http/") for _, body in reported]

    reported = eventually(lambda: [each for each in [answers()] if all(len(mine) == 2 for mine in each)], "both are seen")
    seen = [[{**each, "age_ms": None} for each in mine] for mine in reported[0]]
    assert seen[0] == seen[1] == seen[2]
    status, body = get(cluster.layout.broker_http, "/api/v1/clients/p9")
    assert status == 404 and "p9" in json.loads(body)["error"]


@pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq has no CURVE")
def test_with_security_only_an_admin_sees_clients(start_cluster, tmp_path):
    keys = Keyring(tmp_path)
    rights = {"dashboard": {"read": ["*"]}, "ops": {"read": ["*"], "write": ["*"], "admin": True}}
    cluster = start_cluster(
        [shard("s1", "*")], [proxy("p1", ["native"]), proxy("p2", ["native"])], security=keys.security(**rights)
    )
    context = keys.context("dashboard")
    client = native.Requests(context, cluster.native("p1"))
    client.send(native.PING, 1)
    client.answer()
    (seen,) = [each for each in listed(cluster, **keys.environment("ops")) if each["name"] == "dashboard"]
    forbidden = "forbidden: this key is not an admin's\n"
    for words, of in [(["clients"], "p1, p2"), (["kick", "p1", seen["connection"]], "p1")]:
        done = canopy(cluster, *words, **keys.environment("dashboard"))
        assert (done.returncode, done.stdout, done.stderr) == (REFUSED, "", f"canopy: {of}: {forbidden}")
    for address, path in [(cluster.http("p1"), ""), (cluster.layout.broker_http, "/p1")]:
        status, body = get(address, "/api/v1/clients" + path)
        assert status == 403 and "canopy clients" in json.loads(body)["error"]
    done = canopy(cluster, "kick", "p1", seen["connection"], **keys.environment("ops"))
    assert (done.returncode, done.stderr) == (OK, "")
    # A Requests does not connect again.
    eventually(
        lambda: all(each["name"] == "ops" for each in listed(cluster, **keys.environment("ops"))), "it is gone"
    )
    client.close()
    context.destroy(linger=0)
