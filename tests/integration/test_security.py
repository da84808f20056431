"""A cluster with security refuses a client without a key, or with a wrong one. A client with a key may do what
its key is granted, in every dialect, by every way there is, and nothing else."""

import contextlib
import signal

import pytest
import yaml
import zmq

from tests.harness import native
from tests.harness.clone import make_socket
from tests.harness.native import DIRECTORY, DRAIN, GET, LIST, PING, WATCH, Drained, Refusal, Written, pack, write
from tests.harness.native_watcher import Watcher, check_promises
from tests.harness.secured import FORBIDDEN_PREFIXES, NAMES, forbidden, forbidding, parts, refused, settings
from tests.harness.secured import clients, cluster, clones_of, keys, ops  # noqa: F401, fixtures
from tests.harness.waiting import eventually

pytestmark = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq has no CURVE")


# -- accepted connections -------------------------------------------------------------------------------


def listeners(cluster):
    """(process, endpoint) of a listening socket of each program, to which requests are sent."""
    yield "broker", cluster.broker_endpoint
    yield "p1", cluster.native("p1")
    yield "p1", cluster.triple("p1", "kvmsg")[0]
    yield "s1", cluster.member("s1")["requests"]


@pytest.mark.parametrize(
    ("client", "server", "reason"),
    [
        ("stranger", "cluster", "unknown_key"),
        ("ops", "stranger", "wrong_server_key"),
        (None, None, "no_key"),
    ],
)
def test_without_the_right_key_nobody_gets_in(cluster, clients, context, client, server, reason):
    # A peer in the clear sees the mismatch, too, and may hang up before the server has said so.
    reasons = [reason, "incomplete"] if reason == "no_key" else [reason]

    def counted(name):
        return sum(refused(cluster, name, each) for each in reasons)

    for name, endpoint in listeners(cluster):
        before = counted(name)
        mine = clients(client, server) if client else context
        peer = make_socket(mine, zmq.DEALER, endpoint)
        with contextlib.suppress(zmq.Again):  # libzmq has given the peer up already
            peer.send(pack(DIRECTORY, 1, ""), zmq.NOBLOCK)
        eventually(lambda: counted(name) > before, f"{name} counts {reason}")
        assert not peer.poll(100), f"{name} answers"
        peer.close()


def test_a_client_has_no_business_with_a_shard(cluster, clients):
    before = refused(cluster, "s1", "unknown_key")
    peer = make_socket(clients("ops"), zmq.DEALER, cluster.member("s1")["requests"])
    eventually(lambda: refused(cluster, "s1", "unknown_key") > before, "it is refused")
    peer.close()


def test_a_refused_key_is_logged_once(cluster, clients, keys):
    before = refused(cluster, "p1", "unknown_key")
    peers = [
        make_socket(clients("stranger"), zmq.DEALER, cluster.native("p1")) for _ in range(5)
    ]
    eventually(lambda: refused(cluster, "p1", "unknown_key") >= before + 5, "it tries again")
    for peer in peers:
        peer.close()
    lines = [line for line in cluster.log.read_text().splitlines() if keys.pair("stranger")[0].decode() in line]
    assert len([line for line in lines if "proxy/p1" in line]) == 1, lines


def test_nobody_can_register_with_the_broker_but_processes(cluster, clients):
    """The bytes of a process's registration, sent by an admin."""
    before = forbidden(cluster, "broker")
    peer = make_socket(clients("ops"), zmq.DEALER, cluster.broker_endpoint)
    peer.send(b"\x03" + native.msgpack.packb([1, 1, "evil", 0, 0, "", ""]))
    eventually(lambda: forbidden(cluster, "broker") > before, "the registration is refused")
    assert not peer.poll(100), "it is answered"
    peer.close()


def test_the_directory_is_for_clients_and_drain_for_admins(start_cluster, keys, clients):
    cluster = start_cluster(*parts(), security=settings(keys))
    plain = native.Requests(clients("dashboard"), cluster.broker_endpoint)
    assert {"proxies/p1", "proxies/p2"} <= plain.directory("proxies/").keys()
    answer = plain.ask(pack(DRAIN, 7, "p2"))
    assert isinstance(answer, Refusal) and (answer.request, answer.fault) == (7, "forbidden")
    assert forbidden(cluster, "broker") == 1
    before = cluster.expect_end("p2")
    admin = native.Requests(clients("ops"), cluster.broker_endpoint)
    assert admin.ask(pack(DRAIN, 8, "p2")) == Drained(8)
    eventually(lambda: not before.alive(), "p2 ends")
    plain.close()
    admin.close()


