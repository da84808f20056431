"""A cluster with security: who has no key, or the wrong one, is kept out; who has one may do what he
is granted, in every dialect, by every way there is, and nothing else."""

import contextlib
import signal
import socket
import threading
import time

import pytest
import yaml
import zmq

import native
from clone import Writer, make_socket
from clusterfile import DIALECTS, proxy, shard
from flock import Flock
from keyring import Keyring
from native import DIRECTORY, DRAIN, GET, LIST, PING, WATCH, Drained, Refusal, Written, pack, write
from native_watcher import Watcher, check_promises
from promises import check_protocol
from waiting import eventually

pytestmark = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq has no CURVE")

NAMES = ("cluster", "dashboard", "feeder", "ops", "temp")
FORBIDDEN_PREFIXES = (b"", b"/", b"/res", b"/results", b"/other/", b"/results-2/")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return Keyring(tmp_path_factory.mktemp("keys"))


def settings(keys, **changed):
    """The security section; `changed` gives clients other rights, or None."""
    clients = {
        "dashboard": {"read": ["/results/"]},
        "feeder": {"read": ["*"], "write": ["/results/eu/"]},
        "ops": {"read": ["*"], "write": ["*"], "admin": True},
        "temp": {"read": ["/results/", "/other/"]},
    }
    for name, rights in changed.items():
        clients[name] = rights and {**clients[name], **rights}
    section = keys.security(**{name: rights for name, rights in clients.items() if rights})
    for client in section["clients"]:
        if client["name"] == "feeder":  # the key itself, not the file that holds it
            client["public_key"] = keys.pair("feeder")[0].decode()
    return section


def parts():
    return [shard("s1", "/results/"), shard("rest", "*")], [proxy("p1"), proxy("p2", ["native"])]


@pytest.fixture(scope="module")
def cluster(start_shared_cluster, keys):
    return start_shared_cluster(*parts(), security=settings(keys))


@pytest.fixture
def clients(keys):
    """clients(name) -> a context whose sockets are that client's."""
    made = {}

    def context(name, server="cluster"):
        if (name, server) not in made:
            made[name, server] = keys.context(name, server)
        return made[name, server]

    yield context
    for each in made.values():
        each.destroy(linger=0)


@pytest.fixture
def flocks(clients):
    """flocks(name) -> a Flock of that client's."""
    made = {}

    def flock(name):
        return made.setdefault(name, Flock(clients(name)))

    yield flock
    for each in made.values():
        each.close()


@pytest.fixture
def ops(cluster, clients):
    """Who may write everywhere."""
    made = native.Writer(clients("ops"), cluster.native("p1"))
    yield made
    made.close()


def refused(cluster, name, reason):
    metrics = cluster.metrics(name)
    return metrics.sum("canopy_handshakes_refused_total", reason=reason)


def forbidden(cluster, name="p1"):
    return cluster.metrics(name).sum("canopy_rejected_total", reason="forbidden")


@contextlib.contextmanager
def forbidding(cluster, times, name="p1"):
    """What happens inside is forbidden so many times, and counted."""
    before = forbidden(cluster, name)
    yield
    eventually(lambda: forbidden(cluster, name) - before >= times, f"{times} refusals are counted")
    assert forbidden(cluster, name) - before == times


# -- who is let in -------------------------------------------------------------------------------


def listeners(cluster):
    """(process, endpoint) of a listening socket of each program, to which requests are sent."""
    yield "broker", cluster.broker_endpoint
    yield "p1", cluster.native("p1")
    yield "p1", cluster.triple("p1", "kvmsg")[0]
    yield "s1", cluster.member("s1")["requests"]


@pytest.mark.parametrize(
    ("who", "server", "reason"),
    [
        ("stranger", "cluster", "unknown_key"),
        ("ops", "stranger", "wrong_server_key"),
        (None, None, "no_key"),
    ],
)
def test_without_the_right_key_nobody_gets_in(cluster, clients, context, who, server, reason):
    # A peer in the clear sees the mismatch, too, and may hang up before the server has said so.
    reasons = [reason, "incomplete"] if reason == "no_key" else [reason]

    def counted(name):
        return sum(refused(cluster, name, each) for each in reasons)

    for name, endpoint in listeners(cluster):
        before = counted(name)
        mine = clients(who, server) if who else context
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
    """The bytes of a process's hello, by a client of the best standing."""
    before = forbidden(cluster, "broker")
    peer = make_socket(clients("ops"), zmq.DEALER, cluster.broker_endpoint)
    peer.send(b"\x03" + native.msgpack.packb([1, 1, "evil", 0, 0, "", ""]))
    eventually(lambda: forbidden(cluster, "broker") > before, "the hello is refused")
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
        for told in (read(each) for each in subtrees for read in (mine.read, mine.catch_up)):
            assert isinstance(told, Refusal) and told.fault == "forbidden", told
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


