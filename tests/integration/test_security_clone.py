"""A cluster with security: what Clone clients may do, and attempts to get more by the way libzmq works."""

import contextlib
import socket
import threading
import time

import pytest
import zmq

from tests.harness import native
from tests.harness.clone import Writer, make_socket
from tests.harness.clusterfile import DIALECTS
from tests.harness.native import LIST, PING, WATCH, Written, pack, write
from tests.harness.native_watcher import Watcher
from tests.harness.promises import check_protocol
from tests.harness.secured import FORBIDDEN_PREFIXES, forbidding
from tests.harness.secured import clients, cluster, clones_of, keys, ops  # noqa: F401, fixtures
from tests.harness.waiting import eventually

pytestmark = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq has no CURVE")


# -- Clone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_clone_clients_get_what_they_may(cluster, clients, clones_of, ops, dialect):
    triple = cluster.triple("p1", dialect)
    place = b"/results/eu/%s/" % dialect.encode()
    reader = clones_of("dashboard").join(dialect, triple, place)
    feeder = clones_of("feeder").writer(dialect, triple)
    expected = {place + b"%d" % i: b"value %d" % i for i in range(400)}
    for key, value in expected.items():
        feeder.put(key, value)
    clones_of("dashboard").agree(expected, [reader])
    late = clones_of("dashboard").join(dialect, triple, place)
    assert late.map == expected
    check_protocol(reader, late)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_clone_subscriptions(cluster, clients, clones_of, ops, dialect):
    triple = cluster.triple("p1", dialect)
    place = b"/results/sub-%s/" % dialect.encode()
    spies = [make_socket(clients("dashboard"), zmq.SUB, triple[1]) for _ in FORBIDDEN_PREFIXES]
    with forbidding(cluster, len(spies)):
        for spy, prefix in zip(spies, FORBIDDEN_PREFIXES):
            spy.subscribe(prefix)
    allowed = make_socket(clients("dashboard"), zmq.SUB, triple[1], subscribe=place)
    eventually(lambda: ops.put(place + b"x", b"1") and allowed.poll(50), "the allowed one is live")
    for i in range(200):
        ops.put(b"/other/%d" % i, b"secret")
        ops.put(b"/results-2/%d" % i, b"secret")
    ops.put(place + b"last", b"1")
    eventually(lambda: allowed.recv_multipart()[0] == place + b"last", "it gets all")
    for spy, prefix in zip(spies, FORBIDDEN_PREFIXES):
        assert not spy.poll(0), f"{prefix!r} brings something"
        spy.close()
    allowed.close()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_clone_snapshots(cluster, clients, ops, dialect):
    ops.put(b"/other/snap", b"secret")
    spy = make_socket(clients("dashboard"), zmq.DEALER, cluster.triple("p1", dialect)[0])
    with forbidding(cluster, len(FORBIDDEN_PREFIXES) + 1):
        for prefix in FORBIDDEN_PREFIXES:
            spy.send_multipart([b"ICANHAZ?", prefix])
        spy.send_multipart([b"ICANHAZ?"])
    spy.send_multipart([b"ICANHAZ?", b"/results/none/"])
    assert spy.poll(20_000), "what is allowed is answered"
    assert spy.recv_multipart()[0] == b"KTHXBAI"
    assert not spy.poll(100), "and nothing else"
    spy.close()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_clone_writes(cluster, clients, clones_of, dialect):
    triple = cluster.triple("p1", dialect)
    place = b"/results/us/%s/" % dialect.encode()
    watcher = clones_of("ops").join(dialect, triple, b"/results/")
    for name in ("feeder", "dashboard"):
        writer = Writer(clients(name), dialect, triple).wait_live()
        with forbidding(cluster, 2):
            writer.put(place + b"1", b"x")
            writer.delete(b"/results/us/2")
        writer.close()
    feeder = clones_of("feeder").writer(dialect, triple)
    feeder.put(b"/results/eu/w-%s" % dialect.encode(), b"y")
    clones_of("ops").run(lambda: watcher.map.get(b"/results/eu/w-%s" % dialect.encode()) == b"y", "")
    assert not [key for key in watcher.map if key.startswith(place)]
    check_protocol(watcher)


