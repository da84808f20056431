"""Native clients whose proxy or shard goes away: they go on elsewhere by what changed, miss
nothing, are told nothing twice, and lose no acknowledged write."""

import contextlib

import pytest

from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.native import CHANGES, DRAIN, FULL, LIST, Drained, Refusal, Requests, Writer, pack
from tests.harness.native_watcher import Watcher, check_promises
from tests.harness.promises import WriteLoad, check_never_back
from tests.harness.waiting import eventually

SUBTREES = (b"", b"/results/", b"/results/eu/", b"/results/0")
WATCHERS, WRITERS = 24, 4
KEYS = [[b"/results/%d" % n, b"/results/eu/%d" % n, b"/other/%d" % n] for n in range(WRITERS)]


@pytest.fixture
def make_cluster(start_cluster):
    def make(**broker):
        return start_cluster(
            [shard("s1", "/results/", "*"), shard("s2", "/results/eu/")],
            [proxy("p1", ["native"]), proxy("p2", ["native"])],
            broker=broker,
        )

    return make


class ClientGroup:
    """Clients of p1 that may go on at p2: some watch, some write; and one that is at p2 already."""

    def __init__(self, cluster, context, clones):
        self.cluster, self.clones = cluster, clones
        endpoints = [cluster.native("p1"), cluster.native("p2")]
        self.observer = clones.add(Watcher(context, endpoints[1:]))
        self.watchers = [
            clones.add(Watcher(context, endpoints, SUBTREES[number % len(SUBTREES)]))
            for number in range(WATCHERS)
        ]
        clones.run(lambda: all(each.active for each in clones.clients), "all of them watch", 20)
        self.writers = [Writer(context, *endpoints) for _ in KEYS]
        self.loads = [
            WriteLoad(writer, keys, rate=60) for writer, keys in zip(self.writers, KEYS)
        ]

    @contextlib.contextmanager
    def writing(self):
        with contextlib.ExitStack() as stack:
            for each in self.loads:
                stack.enter_context(each)
            self.go_on()
            yield
            self.go_on()

    def go_on(self):
        """Until everybody has been told something new, and every writer was answered."""
        received = {each: len(each.history) for each in self.clones.clients}
        written = [len(each.written) for each in self.writers]
        self.clones.run(
            lambda: all(len(each.history) > count for each, count in received.items())
            and all(len(each.written) > count for each, count in zip(self.writers, written)),
            "everything goes on",
            30,
        )

    def check(self):
        """Every promise, and every acknowledged write, once."""
        expected = {}
        for each in self.loads:
            expected |= each.map
        for each in self.clones.clients:
            below = {k: v for k, v in expected.items() if k.startswith(each.subtree)}
            if each.subtree == b"/results/0":
                below = {each.subtree: expected[each.subtree]}
            self.clones.agree(below, [each])
        check_promises(*self.clones.clients)
        check_never_back(*self.clones.clients)
        # A watcher that saw everything saw each write once.
        received = [(each.revision, each.key) for each in self.observer.live]
        acknowledged = [
            (revision, writes[0][0].encode())
            for writer in self.writers
            for revision, writes in writer.written
        ]
        assert sorted(received) == sorted(acknowledged)
        committed = sum(
            self.cluster.metrics(name).sum("canopy_updates_committed_total")
            for name in ("s1", "s2")
        )
        assert committed == len(acknowledged)

    def close(self):
        for each in self.writers:
            each.close()


@pytest.fixture
def clients_of(context, clones):
    made = []

    def make(cluster):
        made.append(ClientGroup(cluster, context, clones))
        return made[-1]

    yield make
    for each in made:
        each.close()


def resumed(watchers):
    return [catch_up for each in watchers for catch_up in each.catch_ups[1:]]


def test_a_killed_proxy_is_left_by_catch_up(make_cluster, clients_of, clones):
    """kill -9 of a proxy that is not started again: all of its clients resume at the other proxy."""
    cluster = make_cluster(supervise=False)
    members = clients_of(cluster)
    with members.writing():
        cluster.kill("p1")
        clones.run(
            lambda: all(each.losses == 1 and each.active for each in members.watchers),
            "all have gone on elsewhere",
            20,
        )
    members.check()
    assert any(each.sent_again for each in members.writers)
    again = resumed(members.watchers)
    assert len(again) >= WATCHERS
    assert all(set(each.modes.values()) == {CHANGES} for each in again)
    assert not members.observer.losses and len(members.observer.catch_ups) == 1


def test_a_killed_proxy_that_comes_back(make_cluster, clients_of, clones):
    """Started again under the same name: its streams begin anew, and a client that comes back notices."""
    cluster = make_cluster()
    members = clients_of(cluster)
    with members.writing():
        for _ in range(2):
            before = cluster.kill("p1")
            clones.run(lambda: cluster.restarted("p1", before), "p1 is back", 20)
            members.go_on()
    members.check()
    assert all(len(each.catch_ups) > 1 for each in members.watchers)


def test_at_a_proxy_that_nobody_used(make_cluster, context, clones):
    """It mirrors nothing yet; still, only what changed is told."""
    cluster = make_cluster(supervise=False)
    writer = Writer(context, cluster.native("p2"))
    for number in range(100):
        writer.put(b"/other/%d" % number, b"v")
    watcher = clones.add(Watcher(context, [cluster.native("p1"), cluster.native("p2")]))
    clones.run(lambda: len(watcher.map) == 100, "it watches")
    writer.delete(b"/other/0")
    clones.run(lambda: len(watcher.map) == 99, "it follows")
    cluster.kill("p1")
    writer.put(b"/other/1", b"w")
    writer.delete(b"/other/2")
    expected = {b"/other/%d" % number: b"v" for number in range(3, 100)} | {b"/other/1": b"w"}
    clones.agree(expected)
    assert watcher.catch_ups[-1].modes[b""] == CHANGES and watcher.catch_ups[-1].entries <= 3
    check_promises(watcher)
    writer.close()