def test_connections_are_an_admins(cluster, clients, ops):
    plain = native.Requests(clients("dashboard"), cluster.native("p1"))
    admin = native.Requests(clients("ops"), cluster.native("p1"))
    with forbidding(cluster, 2):
        assert plain.clients().fault == "forbidden"
        assert plain.ask(pack(native.KICK, 7, 1)).fault == "forbidden"
    names = {each.name for each in admin.clients()}
    assert {"dashboard", "ops"} <= names, "with security the names of their keys"
    plain.close()
    admin.close()


def test_no_secret_is_ever_shown(cluster, keys):
    text = cluster.log.read_text() + "".join(cluster.metrics(each).text for each in cluster.names)
    for name in NAMES:
        assert keys.pair(name)[1].decode() not in text


# -- native --------------------------------------------------------------------------------------


def test_native_requests(cluster, clients, ops):
    ops.put(b"/results/eu/1", b"a")
    ops.put(b"/other/1", b"b")
    mine = native.Requests(clients("dashboard"), cluster.native("p1"), b"d" * 16)
    eventually(lambda: mine.get(b"/results/eu/1"), "what may be read is read")
    assert [entry.value for chunk in mine.read(b"/results/eu/") for entry in chunk.entries] == [b"a"]
    subtrees = (b"", b"/", b"/other/", b"/other/1", b"/results")
    with forbidding(cluster, 2 * len(subtrees)):
        for received in (read(each) for each in subtrees for read in (mine.read, mine.catch_up)):
            assert isinstance(received, Refusal) and received.fault == "forbidden", received
    with forbidding(cluster, 1):
        answer = mine.ask(pack(GET, 99, "/other/1"))
        assert (answer.request, answer.fault, answer.of) == (99, "forbidden", GET)
    with forbidding(cluster, 1):  # read, not write
        answer = mine.write(1, write(b"/results/eu/1", b"x"))
        assert isinstance(answer, Refusal) and answer.fault == "forbidden"
    mine.close()


def test_native_writes_go_by_the_key_each_of_them(cluster, clients):
    feeder = native.Requests(clients("feeder"), cluster.native("p1"), b"f" * 16)
    ask = feeder.write
    assert isinstance(ask(1, write(b"/results/eu/7", b"1")), Written)
    with forbidding(cluster, 3):
        assert ask(2, write(b"/results/us/7", b"1")).fault == "forbidden"
        assert ask(3, write(b"/results/eu/8", b"1"), write(b"/results/us/8", b"1")).fault == "forbidden"
        assert ask(4, write(b"/results/us/7", None)).fault == "forbidden"
    eventually(lambda: feeder.get(b"/results/eu/7"), "what was allowed is there")
    assert feeder.get(b"/results/eu/8") is None, "of a refused batch nothing is applied"
    feeder.close()


def test_native_watches(cluster, clients, clones_of, ops):
    """One connection whose forbidden watches are refused gets what it may, and nothing else."""
    allowed = clones_of("dashboard").add(
        Watcher(clients("dashboard"), [cluster.native("p1")], b"/results/")
    )
    clones_of("dashboard").run(lambda: allowed.active, "it may watch")
    spy = native.Requests(clients("dashboard"), cluster.native("p1"))
    prefixes = [each for each in FORBIDDEN_PREFIXES if each != b"/results-2/"]
    with forbidding(cluster, len(prefixes)):
        for number, prefix in enumerate(prefixes, 1):
            answer = spy.ask(pack(WATCH, number, prefix.decode(), 0, 0, {}))
            assert (answer.request, answer.fault, answer.of) == (number, "forbidden", WATCH)
    expected = dict(allowed.map)
    for i in range(300):
        ops.put(b"/results/s/%d" % i, b"%d" % i)
        expected[b"/results/s/%d" % i] = b"%d" % i
        ops.put(b"/other/%d" % i, b"secret")
    clones_of("dashboard").agree(expected, [allowed])
    check_promises(allowed)
    assert not allowed.gaps and not allowed.losses
    assert spy.ask(pack(PING, 99)) == native.Pong(99), "nothing came before"
    spy.close()