def test_heartbeats_are_everybodys_and_show_no_key(cluster, clients, ops):
    spy = make_socket(clients("dashboard"), zmq.SUB, cluster.triple("p1", "chp")[1])
    spy.subscribe(b"HUGZ")
    assert spy.poll(20_000) and spy.recv_multipart()[0] == b"HUGZ"
    ops.put(b"HUGZ-secret", b"1")
    for _ in range(2):
        assert spy.poll(20_000) and spy.recv_multipart()[0] == b"HUGZ"
    spy.close()
    other = make_socket(clients("dashboard"), zmq.SUB, cluster.triple("p1", "kvmsg")[1])
    with forbidding(cluster, 1):  # where there are no heartbeats it is a prefix like any other
        other.subscribe(b"HUGZ")
    other.close()


# -- hostile ------------------------------------------------------------------------------------


def test_subscribers_that_come_and_go(cluster, clients, clones_of, ops):
    """Subscriptions of connections that end at once, in thousands, while others are served."""
    clones = clones_of("dashboard")
    watchers = [
        clones.add(Watcher(clients("dashboard"), [cluster.native("p1")], b"/results/")),
        clones.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/results/"),
    ]
    clones.run(lambda: all(each.active for each in watchers), "they watch")
    process = cluster.process("p1")
    endpoints = [cluster.native("p1"), cluster.triple("p1", "kvmsg")[1]]
    deadline = time.monotonic() + 4
    count = 0
    while time.monotonic() < deadline:
        for endpoint, kind in zip(endpoints, (zmq.DEALER, zmq.SUB)):
            passing = make_socket(clients("temp"), kind, sndhwm=0)
            monitor = passing.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            passing.connect(endpoint)
            for i in range(1, 301):
                if kind == zmq.SUB:
                    passing.subscribe(b"/other/%d/" % i)
                else:
                    passing.send(pack(WATCH, i, f"/results/{i}/", 0, 0, {}))
            assert monitor.poll(10_000)
            passing.disable_monitor()
            passing.close()
            count += 1
        ops.put(b"/results/come-and-go", b"%d" % count)
        clones.turn(0)
    for each in watchers:
        clones.run(lambda: each.map.get(b"/results/come-and-go") == b"%d" % count, "all came")
    assert cluster.process("p1") == process
    eventually(lambda: cluster.metrics("p1").sum("canopy_streams") <= 2, "all streams are let go of")


def connected(context, kind, endpoint):
    """A socket whose handshake is over."""
    made = make_socket(context, kind, sndhwm=0)
    monitor = made.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    made.connect(endpoint)
    assert monitor.poll(20_000), "no handshake"
    made.disable_monitor()
    monitor.close()
    return made


def test_nobody_is_given_the_subscription_of_another(cluster, clients, ops):
    """libzmq's count of peers, shifted by what is no subscription."""
    endpoint = cluster.triple("p1", "kvmsg")[1]
    spies, victims = [], []
    for i in range(25):
        shift = connected(clients("dashboard"), zmq.XSUB, endpoint)
        victim = connected(clients("ops"), zmq.SUB, endpoint)
        spy = connected(clients("dashboard"), zmq.SUB, endpoint)
        with cluster.stopped("p1"):
            shift.send(b"\x02abc")
            time.sleep(0.01)  # for the order of arrival
            victim.subscribe(b"/other/v%d/" % i)
            time.sleep(0.01)
            spy.subscribe(b"/results/v%d/" % i)
            time.sleep(0.01)
        shift.close()
        victims.append((b"/other/v%d/" % i, victim))
        spies.append((b"/results/v%d/" % i, spy))
    for topic, each in victims + spies:
        eventually(lambda: ops.put(topic + b"x", b"1") and each.poll(50), f"{topic} is served")
    for topic, each in spies + victims:
        while each.poll(0):
            assert each.recv_multipart()[0].startswith(topic), "another's subscription"
        each.close()


