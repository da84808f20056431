"""Clients behind a real HAProxy, with the PROXY protocol and without: all of one address. Each is
exact, and with the protocol the proxy knows the address of each."""

import itertools
import random
import socket
import time

import pytest

from tests.harness import haproxy
from tests.harness.clone import make_client
from tests.harness.clusterfile import DIALECTS, proxy, shard
from tests.harness.native import Requests
from tests.harness.native_watcher import Watcher, check_promises
from tests.harness.promises import WriteLoad, check_unbroken
from tests.harness.waiting import DURATION, SLOW, eventually, seconds
from tests.harness.zmtp import BareSocket, port_of

pytestmark = pytest.mark.skipif(not haproxy.find(), reason="no HAProxy: apt-get install haproxy")

CLIENTS = 300
STAY = 60  # at once
PLACES = (b"/results/", b"/other/")
numbers = itertools.count(1)


def endpoints(cluster, name):
    triples = [cluster.triple(name, dialect) for dialect in DIALECTS]
    return [endpoint for triple in triples for endpoint in triple] + [cluster.native(name)]


@pytest.fixture(params=["send-proxy-v2", "send-proxy", ""], ids=["v2", "v1", "plain"])
def site(request, start_cluster, ports, tmp_path):
    """(cluster, balancer, whether it says for whom it connects); p2 is reached directly."""
    reported = bool(request.param)
    cluster = start_cluster(
        [shard("s1", "/results/"), shard("rest", "*")],
        [proxy("p1", proxy_protocol=reported), proxy("p2")],
    )
    balancer = haproxy.Balancer(tmp_path, ports, endpoints(cluster, "p1"), cluster.http("p1"), request.param)
    yield cluster, balancer, reported
    balancer.stop()


def join(clones, kind, cluster, balancer, place):
    if kind == "native":
        return clones.add(Watcher(clones.context, [balancer.through(cluster.native("p1"))], place))
    triple = balancer.through(cluster.triple("p1", kind))
    return clones.add(make_client(clones.context, kind, triple, place))


def test_many_clients_behind_one_address(site, clones):
    cluster, balancer, _ = site
    kinds = [*DIALECTS, "native"]
    writers = [clones.writer(each, cluster.triple("p2", each)) for each in DIALECTS]
    writers.append(clones.writer("kvmsg", balancer.through(cluster.triple("p1", "kvmsg"))))
    loads = [
        WriteLoad(writer, [place + b"%d-%d" % (i, k) for place in PLACES for k in range(5)], rate=50)
        for i, writer in enumerate(writers)
    ]
    for each in loads:
        each.start()
    staying, joined = [], 0
    deadline = time.monotonic() + max(DURATION, 1)
    while joined < CLIENTS / SLOW or time.monotonic() < deadline:
        fresh = [
            join(clones, kind, cluster, balancer, random.choice((b"", *PLACES)))
            for kind in kinds
            for _ in range(3)
        ]
        joined += len(fresh)
        clones.run(lambda: all(each.active for each in fresh), "they join", 20)
        staying += fresh
        random.shuffle(staying)
        for each in staying[STAY:]:
            check_one(each)
            clones.leave(each)
        staying = staying[:STAY]
    for each in loads:
        each.stop()
    print(f"{joined} clients")
    expected = {key: value for each in loads for key, value in each.map.items()}
    for each in staying:
        place = each.subtree if isinstance(each, Watcher) else each.prefix
        clones.agree({k: v for k, v in expected.items() if k.startswith(place)}, [each])
        check_one(each)
    closed = cluster.metrics("p1").sum("canopy_connections_closed_total", reason="handshake")
    assert closed <= len(endpoints(cluster, "p1")), "no more than saw whether HAProxy listens"
    for name in ("p1", "p2"):
        assert cluster.metrics(name).sum("canopy_hwm_dropped_updates_total") == 0


def check_one(client):
    if isinstance(client, Watcher):
        check_promises(client)
        assert not client.losses and not client.gaps
    else:
        check_unbroken(client)


def test_addresses(site, context):
    """Two connections of one client per listener are two clients to the proxy, and each has the
    address that it connected from, or the balancer's where that says nothing."""
    cluster, balancer, reported = site
    mine, open_sockets = {}, []
    for frontend in DIALECTS:
        snapshot, updates, collector = balancer.through(cluster.triple("p1", frontend))
        kinds = [
            ("snapshot", snapshot, "DEALER"),
            ("updates", updates, "SUB"),
            ("collector", collector, "PUB" if frontend == "chp" else "PUSH"),
        ]
        for role, endpoint, kind in kinds * 2:
            made = BareSocket(endpoint, kind)
            mine["%s:%d" % made.peer.getsockname()] = f"{frontend} {role}"
            open_sockets.append(made)
    for _ in range(2):
        made = BareSocket(balancer.through(cluster.native("p1")), "DEALER")
        mine["%s:%d" % made.peer.getsockname()] = "native 2"
        open_sockets.append(made)
    requests = Requests(context, balancer.through(cluster.native("p1")))
    shown = [each for each in requests.clients() if each.protocol]
    own = {each.peer: each.protocol for each in shown if each.peer in mine}
    if reported:
        assert own == mine
    else:
        # The balancer may by chance connect from the port of a client.
        assert len(own) < len(mine) / 2 and len(shown) >= len(mine)
        assert all(each.peer.startswith("127.0.0.1:") for each in shown)
    assert len({each.peer for each in shown}) == len(shown)
    for each in open_sockets:
        each.close()
    eventually(lambda: len(requests.clients()) == 1, "they have left")
    requests.close()


def test_a_peer_without_a_header_is_closed_and_counted(site):
    """And one with a header where none is expected."""
    cluster, _, reported = site

    def closed():
        return cluster.metrics("p1").sum("canopy_connections_closed_total", reason="handshake")

    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"
    listed = endpoints(cluster, "p1")
    before = closed()
    for endpoint in listed:
        with socket.create_connection(("127.0.0.1", port_of(endpoint))) as peer:
            peer.settimeout(seconds(10))
            peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03" if reported else header)
            while peer.recv(1000):
                pass
    # Connections of the test before may end as late as now.
    eventually(lambda: closed() >= before + len(listed), "each is counted")
