"""`canopy split`: a subtree becomes a partition of its own while it is written to and watched."""

import pytest

from tests.harness.replicated import canopy, goes_on
from tests.harness.replicated import writer  # noqa: F401, a fixture
from tests.integration.test_move import COORDINATION, one_of_three

from tests.harness import native_watcher
from tests.harness.clusterfile import proxy, shard
from tests.harness.promises import WriteLoad, Stopwatch, check_protocol
from tests.harness.waiting import SLOW, eventually

from tests.harness import native

SUBTREE = "/r/"
KEYS = 20_000
FRONTENDS = ["native", "kvsimple"]


@pytest.fixture
def start(start_cluster):
    return one_of_three(start_cluster, FRONTENDS)


@pytest.fixture
def start_replicated(start_cluster):
    """/r/ on s1 and s2."""

    def start(durability):
        cluster = start_cluster(
            [{"name": "s1"}, {"name": "s2"}, shard("s3", "*")],
            [proxy("p1", FRONTENDS), proxy("p2", FRONTENDS)],
            partitions=[{"subtree": SUBTREE, "on": ["s1", "s2"], "durability": durability}],
            coordination=COORDINATION,
        )
        eventually(lambda: is_led(cluster, SUBTREE, 2), "both replicas are in sync", 20)
        return cluster

    return start


def fill(writer):
    """Keys of /r/a/, /r/a/x/, /r/b/ and of /r/ itself."""
    places = [b"a/", b"a/x/", b"b/", b""]
    entries = {b"/r/%sold/%d" % (places[i % 4], i): b"%d" % i * 20 for i in range(KEYS)}
    pairs = list(entries.items())
    for at in range(0, KEYS, 500):
        writer.write(*(native.write(key, value) for key, value in pairs[at : at + 500]))
    return entries


def split(cluster, subtree):
    done = canopy(cluster, "split", subtree)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def received_of(cluster, subtree):
    return next((p for p in cluster.topology()["partitions"] if p["subtree"] == subtree), None)


def is_led(cluster, subtree, in_sync=1):
    """The shard that leads it, once so many replicas are in sync."""
    received = received_of(cluster, subtree)
    if received is None or received["state"] != "serving" or len(received["in_sync"]) != in_sync:
        return None
    return received["leader"]


def held(cluster, context, subtree, name="p1"):
    """What a plain read tells."""
    requests = native.Requests(context, cluster.native(name))
    try:
        chunks = requests.read(subtree.encode())
        if isinstance(chunks, native.Refusal):
            raise ConnectionError(chunks.text)
        received = [entry for chunk in chunks for entry in chunk.entries]
        assert len({entry.key for entry in received}) == len(received), "a key is told twice"
        return {entry.key: entry.value for entry in received}
    finally:
        requests.close()


def below(entries, subtree):
    return {key: value for key, value in entries.items() if key.startswith(subtree.encode())}


class Scene:
    """Writers and watchers of a partition that is split."""

    def __init__(self, cluster, writer, context, clones):
        self.cluster, self.context, self.clones = cluster, context, clones
        self.entries = fill(writer(cluster))
        self.slow = [Stopwatch(writer(cluster)) for _ in range(3)]
        places = [b"/r/a/", b"/r/a/x/", b"/r/b/"]
        self.writes = [
            WriteLoad(each, [b"%snew/%d" % (place, i) for i in range(3000)], rate=100)
            for each, place in zip(self.slow, places)
        ]
        clone = clones.writer("kvsimple", cluster.triple("p1", "kvsimple"))
        self.writes.append(WriteLoad(clone, [b"/r/a/clone-%d" % i for i in range(10)], rate=50))
        self.watchers = [
            clones.add(native_watcher.Watcher(context, [cluster.native(at)], subtree, **options))
            for at, subtree, options in [
                ("p2", b"/r/", {}),
                ("p1", b"/r/a/", {}),
                ("p2", b"", {"lz4": True}),
                ("p1", b"/r/", {"latest_ms": 50}),
            ]
        ]
        self.clone_clients = [
            clones.join("kvsimple", cluster.triple("p2", "kvsimple"), subtree)
            for subtree in (b"/r/", b"/r/a/x/")
        ]
        clones.run(lambda: all(each.active for each in self.watchers), "all watch")

    def __enter__(self):
        for each in self.writes:
            each.start()
        return self

    def __exit__(self, *_):
        for each in self.writes:
            each.stop()

    def go_on(self, what):
        for each in self.writes[:3]:
            before = len(each.map)
            eventually(lambda: len(each.map) > before + 50, f"writes go on {what}", 30)

    def expected(self):
        whole = dict(self.entries)
        for each in self.writes:
            whole.update(each.map)
        return whole

    def check(self, restarted=False):
        """After all writes: the exact maps; no watcher saw a deletion or an older value."""
        whole = self.expected()
        for watcher in self.watchers:
            wanted = below(whole, watcher.subtree.decode())
            self.clones.run(lambda: watcher.map == wanted, f"{watcher.subtree} is complete", 30)
            deleted = [received.key for received in watcher.history if received.value is None]
            assert not deleted, f"{len(deleted)} keys of {watcher.subtree} were deleted"
        native_watcher.check_promises(*self.watchers)
        for clone, subtree in zip(self.clone_clients, (b"/r/", b"/r/a/x/")):
            wanted = below(whole, subtree.decode())
            self.clones.agree(wanted, [clone], 30)
            assert not [update for update in clone.history if not update.value]
        if not restarted:
            check_protocol(*self.clone_clients)
        for name in ("p1", "p2"):
            for subtree in ("/r/", "/r/a/", "/r/a/x/", "/r/b/"):
                assert held(self.cluster, self.context, subtree, name) == below(whole, subtree)