def hung_up(endpoint):
    """How many peers of this listener have closed their side and were not yet read to the end."""
    port = f":{int(endpoint.rsplit(':', 1)[1]):04X}"
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return sum(row[1].endswith(port) and row[3] == "08" for row in rows)


def test_subscriptions_of_a_connection_that_has_ended(cluster, clients, clones_of, ops):
    """All is there at once: thousands of subscriptions, and their end."""
    endpoint = cluster.triple("p1", "kvmsg")[1]
    watcher = clones_of("dashboard").join("kvmsg", cluster.triple("p1", "kvmsg"), b"/results/")
    process = cluster.process("p1")
    for turn in range(3):
        passing = [connected(clients("temp"), zmq.SUB, endpoint) for _ in range(40)]
        with cluster.stopped("p1"):
            for each in passing:
                for i in range(250):
                    each.subscribe(b"/other/%d/" % i)
                each.close(linger=20_000)
            eventually(lambda: hung_up(endpoint) >= len(passing) // 2, "most have hung up")
        others = [connected(clients("temp"), zmq.SUB, endpoint) for _ in range(20)]
        for each in others:
            each.subscribe(b"/nothing/")
        for i in range(0, 250, 5):
            ops.put(b"/other/%d/x" % i, b"1")
        ops.put(b"/results/ended", b"%d" % turn)
        clones_of("dashboard").run(
            lambda: watcher.map.get(b"/results/ended") == b"%d" % turn, "others are served"
        )
        for each in others:
            assert not each.poll(0), "what another has subscribed to"
            each.close()
    assert cluster.process("p1") == process
    check_protocol(watcher)


def test_a_routing_id_is_not_an_identity(cluster, clients, ops):
    """A connection with the routing id of another, meanwhile and afterwards, gets nothing of what that one
    asked for."""
    for i in range(40):
        ops.put(b"/other/big/%d" % i, b"s" * 100_000)
    endpoint, options = cluster.native("p1"), {"routing_id": b"shared", "rcvhwm": 1, "rcvbuf": 4096}
    victim = native.Requests(clients("ops"), endpoint, **options)
    eventually(lambda: victim.get(b"/other/big/39"), "it is all there")
    thief = native.Requests(clients("dashboard"), endpoint, routing_id=b"shared")
    assert isinstance(thief.read(b"/results/"), list), "it is served as well"
    victim.send(LIST, 77, "/other/big/", 0)
    assert victim.answer().more != native.LAST, "and there is more to come"
    assert thief.ask(pack(PING, 5)) == native.Pong(5)
    victim.close()
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        assert thief.ask(pack(PING, 6)) == native.Pong(6)
    thief.close()


def test_an_eavesdropper_sees_no_key_and_no_value(cluster, clients, ops):
    requests = cluster.native("p1")
    heard, listening = [], socket.create_server(("127.0.0.1", 0))
    port = int(requests.rsplit(":", 1)[1])

    def pass_on(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                heard.append(data)
                sink.sendall(data)

    def relay():
        inner, _ = listening.accept()
        outer = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=pass_on, args=(inner, outer), daemon=True).start()
        pass_on(outer, inner)

    threading.Thread(target=relay, daemon=True).start()
    relayed = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
    writer = native.Requests(clients("ops"), relayed, b"e" * 16)
    answer = writer.write(1, write(b"/other/quiet", b"the value of it"))
    assert isinstance(answer, Written)
    eventually(lambda: writer.get(b"/other/quiet"), "it is there")
    writer.close()
    listening.close()
    captured = b"".join(heard)
    assert len(captured) > 500
    assert b"quiet" not in captured and b"the value" not in captured