@pytest.mark.parametrize("by", ["TERM", "the broker"])
def test_a_drained_proxy_is_left_in_time(make_cluster, clients_of, context, clones, by):
    """All are told to move, and are elsewhere before it ends; nobody loses contact."""
    cluster = make_cluster(supervise=by == "the broker")
    members = clients_of(cluster)
    late = Requests(context, cluster.native("p1"))
    with members.writing():
        if by == "TERM":
            before = cluster.terminate("p1")
        else:
            before = cluster.expect_end("p1")
            broker = Requests(context, cluster.broker_endpoint)
            assert broker.ask(pack(DRAIN, 1, "p1")) == Drained(1)
            broker.close()

        def refused():
            while late.socket.poll(0):
                late.answer()  # `move`
            late.send(LIST, late.next_number(), "/nothing/", 0)
            answer = late.answer()
            return isinstance(answer, Refusal) and answer.fault

        assert clones.run(refused, "new requests are refused") == "draining"
        late.close()
        clones.run(lambda: not before.alive(), "it ends", 5)
        clones.run(lambda: all(each.active for each in members.watchers), "all are elsewhere", 5)
    assert all(each.moves for each in members.watchers)
    assert not any(each.losses for each in members.watchers)
    members.check()
    assert not members.observer.moves
    if by == "TERM":
        again = resumed(members.watchers)
        assert all(set(each.modes.values()) == {CHANGES} for each in again)


def test_a_restarted_shard_causes_a_full_resync(start_cluster, context, clones):
    """In memory, all is gone, and every client is told so; on disk, nothing is. Revisions of the
    time before are worth nothing: a client that comes with them gets everything."""
    cluster = start_cluster(
        [
            shard("s1", "*", "/memory/"),
            shard("s2", partition("/disk/", durability="disk")),
        ],
        [proxy("p1", ["native"]), proxy("p2", ["native"])],
    )
    endpoints = [cluster.native("p1"), cluster.native("p2")]
    writer = Writer(context, *endpoints)
    watchers = [clones.add(Watcher(context, [each])) for each in endpoints]
    clones.run(lambda: all(each.active for each in watchers), "both watch")
    disk = {b"/disk/%d" % number: b"v%d" % number for number in range(50)}
    memory = {b"/memory/%d" % number: b"v%d" % number for number in range(50)}
    for key, value in (disk | memory).items():
        writer.put(key, value)
    clones.agree(disk | memory)
    known = dict(watchers[0].known)

    left = dict(disk)
    for name, key in (("s1", b"/root"), ("s2", b"/disk/0")):
        before = cluster.kill(name)
        clones.run(lambda: cluster.restarted(name, before), f"{name} is back", 20)
        left[key] = name.encode()
        writer.put(key, left[key])  # what it says reaches them after the restart has
        clones.agree(left)
    gone = [received.key for received in watchers[0].history if received.value is None]
    assert sorted(gone) == sorted(memory), "each deletion is told once"

    requests = Requests(context, endpoints[0])
    chunks = requests.catch_up(b"", known)
    assert {chunk.partition for chunk in chunks} == {b"", b"/memory/", b"/disk/"}
    assert all(chunk.mode == FULL for chunk in chunks)
    assert {each.key: each.value for chunk in chunks for each in chunk.entries} == left
    requests.close()

    writer.put(b"/disk/new", b"1")
    revision = writer.put(b"/memory/0", b"2")
    assert revision > known[b"/memory/"]
    clones.agree(left | {b"/disk/new": b"1", b"/memory/0": b"2"})
    check_promises(*watchers)
    writer.close()


def test_writes_go_on_over_a_restarted_shard(start_cluster, context, clones):
    """On disk, what was answered is kept, and what was not is applied once, under its number."""
    cluster = start_cluster(
        [shard("s1", partition("*", durability="disk"))], [proxy("p1", ["native"])]
    )
    watcher = clones.add(Watcher(context, [cluster.native("p1")]))
    writers = [Writer(context, cluster.native("p1")) for _ in range(3)]
    loads = [WriteLoad(writer, [b"/%d" % n], rate=100) for n, writer in enumerate(writers)]
    with contextlib.ExitStack() as stack:
        for each in loads:
            stack.enter_context(each)
        for _ in range(2):
            clones.run(lambda: len(watcher.history) > 50, "updates flow")
            before = cluster.kill("s1")
            clones.run(lambda: cluster.restarted("s1", before), "the shard is back", 20)
            count = len(watcher.history)
            clones.run(lambda: len(watcher.history) > count + 50, "updates flow again")
    clones.agree({key: value for each in loads for key, value in each.map.items()})
    check_promises(watcher)
    check_never_back(watcher)
    received = [each.revision for each in watcher.history]
    assert len(set(received)) == len(received)
    revisions = [revision for each in writers for revision, _ in each.written]
    assert len(set(revisions)) == len(revisions) == sum(sum(h.counters.values()) for h in loads)
    # Counters: had one been applied twice, a later revision would hold an earlier value.
    eventually(lambda: set(received) <= set(revisions), "told is what was acknowledged")
    for each in writers:
        each.close()
