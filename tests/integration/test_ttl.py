"""Model 5 and 12/CHP: keys that live for some seconds. Only the shard lets them expire, and
publishes it as a delete."""

import time

import pytest

from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.waiting import remains, seconds


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", partition("/disk/", durability="disk"), "*")], [proxy("p1"), proxy("p2")]
    )


@pytest.mark.parametrize("dialect", ["kvmsg", "chp"])
@pytest.mark.parametrize("place", [b"/disk/", b"/memory/"])
def test_expiry_is_a_delete_for_everyone(cluster, clones, dialect, place):
    place += b"expiry-" + dialect.encode() + b"/"
    here = clones.join(dialect, cluster.triple("p1", dialect), place)
    there = clones.join(dialect, cluster.triple("p2", dialect), place)
    simple = clones.join("kvsimple", cluster.triple("p2", "kvsimple"), place)
    start = time.monotonic()
    here.put(place + b"short", b"v", ttl=1)
    here.put(place + b"lasting", b"v")
    both = {place + b"short": b"v", place + b"lasting": b"v"}
    clones.agree(both)
    clones.agree({place + b"lasting": b"v"})
    assert 0.9 <= time.monotonic() - start <= 1 + seconds(2)
    for client in (here, there, simple):
        last = client.live[-1]
        assert (last.key, last.value) == (place + b"short", b""), "expiry comes as a delete"
    late = clones.join(dialect, cluster.triple("p1", dialect), place)
    assert late.map == {place + b"lasting": b"v"}, "late joiners do not see it"


def test_a_new_value_replaces_the_expiry(cluster, clones):
    place = b"/memory/renewed/"
    client = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), place)
    client.put(place + b"kept", b"1", ttl=1)
    client.put(place + b"kept", b"2")
    client.put(place + b"renewed", b"1", ttl=1)
    client.put(place + b"renewed", b"2", ttl=60)
    client.put(place + b"gone", b"1")
    client.put(place + b"gone", b"2", ttl=1)
    stays = {place + b"kept": b"2", place + b"renewed": b"2"}
    clones.agree({**stays, place + b"gone": b"2"})
    clones.agree(stays)
    remains(lambda: client.map == stays, "the renewed keys stay", 1.5, clones.turn)


def test_expiry_goes_on_after_a_restart_of_the_shard(cluster, clones):
    place = b"/disk/restart/"
    client = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), place)
    client.put(place + b"short", b"v", ttl=2)
    client.put(place + b"long", b"v", ttl=600)
    client.put(place + b"lasting", b"v")
    clones.run(lambda: len(client.map) == 3, "all three are there")
    before = cluster.kill("s1")
    clones.run(lambda: cluster.restarted("s1", before), "the shard is back")
    clones.agree({place + b"long": b"v", place + b"lasting": b"v"}, [client])
    late = clones.join("kvmsg", cluster.triple("p2", "kvmsg"), place)
    assert late.map == client.map


def test_a_ttl_is_read_as_the_guides_servers_read_it(cluster, clones):
    """C's atoi, Python's float. What neither reads as a duration is none, and costs no update."""
    place = b"/memory/odd/"
    client = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), place)
    short = [b"1", b"1.0", b"0.500000", b" 1", b"+1", b"1s", b"\t01 "]
    lasting = [b"", b"soon", b"-1", b"0", b"0.000000", b"nan", b"99999999999999999999", b"1e99"]
    lives = {place + b"lives-%d" % i: ttl for i, ttl in enumerate(lasting)}
    for key, ttl in {place + b"short-%d" % i: ttl for i, ttl in enumerate(short)}.items():
        client.put(key, b"v", properties=b"colour=red\nttl=%s\n" % ttl)
    for key, ttl in lives.items():
        client.put(key, b"v", properties=b"ttl=%s\nttl=1\n" % ttl)
    clones.run(lambda: len(client.live) >= len(short) + len(lasting), "each update counts")
    assert {update.key for update in client.live if update.value} >= lives.keys()
    clones.agree({key: b"v" for key in lives}, [client])
    gone = [update.key for update in client.live if not update.value]
    assert sorted(gone) == [place + b"short-%d" % i for i in range(len(short))]
    assert client.live[0].properties == b"colour=red\nttl=1\n", "passed on as they came"
