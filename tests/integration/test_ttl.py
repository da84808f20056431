"""Model 5 and 12/CHP: keys that live for some seconds. Only the shard lets them expire, and
publishes it as a delete."""

import time

import pytest

from clusterfile import partition, proxy, shard
from waiting import remains, seconds


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", partition("/disk/", durability="disk"), "*")], [proxy("p1"), proxy("p2")]
    )


@pytest.mark.parametrize("dialect", ["kvmsg", "chp"])
@pytest.mark.parametrize("place", [b"/disk/", b"/memory/"])
def test_expiry_is_a_delete_for_everyone(cluster, flock, dialect, place):
    place += b"expiry-" + dialect.encode() + b"/"
    here = flock.join(dialect, cluster.triple("p1", dialect), place)
    there = flock.join(dialect, cluster.triple("p2", dialect), place)
    simple = flock.join("kvsimple", cluster.triple("p2", "kvsimple"), place)
    start = time.monotonic()
    here.put(place + b"short", b"v", ttl=1)
    here.put(place + b"lasting", b"v")
    both = {place + b"short": b"v", place + b"lasting": b"v"}
    flock.agree(both)
    flock.agree({place + b"lasting": b"v"})
    assert 0.9 <= time.monotonic() - start <= 1 + seconds(2)
    for client in (here, there, simple):
        last = client.live[-1]
        assert (last.key, last.value) == (place + b"short", b""), "expiry comes as a delete"
    late = flock.join(dialect, cluster.triple("p1", dialect), place)
    assert late.map == {place + b"lasting": b"v"}, "late joiners do not see it"


def test_a_new_value_replaces_the_expiry(cluster, flock):
    place = b"/memory/renewed/"
    client = flock.join("kvmsg", cluster.triple("p1", "kvmsg"), place)
    client.put(place + b"kept", b"1", ttl=1)
    client.put(place + b"kept", b"2")
    client.put(place + b"renewed", b"1", ttl=1)
    client.put(place + b"renewed", b"2", ttl=60)
    client.put(place + b"gone", b"1")
    client.put(place + b"gone", b"2", ttl=1)
    stays = {place + b"kept": b"2", place + b"renewed": b"2"}
    flock.agree({**stays, place + b"gone": b"2"})
    flock.agree(stays)
    remains(lambda: client.map == stays, "the renewed keys stay", 1.5, flock.turn)


def test_expiry_goes_on_after_a_restart_of_the_shard(cluster, flock):
    place = b"/disk/restart/"
    client = flock.join("kvmsg", cluster.triple("p1", "kvmsg"), place)
    client.put(place + b"short", b"v", ttl=2)
    client.put(place + b"long", b"v", ttl=600)
    client.put(place + b"lasting", b"v")
    flock.run(lambda: len(client.map) == 3, "all three are there")
    before = cluster.kill("s1")
    flock.run(lambda: cluster.restarted("s1", before), "the shard is back")
    flock.agree({place + b"long": b"v", place + b"lasting": b"v"}, [client])
    late = flock.join("kvmsg", cluster.triple("p2", "kvmsg"), place)
    assert late.map == client.map


@pytest.mark.parametrize(
    "properties", [b"ttl=\n", b"ttl=soon\n", b"ttl=-1\n", b"ttl=0\n", b"ttl=99999999999999999999\n"]
)
def test_an_odd_ttl_harms_nobody(cluster, flock, properties):
    """Refused or taken as no ttl at all: never a crash, never an early expiry."""
    place = b"/memory/odd/%d/" % hash(properties)
    client = flock.join("kvmsg", cluster.triple("p1", "kvmsg"), place)
    client.put(place + b"odd", b"v", properties=properties)
    client.put(place + b"good", b"v")
    flock.run(lambda: place + b"good" in client.map, "what follows arrives")
    if place + b"odd" in client.map:
        remains(lambda: place + b"odd" in client.map, "it does not expire", 1.2, flock.turn)
