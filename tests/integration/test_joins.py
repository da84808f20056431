"""One subtree over several partitions, nested and on different shards: sequences strictly increase,
and snapshot and updates join exactly while writers write."""

import os
import socket
import time

import pytest
import zmq

from tests.harness.clone import CloneClient, Recorder, Writer, make_socket
from tests.harness.clusterfile import DIALECTS, partition, proxy, shard
from tests.harness.promises import WriteLoad, check_filtered, check_protocol, check_unbroken
from tests.harness.waiting import SLOW

DURATION = float(os.environ.get("CANOPY_TEST_JOIN_SECONDS", "6"))

SUBTREES = [b"", b"/results/", b"/results/eu/", b"/results/e", b"/other/"]


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [
            shard("results", "/results/"),
            shard("eu", "/results/eu/", partition("/results/us/", durability="disk")),
            shard("rest", "*"),
        ],
        [proxy("p1"), proxy("p2")],
    )


def keys_of(name):
    """Some in each partition, bare ones too."""
    places = [b"/results/", b"/results/eu/", b"/results/us/", b"/other/", b""]
    return [place + name + b"-%d" % i for place in places for i in range(4)]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_snapshot_and_updates_join_exactly(cluster, clones, dialect):
    triples = [cluster.triple(name, dialect) for name in ("p1", "p2")]
    loads = [
        WriteLoad(clones.writer(dialect, triple), keys_of(b"%s-%d" % (dialect.encode(), i)), rate=400)
        for i, triple in enumerate(triples)
    ]
    permanent = [clones.join(dialect, triple) for triple in triples]
    for load in loads:
        load.start()
    joiners, rounds = [], 0
    deadline = time.monotonic() + DURATION * SLOW
    while time.monotonic() < deadline:
        # In the guide's order: connect, subscribe, ask at once. Several at a time, then let them
        # see some updates; a few stay to the end.
        fresh = [
            clones.join(dialect, triples[(rounds + i) % 2], subtree, wait=False)
            for i, subtree in enumerate(SUBTREES)
        ]
        clones.run(lambda: all(each.active for each in fresh), "joiners get their snapshots", 20)
        clones.run(lambda: all(len(each.live) >= 20 for each in fresh), "and then updates", 20)
        for each in fresh:
            check_unbroken(each)
            check_filtered(each.prefix, each)
        joiners.extend(fresh)
        for each in joiners[:-20]:
            clones.leave(each)
        joiners = joiners[-20:]
        rounds += 1
    for load in loads:
        load.stop()
    print(f"{rounds} rounds of {len(SUBTREES)} joiners")
    final = {**loads[0].map, **loads[1].map}
    mine = {key.rpartition(b"/")[0] + b"/" for key in final} | {b""}
    assert len(mine) > 1
    for each in permanent + joiners:
        expected = {key: value for key, value in final.items() if key.startswith(each.prefix)}
        clones.run(
            lambda: {k: v for k, v in each.map.items() if k in final} == expected,
            "everybody ends with the exact map",
            20,
        )
    check_unbroken(*permanent, *joiners)


class LateClient(CloneClient):
    """Connects and asks; what it subscribes to is the test's to say."""

    def __init__(self, context, dialect, triple, subtree):
        Recorder.__init__(self, dialect)
        self.prefix, self.active = subtree, False
        self.snapshot = make_socket(context, zmq.DEALER, triple[0])
        self.subscriber = make_socket(context, zmq.SUB, triple[1])
        self.writer = Writer(context, dialect, triple)
        self.snapshot.send_multipart([b"ICANHAZ?", subtree])


@pytest.mark.parametrize("dialect", ["kvsimple", "kvmsg"])
def test_a_late_subscription_joins_exactly(cluster, clones, context, dialect):
    """As over a line of 100 ms: the request comes first, and others of the address come and go."""
    triple = cluster.triple("p1", dialect)
    place = b"/results/late-%s/" % dialect.encode()
    writer = clones.writer(dialect, cluster.triple("p2", dialect))
    ports = [int(endpoint.rsplit(":", 1)[1]) for endpoint in triple[:2]]
    with WriteLoad(writer, [place + b"%d" % i for i in range(20)], rate=500) as load:
        for _ in range(5):
            strangers = [socket.create_connection(("127.0.0.1", port)) for port in ports]
            late = clones.add(LateClient(context, dialect, triple, place))
            clones.run_for(0.2)
            late.subscriber.subscribe(place)
            clones.run(lambda: late.active and len(late.live) > 20, "it joins", 20)
            check_unbroken(late)
            for each in strangers:
                each.close()
    clones.agree(load.map, clones.clients)


def test_one_writer_sees_the_order_it_wrote_across_dialects(cluster, clones):
    """Per partition, all clients see the same updates in the same order."""
    writer = clones.writer("kvmsg", cluster.triple("p1", "kvmsg"))
    place = b"/results/eu/order/"
    clients = [
        clones.join(dialect, cluster.triple(name, dialect), place)
        for dialect in DIALECTS
        for name in ("p1", "p2")
    ]

    def subscribed():
        writer.put(place + b"first", b"0")
        return all(each.live for each in clients)

    clones.run(subscribed, "all subscriptions have arrived")
    for i in range(1, 1001):
        writer.put(place + b"%d" % (i % 7), b"%d" % i)

    def heard(client):
        return [int(update.value) for update in client.live if update.value != b"0"]

    clones.run(lambda: all(len(heard(each)) == 1000 for each in clients), "all updates arrive")
    for each in clients:
        assert heard(each) == list(range(1, 1001))
    check_protocol(*clients)


def test_two_subscriptions_deliver_an_update_once(cluster, clones):
    """A client that subscribes to overlapping prefixes still gets each update once."""
    client = clones.join("kvsimple", cluster.triple("p1", "kvsimple"), b"/results/twice/")
    client.subscriber.subscribe(b"/results/")
    client.subscriber.subscribe(b"")
    writer = clones.writer("kvsimple", cluster.triple("p2", "kvsimple"))
    with WriteLoad(writer, [b"/results/twice/k"], rate=200) as load:
        clones.run(lambda: len(client.live) > 100, "updates arrive")
    # What others have changed a moment ago is told to the wider subscriptions as well.
    own = b"/results/twice/"
    clones.run(
        lambda: {k: v for k, v in client.map.items() if k.startswith(own)} == load.map,
        "all updates arrive",
    )
    client.history = [update for update in client.history if update.key.startswith(own)]
    check_unbroken(client)


def test_many_subtrees_nobody_wrote_to(cluster, clones):
    """An empty subtree has an empty snapshot, in any partition."""
    for dialect in DIALECTS:
        for subtree in (b"/results/empty/", b"/results/eu/empty/", b"/nowhere/", b"nothing"):
            client = clones.join(dialect, cluster.triple("p1", dialect), subtree)
            assert client.map == {} and not client.faults