@pytest.mark.parametrize("durability", ["memory", "disk"])
def test_a_partition_is_split_under_load(start, writer, context, clones, durability):
    cluster = start(durability)
    scene = Scene(cluster, writer, context, clones)
    with clones.background():
        with scene:
            scene.go_on("before the split")
            for each in scene.slow:
                each.longest = 0
            split(cluster, "/r/a/")
            eventually(lambda: is_led(cluster, "/r/a/") == "s1", "/r/a/ is led", 20)
            scene.go_on("after the split")
            split(cluster, "/r/a/x/")
            eventually(lambda: is_led(cluster, "/r/a/x/") == "s1", "/r/a/x/ is led", 20)
            scene.go_on("after the second split")
            longest = max(each.longest for each in scene.slow)
            print(f"{durability}: longest write {longest * 1000:.0f} ms")
            moved = canopy(cluster, "move", "/r/a/", "s2")
            assert moved.returncode == 0, moved
            eventually(lambda: is_led(cluster, "/r/a/") == "s2", "/r/a/ has moved", 30)
            eventually(lambda: not cluster.partition("s1", "/r/a/"), "s1 keeps no copy", 20)
            scene.go_on("after the move")
            split(cluster, "/r/b/")
            eventually(lambda: is_led(cluster, "/r/b/") == "s1", "/r/b/ is led", 20)
            scene.go_on("after the third split")
        eventually(lambda: canopy(cluster, "status").returncode == 0, "all is well", 20)
    scene.check()
    assert longest < 3 * SLOW, "no write waits long for a split"
    assert "partition split partition=* " not in cluster.log.read_text(), "/r/ was split, not the root"


@pytest.mark.parametrize("durability", ["memory", "disk"])
def test_a_split_survives_a_killed_leader(start_replicated, writer, context, clones, durability):
    cluster = start_replicated(durability)
    scene = Scene(cluster, writer, context, clones)
    with clones.background():
        with scene:
            for subtree in ("/r/a/", "/r/a/x/"):
                scene.go_on(f"before {subtree} is split off")
                leader = is_led(cluster, SUBTREE, 2)
                split(cluster, subtree)
                killed = cluster.kill(leader)
                # By its peer; or by both again, where the killed one is back at once.
                led = lambda: is_led(cluster, subtree) or is_led(cluster, subtree, 2)
                eventually(led, f"{subtree} is led", 30)
                scene.go_on("without the killed one")
                eventually(lambda: cluster.restarted(leader, killed), "it is back", 20)
                for each in (SUBTREE, subtree):
                    eventually(lambda: is_led(cluster, each, 2), f"{each} is in sync", 30)
        eventually(lambda: canopy(cluster, "status").returncode == 0, "all is well", 30)
    scene.check()


def test_the_directory_keeps_what_was_split(start_replicated, writer, context):
    cluster = start_replicated("disk")
    entries = fill(writer(cluster))
    split(cluster, "/r/a/x/")
    eventually(lambda: is_led(cluster, "/r/a/x/", 2), "it is led", 20)
    split(cluster, "/r/a/")
    eventually(lambda: is_led(cluster, "/r/a/", 2), "it is led", 20)
    cluster.stop()
    cluster.start()
    for subtree in ("/r/", "/r/a/", "/r/a/x/"):
        eventually(lambda: is_led(cluster, subtree, 2), f"{subtree} is led", 20)
        assert held(cluster, context, subtree) == below(entries, subtree)
    keys = [b"/r/a/x/new/%d" % i for i in range(1000)]
    with WriteLoad(writer(cluster), keys, rate=300) as writes:
        goes_on(writes, "after the restart")
    entries.update(writes.map)
    moved = canopy(cluster, "move", "/r/a/x/", "s3")
    assert moved.returncode == 0, moved
    eventually(lambda: is_led(cluster, "/r/a/x/") == "s3", "it has moved", 30)
    assert held(cluster, context, "/r/") == entries
    counts = {part: received_of(cluster, part)["in_sync"] for part in ("/r/", "/r/a/", "/r/a/x/")}
    assert {part: len(shards) for part, shards in counts.items()} == {
        "/r/": 2,
        "/r/a/": 2,
        "/r/a/x/": 1,
    }


def test_what_cannot_be_is_refused(start):
    cluster = start("memory")
    for subtree, why in [("/r/", "is a partition"), ("/s1/", "is a partition")]:
        refused = canopy(cluster, "split", subtree)
        assert refused.returncode == 3 and why in refused.stderr, refused
    for word in ("*", "/r/a", ""):
        assert canopy(cluster, "split", word).returncode == 2
    split(cluster, "/r/a/")
    eventually(lambda: is_led(cluster, "/r/a/"), "it is led", 20)
    assert "is a partition" in canopy(cluster, "split", "/r/a/").stderr
