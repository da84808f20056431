"""Clone clients as they are in other languages: no update is lost for its metadata. And what an
empty value is to them: no entry."""

import contextlib
import itertools
import time

import pytest
import zmq

from tests.harness import guide_peers
from tests.harness.clone import encode, make_socket
from tests.harness.clusterfile import DIALECTS, partition, proxy, shard
from tests.harness.native import Requests, Writer

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", partition("/disk/", durability="disk"), "*")], [proxy("p1"), proxy("p2")]
    )


@pytest.fixture
def place():
    return "/memory/peers-%d/" % next(numbers)


@pytest.mark.parametrize("dialect", ["kvmsg", "chp"])
def test_writes_of_every_language_count(cluster, clones, place, dialect):
    watcher = clones.join(dialect, cluster.triple("p2", dialect), place.encode())
    writer = clones.writer(dialect, cluster.triple("p1", dialect))
    writes = guide_peers.kvmsg_writes()
    for language, (sequence, uuid, properties) in writes.items():
        writer.send([place.encode() + language.encode(), sequence, uuid, properties, b"v"])
    clones.agree({place.encode() + language.encode(): b"v" for language in writes}, [watcher])
    received = {update.key.decode().removeprefix(place): update for update in watcher.live}
    for language, (_, _, properties) in writes.items():
        assert received[language].properties == properties


def test_short_sequences_of_kvsimple_count(cluster, clones, place):
    watcher = clones.join("kvsimple", cluster.triple("p2", "kvsimple"), place.encode())
    writer = clones.writer("kvsimple", cluster.triple("p1", "kvsimple"))
    writer.send([place.encode() + b"k", b"\0\0\0\1", b"v"])
    clones.agree({place.encode() + b"k": b"v"}, [watcher])


def test_the_uuid_comes_to_others_as_it_was_sent(cluster, clones, context, place):
    subscriber = make_socket(context, zmq.SUB, cluster.triple("p2", "kvmsg")[1])
    subscriber.subscribe(place.encode())
    probe = clones.writer("kvmsg", cluster.triple("p1", "kvmsg"))
    for _, uuid, _ in guide_peers.kvmsg_writes().values():
        frames = []

        def arrives():
            probe.send(encode("kvmsg", place.encode() + b"k", b"v", identity=uuid))
            if subscriber.poll(100):
                frames[:] = subscriber.recv_multipart()
            return frames and frames[2] == uuid

        clones.run(arrives, f"{uuid} arrives")


# -- JeroMQ --------------------------------------------------------------------------------------


@pytest.fixture
def java():
    """java(dialect, subtree, triples) -> a JavaClient"""
    if guide_peers.missing():
        pytest.skip(guide_peers.missing())
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            made = guide_peers.JavaClient(*arguments)
            stack.callback(made.close)
            return made

        yield start


@pytest.mark.parametrize("dialect", ["kvmsg", "chp"])
def test_a_jeromq_client_reads_and_writes(cluster, clones, java, place, dialect):
    here = clones.join(dialect, cluster.triple("p1", dialect), place.encode())
    here.put(place.encode() + b"early", b"from python")
    clones.run(lambda: here.map, "the first update is there")
    triples = [cluster.triple(name, dialect) for name in ("p1", "p2")]
    client = java(dialect, place, triples if dialect == "chp" else triples[:1])
    clones.run(lambda: client.active, "the Java client has its snapshot", 30)
    assert client.map == {place + "early": "from python"}
    again = itertools.count()
    last = [0.0]

    def repeat(action):
        # A PUB does not tell when its collector listens, and an old JeroMQ may have to reconnect.
        if time.monotonic() - last[0] > 0.3:
            last[0] = time.monotonic()
            action(next(again))

    def java_is_heard():
        repeat(lambda n: client.put(place + "java", f"from java {n}", ttl="600.000000"))
        return place.encode() + b"java" in here.map

    def python_is_heard():
        repeat(lambda n: here.put(place.encode() + b"python", b"from python %d" % n, ttl=600))
        return place + "python" in client.map

    clones.run(java_is_heard, "an update of the Java client arrives", 20)
    clones.run(python_is_heard, "the Java client hears an update", 20)
    mine = [update for update in here.live if update.key == place.encode() + b"java"]
    assert mine[0].value.startswith(b"from java") and b"ttl=600.000000\n" == mine[0].properties
    values = [update.value for update in mine]
    assert len(values) == len(set(values)), "sent to two servers, applied once"
    assert not here.faults


# -- empty values --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["/memory/", "/disk/"])
def test_an_empty_value_is_no_entry_to_clone_clients(cluster, clones, context, where):
    place = f"{where}empty-{next(numbers)}/".encode()
    clients = [clones.join(each, cluster.triple("p1", each), place) for each in DIALECTS]
    native = Writer(context, cluster.native("p1"))
    reader = Requests(context, cluster.native("p1"))
    for key in (b"full", b"empty"):
        native.put(place + key, b"v")
    clones.agree({place + b"full": b"v", place + b"empty": b"v"}, clients)
    native.put(place + b"empty", b"")
    clones.agree({place + b"full": b"v"}, clients)
    for client in clients:
        assert (client.live[-1].key, client.live[-1].value) == (place + b"empty", b"")
    chunks = reader.read(place)
    held = {entry.key: entry.value for chunk in chunks for entry in chunk.entries}
    assert held == {place + b"full": b"v", place + b"empty": b""}, "to others it is a value"
    native.put(place + b"fleeting", b"", ttl_ms=2000)
    clones.run(lambda: reader.get(place + b"fleeting") is not None, "it is there")
    late = [clones.join(each, cluster.triple("p2", each), place) for each in DIALECTS]
    for client in late:
        assert {update.key for update in client.history} <= {place + b"full", place + b"fleeting"}
        assert client.map == {place + b"full": b"v"} and not client.faults
    clones.run(lambda: reader.get(place + b"fleeting") is None, "it lives for its ttl", 10)
    # A Clone client's deletion deletes it for good.
    clients[1].put(place + b"empty", b"")
    clones.run(lambda: reader.get(place + b"empty") is None, "deleted by a Clone client", 10)
    clones.agree({place + b"full": b"v"}, clients + late)


def test_an_empty_value_survives_a_restart(cluster, clones, context):
    native = Writer(context, cluster.native("p1"))
    reader = Requests(context, cluster.native("p1"))
    revision = native.put(b"/disk/kept-empty", b"")
    before = cluster.kill("s1")
    clones.run(lambda: cluster.restarted("s1", before), "the shard is back", 20)
    cluster.wait_ready()
    entry = reader.get(b"/disk/kept-empty")
    assert (entry.value, entry.revision) == (b"", revision)
    late = clones.join("kvmsg", cluster.triple("p2", "kvmsg"), b"/disk/kept-empty")
    assert late.map == {} and not late.history
