"""Raw garbage on every TCP port, and nonsense to the cluster's own sockets."""

import itertools
import random

import pytest
import zmq

from tests.harness import hostile, procfs, scrape
from tests.harness.clone import make_socket
from tests.harness.clusterfile import DIALECTS, proxy, shard
from tests.harness.promises import WriteLoad, check_unbroken
from tests.harness.waiting import SLOW
from tests.harness.zmtp import port_of


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", "/results/"), shard("rest", "*")], [proxy("p1"), proxy("p2")]
    )


numbers = itertools.count()


def every_port(cluster):
    """what -> port, of all that any process listens on."""
    found = {"broker": port_of(cluster.layout.broker["listen"])}
    for name in cluster.names + ["broker"]:
        found[f"http of {name}"] = port_of(cluster.http(name))
    for name in ("s1", "rest"):
        member = cluster.member(name)
        found[f"requests of {name}"] = port_of(member["requests"])
        found[f"updates of {name}"] = port_of(member["updates"])
    found["native"] = port_of(cluster.native("p1"))
    for dialect in DIALECTS:
        for i, endpoint in enumerate(cluster.triple("p1", dialect)):
            found[f"{dialect} +{i}"] = port_of(endpoint)
    return found


@pytest.fixture
def bystander(cluster, clones):
    before = {name: cluster.process(name) for name in cluster.names + ["broker"]}
    writer = clones.writer("kvmsg", cluster.triple("p2", "kvmsg"))
    key = b"/results/bystander/%d" % next(numbers)
    client = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), key)
    with clones.background(), WriteLoad(writer, [key], rate=100) as load:
        yield client
    clones.agree(load.map, [client])
    check_unbroken(client)
    assert {name: cluster.process(name) for name in before} == before, "a process was replaced"
    for name, process in before.items():
        assert procfs.cpu_share(process.pid, 0.5) < 0.1 * SLOW, f"{name} spins"


def closings(cluster, name):
    """How many connections it has closed, by reason."""
    samples = cluster.metrics(name).select("canopy_connections_closed_total")
    return {labels["reason"]: value for labels, value in samples}


def test_garbage_on_every_port(cluster, bystander):
    noise = random.Random(2015)
    before = {name: closings(cluster, name) for name in cluster.names + ["broker"]}
    for what, port in every_port(cluster).items():
        for kind, data in hostile.garbage(noise):
            try:
                hostile.throw(port, data)
            except OSError as error:
                raise AssertionError(f"{what} no longer accepts, before {kind}: {error}") from None
    # Six kinds of noise, at the least, are no handshake to any port. Those after a greeting come from a
    # DEALER: it is two frames too large for a ROUTER.
    ports = {"p1": (10, 4), "s1": (2, 1), "rest": (2, 1), "broker": (1, 1)}
    for name, (listening, routers) in ports.items():
        counted = {
            reason: value - before[name].get(reason, 0)
            for reason, value in closings(cluster, name).items()
        }
        assert counted["handshake"] >= 6 * listening, name
        assert counted["frame_too_large"] >= 2 * routers, name
        assert counted["too_many_parts"] >= routers, name
    for name in cluster.names + ["broker"]:
        assert scrape.get(cluster.http(name), "/livez")[0] == 200
        assert scrape.get(cluster.http(name), "/nothing-here")[0] == 404
        assert scrape.get(cluster.http(name), "/../../etc/passwd")[0] in (400, 404)


def announce_a_newcomer(cluster):
    """A newcomer, on sockets of its own, gets its snapshot."""
    context = zmq.Context()
    try:
        dealer = make_socket(context, zmq.DEALER, cluster.triple("p1", "kvmsg")[0])
        dealer.send_multipart([b"ICANHAZ?", b"/results/none/"])
        assert dealer.poll(10_000), "newcomers are served"
        assert dealer.recv_multipart()[0] == b"KTHXBAI"
    finally:
        context.destroy(linger=0)


def test_nonsense_to_the_clusters_own_sockets(cluster, context, bystander):
    """The directory, and a shard's requests and updates: any client could reach them."""
    noise = random.Random(12)
    member = cluster.member("s1")
    words = [b"announce", b"register", b"watch", b"compare_and_set", b"put", b"snapshot", b"replay"]
    shapes = [b"", b"\x00", b"{}", b"[]", b"null", b'{"key":', b"\xc1", b"\x90"]
    shapes += [kind + b"\x7f\xff\xff\xff" for kind in (b"\xdf", b"\xdd", b"\xc6", b"\xdb")]
    shapes += [b"\x91" * 100_000, b"[" * 100_000]
    for endpoint in (cluster.layout.broker["listen"], member["requests"]):
        for kind in (zmq.DEALER, zmq.REQ, zmq.ROUTER):
            dealer = make_socket(context, kind, endpoint, sndtimeo=2000)
            if kind == zmq.ROUTER:
                continue  # it may connect; it has nobody to name
            for shape in shapes + words:
                if kind == zmq.REQ:
                    dealer.send(shape)
                    break
                for count in (1, 2, 3, 5, 20):
                    dealer.send_multipart([shape] * count)
            for _ in range(300 if kind == zmq.DEALER else 0):
                count = noise.randint(1, 6)
                dealer.send_multipart([noise.randbytes(noise.randint(0, 60)) for _ in range(count)])
    xsub = make_socket(context, zmq.XSUB, member["updates"])
    for frames in ([b""], [b"\x02x"], [b"other", b"x"], [b"\x01" + b"t" * 100_000]):
        xsub.send_multipart(frames)
    announce_a_newcomer(cluster)
    for name in cluster.names + ["broker"]:
        assert scrape.get(cluster.http(name), "/livez")[0] == 200
        assert scrape.get(cluster.http(name), "/readyz")[0] == 200