def test_native_watches(cluster, clients, flocks, ops):
    """One connection whose forbidden watches are refused gets what it may, and nothing else."""
    allowed = flocks("dashboard").add(
        Watcher(clients("dashboard"), [cluster.native("p1")], b"/results/")
    )
    flocks("dashboard").run(lambda: allowed.active, "it may watch")
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
    flocks("dashboard").agree(expected, [allowed])
    check_promises(allowed)
    assert not allowed.gaps and not allowed.losses
    assert spy.ask(pack(PING, 99)) == native.Pong(99), "nothing came before"
    spy.close()


# -- Clone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_clone_clients_get_what_they_may(cluster, clients, flocks, ops, dialect):
    triple = cluster.triple("p1", dialect)
    place = b"/results/eu/%s/" % dialect.encode()
    reader = flocks("dashboard").join(dialect, triple, place)
    feeder = flocks("feeder").writer(dialect, triple)
    expected = {place + b"%d" % i: b"value %d" % i for i in range(400)}
    for key, value in expected.items():
        feeder.put(key, value)
    flocks("dashboard").agree(expected, [reader])
    late = flocks("dashboard").join(dialect, triple, place)
    assert late.map == expected
    check_protocol(reader, late)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_clone_subscriptions(cluster, clients, flocks, ops, dialect):
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
def test_clone_writes(cluster, clients, flocks, dialect):
    triple = cluster.triple("p1", dialect)
    place = b"/results/us/%s/" % dialect.encode()
    watcher = flocks("ops").join(dialect, triple, b"/results/")
    for name in ("feeder", "dashboard"):
        writer = Writer(clients(name), dialect, triple).wait_live()
        with forbidding(cluster, 2):
            writer.put(place + b"1", b"x")
            writer.delete(b"/results/us/2")
        writer.close()
    feeder = flocks("feeder").writer(dialect, triple)
    feeder.put(b"/results/eu/w-%s" % dialect.encode(), b"y")
    flocks("ops").run(lambda: watcher.map.get(b"/results/eu/w-%s" % dialect.encode()) == b"y", "")
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


# -- mischief ------------------------------------------------------------------------------------


def test_subscribers_that_come_and_go(cluster, clients, flocks, ops):
    """Subscriptions of connections that end at once, in thousands, while others are served."""
    flock = flocks("dashboard")
    watchers = [
        flock.add(Watcher(clients("dashboard"), [cluster.native("p1")], b"/results/")),
        flock.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/results/"),
    ]
    flock.run(lambda: all(each.active for each in watchers), "they watch")
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
        flock.turn(0)
    for each in watchers:
        flock.run(lambda: each.map.get(b"/results/come-and-go") == b"%d" % count, "all came")
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


def test_subscriptions_of_a_connection_that_has_ended(cluster, clients, flocks, ops):
    """All is there at once: thousands of subscriptions, and their end."""
    endpoint = cluster.triple("p1", "kvmsg")[1]
    watcher = flocks("dashboard").join("kvmsg", cluster.triple("p1", "kvmsg"), b"/results/")
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
        flocks("dashboard").run(
            lambda: watcher.map.get(b"/results/ended") == b"%d" % turn, "others are served"
        )
        for each in others:
            assert not each.poll(0), "what another has subscribed to"
            each.close()
    assert cluster.process("p1") == process
    check_protocol(watcher)


def test_a_routing_id_is_not_an_identity(cluster, clients, ops):
    """Who bears the routing id of another, meanwhile and afterwards, gets nothing of what that one
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
def test_a_reload_ends_what_is_no_longer_granted(start_cluster, keys, clients, flocks, change):
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
    bystander = flocks("dashboard").add(Watcher(clients("dashboard"), [endpoint], b"/results/"))
    flocks("dashboard").run(lambda: bystander.active, "a bystander watches")

    before = refused(cluster, "p1", "unknown_key")
    rewrite(cluster, keys, temp=change)
    ops.put(b"/other/1", b"after")
    ops.put(b"/results/1", b"1")
    flocks("dashboard").run(lambda: bystander.map.get(b"/results/1") == b"1", "he goes on")
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
        eventually(lambda: refused(cluster, "p1", "unknown_key") > before, "he is kept out")
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
    said = broker.ask(pack(native.RELOAD, 1))
    assert isinstance(said, Refusal) and complaint in said.text, said
    assert "p2: " not in said.text
    # What the answer says is in force already.
    mine.send(LIST, 77, "/other/", 0)
    assert not mine.socket.poll(500) or isinstance(mine.answer(), Refusal)
    eventually(lambda: refused(cluster, "p1", "unknown_key") > before, "temp is kept out")
    for each in (mine, ops, broker):
        each.close()