# -- reload --------------------------------------------------------------------------------------


def rewrite(cluster, keys, **changed):
    document = yaml.safe_load(cluster.file.read_text())
    document["security"] = settings(keys, **changed)
    cluster.file.write_text(yaml.safe_dump(document, sort_keys=False))
    cluster.signal("broker", signal.SIGHUP)
    eventually(
        lambda: all(
            cluster.metrics(each).sum("canopy_reloads_total", result="applied") > 0
            for each in ("broker", "p1", "p2")
        ),
        "the permissions are taken on",
    )


@pytest.mark.parametrize("change", [None, {"read": ["/results/"]}], ids=["revoked", "narrowed"])
def test_a_reload_ends_what_is_no_longer_granted(start_cluster, keys, clients, clones_of, change):
    cluster = start_cluster(*parts(), security=settings(keys))
    ops = native.Writer(clients("ops"), cluster.native("p1"))
    ops.put(b"/other/1", b"before")
    endpoint = cluster.native("p1")
    mine = native.Requests(clients("temp"), endpoint)
    stream = native.Requests(clients("temp"), endpoint)
    stream.send(WATCH, 1, "/other/", 0, 0, {})
    while not isinstance(stream.answer(20), native.CaughtUp):
        pass
    clone = make_socket(clients("temp"), zmq.SUB, cluster.triple("p1", "kvsimple")[1])
    clone.subscribe(b"/other/")
    eventually(lambda: ops.put(b"/other/1", b"before") and clone.poll(50), "so is the Clone one")
    eventually(lambda: mine.get(b"/other/1"), "and may be read")
    bystander = clones_of("dashboard").add(Watcher(clients("dashboard"), [endpoint], b"/results/"))
    clones_of("dashboard").run(lambda: bystander.active, "a bystander watches")

    before = refused(cluster, "p1", "unknown_key")
    rewrite(cluster, keys, temp=change)
    ops.put(b"/other/1", b"after")
    ops.put(b"/results/1", b"1")
    clones_of("dashboard").run(lambda: bystander.map.get(b"/results/1") == b"1", "it goes on")
    for spy in (stream.socket, clone):
        while spy.poll(0):
            assert b"after" not in b"".join(spy.recv_multipart())
    if change:
        mine.close()
        mine = native.Requests(clients("temp"), endpoint)
        answer = mine.read(b"/other/")
        assert isinstance(answer, Refusal) and answer.fault == "forbidden"
        assert mine.read(b"/results/"), "the rest stays"
    else:
        eventually(lambda: refused(cluster, "p1", "unknown_key") > before, "it is refused")
    assert bystander.losses == 0 and not bystander.gaps
    for each in (stream, clone, mine, ops):
        each.close()


@pytest.mark.parametrize(
    "asked, complaint",
    [({"max_clients": 500_000}, "RLIMIT_NOFILE"), ({"nofile": 2048}, "takes a restart")],
    ids=["a proxy refuses", "the broker refuses"],
)
def test_a_revocation_does_not_wait_for_the_rest_of_the_file(
    start_cluster, keys, clients, asked, complaint
):
    cluster = start_cluster(*parts(), security=settings(keys))
    ops = native.Writer(clients("ops"), cluster.native("p1"))
    ops.put(b"/other/1", b"before")
    mine = native.Requests(clients("temp"), cluster.native("p1"), reconnect_ivl=50)
    eventually(lambda: mine.get(b"/other/1"), "temp reads")
    before = refused(cluster, "p1", "unknown_key")
    document = yaml.safe_load(cluster.file.read_text())
    document["security"] = settings(keys, temp=None)
    document["proxies"][0].update(asked)
    cluster.file.write_text(yaml.safe_dump(document, sort_keys=False))
    broker = native.Requests(clients("ops"), cluster.broker_endpoint)
    reported = broker.ask(pack(native.RELOAD, 1))
    assert isinstance(reported, Refusal) and complaint in reported.text, reported
    assert "p2: " not in reported.text
    # What the answer says is in force already.
    mine.send(LIST, 77, "/other/", 0)
    assert not mine.socket.poll(500) or isinstance(mine.answer(), Refusal)
    eventually(lambda: refused(cluster, "p1", "unknown_key") > before, "temp is kept out")
    for each in (mine, ops, broker):
        each.close()
