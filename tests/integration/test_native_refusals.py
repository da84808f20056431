"""Every wrong request of a native client gets its numbered refusal, is counted under the fault's
name, and harms nobody else."""

import collections
import contextlib
import os
import random

import pytest
import zmq

from tests.harness import native
from tests.harness.clusterfile import proxy, shard
from tests.harness.native import DIRECTORY, DRAIN, ANNOUNCE, LIST, PING, UNWATCH, WATCH, WRITE, Refusal, pack, write
from tests.harness.native_hostile import (
    CLIENT,
    MAX_FRAME,
    MAX_VALUE,
    good_requests,
    not_messages,
    wrong_announces,
    wrong_reads,
    wrong_watches,
    wrong_writes,
)
from tests.harness.native_watcher import Watcher, check_promises
from tests.harness.promises import WriteLoad, check_unbroken
from tests.harness.waiting import eventually


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", "/results/"), shard("rest", "*")],
        [proxy("p1", ["native"]), proxy("p2", ["native"])],
    )


@pytest.fixture
def requests(cluster, context):
    made = native.Requests(context, cluster.native("p1"), CLIENT)
    yield made
    made.close()


@pytest.fixture
def broker(cluster, context):
    made = native.Requests(context, cluster.broker_endpoint)
    yield made
    made.close()


@pytest.fixture
def bystander(cluster, context, clones):
    """A client that watches and writes all the while, through the same proxy."""
    before = {name: cluster.process(name) for name in cluster.names + ["broker"]}
    key = b"/results/bystander"
    writer = native.Writer(context, cluster.native("p1"))
    writer.delete(key)
    watcher = clones.add(Watcher(context, [cluster.native("p1")], key))
    clones.run(lambda: watcher.active, "the bystander watches")
    with clones.background(), WriteLoad(writer, [key], rate=50) as load:
        yield watcher
    clones.agree(load.map, [watcher])
    check_promises(watcher)
    check_unbroken(watcher)
    assert not watcher.gaps and not watcher.losses
    writer.close()
    assert {name: cluster.process(name) for name in before} == before, "a process was replaced"


def rejected(cluster, names=None):
    """fault or reason -> how often any process has refused something for it."""
    found = collections.Counter()
    for name in names or cluster.names + ["broker"]:
        for labels, value in cluster.metrics(name).select("canopy_rejected_total"):
            found[labels["reason"]] += int(value)
    return found


@contextlib.contextmanager
def counting(cluster, names=None):
    """Yields a Counter for the faults that the test sees; each is to be counted once."""
    before, seen = rejected(cluster, names), collections.Counter()
    yield seen
    eventually(lambda: rejected(cluster, names) - before >= seen, f"counted: {dict(seen)}")
    assert rejected(cluster, names) - before == seen


def test_wrong_requests_are_refused_by_number(cluster, requests, bystander):
    cases = [(WRITE, *case) for case in wrong_writes()]
    cases += [(ANNOUNCE, *case) for case in wrong_announces()]
    cases += [(WATCH, *case) for case in wrong_watches()]
    cases += wrong_reads()
    unnumbered = {"request 0", "number 0", "no fields", "a negative number"}
    unnumbered |= {"a number that is text", "a number that is a float"}
    with counting(cluster) as seen:
        for kind, what, fields, fault in cases:
            answer = requests.ask(pack(kind, *fields))
            assert isinstance(answer, Refusal), f"{kind}, {what}: {answer!r:.300}"
            assert answer.fault == fault and answer.of == kind, f"{kind}, {what}: {answer}"
            assert answer.request == (0 if what in unnumbered else 7), f"{kind}, {what}: {answer}"
            assert answer.text and answer.revision == 0
            seen[fault] += 1
    assert not requests.socket.poll(100), "one answer each"


def test_a_write_wants_a_client(cluster, context, bystander):
    """A connection without an announcement, or without a client in it, may do everything else."""
    for client in (None, b""):
        nobody = native.Requests(context, cluster.native("p1"))
        if client is not None:
            nobody.announce(client)
        with counting(cluster) as seen:
            answer = nobody.write(7, write(b"/results/nobody", b"v"))
            assert isinstance(answer, Refusal), answer
            assert (answer.request, answer.fault, answer.of) == (7, "bad_field", WRITE)
            seen["bad_field"] += 1
        assert nobody.get(b"/results/nobody") is None
        assert nobody.read(b"/results/nobody")[0].count == 0
        nobody.close()


def test_frames_that_are_no_messages(cluster, requests, bystander):
    with counting(cluster) as seen:
        for what, frames in not_messages():
            requests.socket.send_multipart(frames)
            answer = requests.answer()
            assert answer[:2] == (0, "malformed") and answer.of == 0, f"{what}: {answer}"
            seen["malformed"] += 1
    assert not requests.socket.poll(100), "one answer each"


def test_requests_cut_at_every_byte(cluster, requests, bystander):
    with counting(cluster) as seen:
        for frame in good_requests():
            for size in range(len(frame)):
                requests.socket.send(frame[:size])
                answer = requests.answer()
                assert answer.fault == "malformed", f"{size} of {frame!r}: {answer}"
                assert answer.request in (0, 300)
                seen["malformed"] += 1
            answer = requests.ask(frame + b"\0")
            assert answer[:2] == (300, "malformed"), answer
            seen["malformed"] += 1
    assert requests.get(b"/results/cut") is None


def test_other_versions_and_kinds(cluster, requests, bystander):
    with counting(cluster) as seen:
        for version in (0, 1, 3, 127, 255):
            for body in [b"", b"\xc1", *(frame[1:] for frame in good_requests())]:
                answer = requests.ask(bytes([version]) + body)
                assert answer[:2] == (0, "version_unknown"), answer
                assert "2" in answer.text, "it names the version it speaks"
                seen["version_unknown"] += 1
        for kind in (0, 1, 127, 137, 144, 145, 160, 161, *range(192, 201), 208, 255, 256, 1 << 40):
            answer = requests.ask(pack(kind, 7, "", 0))
            assert answer[:2] == (7, "kind_unknown"), f"{kind}: {answer}"
            assert answer.of == (kind if kind < 256 else 0)
            seen["kind_unknown"] += 1


def test_requests_damaged_at_random(cluster, context, bystander):
    """Whatever becomes of them: each proxy and shard lives, and answers a good request next."""
    noise = random.Random(3)
    frames = list(good_requests())
    for _ in range(20):
        wild = native.Requests(context, cluster.native("p1"))
        for _ in range(100):
            frame = bytearray(noise.choice(frames))
            for _ in range(noise.randint(1, 4)):
                frame[noise.randrange(len(frame))] = noise.randrange(256)
            wild.socket.send(frame)
        wild.send(PING, 987_654_321)
        while wild.answer() != native.Pong(987_654_321):
            pass
        wild.close()


def test_a_frame_over_the_limit_cuts_its_connection_only(cluster, context, bystander):
    """4 MiB at most; a larger one is not even read, and its sender may come again."""
    wild = native.Requests(context, cluster.native("p1"))
    assert wild.get(b"/results/none") is None
    monitor = wild.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    wild.socket.send(bytes(MAX_FRAME + 1))
    assert monitor.poll(10_000), "its connection is cut"
    wild.socket.disable_monitor()
    wild.close()
    again = native.Requests(context, cluster.native("p1"), os.urandom(16))
    # The largest that may be: several values below the limit of one.
    writes = [write(b"/results/large/%d" % number, bytes(MAX_VALUE)) for number in range(3)]
    answer = again.write(1, *writes)
    assert isinstance(answer, native.Written), answer
    for number in range(3):
        key = b"/results/large/%d" % number
        entry = eventually(lambda: again.get(key), "the proxy's mirror has it")
        assert entry.value == bytes(MAX_VALUE)
    again.write(2, *([each[0], None, *each[2:]] for each in writes))
    again.close()


def test_replayed_and_mismatched_writes(cluster, context, bystander):
    """Refused by the shard: counted there, once."""
    requests = native.Requests(context, cluster.native("p1"), os.urandom(16))

    def ask(number, settled, **options):
        return requests.write(number, write(b"/results/replayed", b"v", **options), settled=settled)

    with counting(cluster) as seen:
        assert isinstance(ask(5, 5), native.Written)
        assert ask(4, 4)[:2] == (4, "replayed")
        assert ask(6, 6, if_revision=1).fault == "revision_mismatch"
        seen.update(["replayed", "revision_mismatch"])
    requests.close()


# -- streams -------------------------------------------------------------------------------------


def expect_streams(cluster, count, what):
    def streams():
        return cluster.metrics("p1").sum("canopy_streams")

    with contextlib.suppress(AssertionError):
        eventually(lambda: streams() == count, "")
    assert streams() == count, what


def test_streams_go_with_their_watches(cluster, context, bystander):
    expect_streams(cluster, 1, "the bystander's only")
    many = native.Requests(context, cluster.native("p1"))
    for number in range(1, 2001):
        many.send(WATCH, number, f"/results/{number}/", 0, 0, {})
    for number in range(1, 101):
        many.send(WATCH, 2000 + number, f"/results/{number}/", 0, 0, {})  # once more
    expect_streams(cluster, 2001, "each has its stream")
    for number in range(1, 1001):
        many.send(UNWATCH, number)
    expect_streams(cluster, 1101, "a stream stays as long as a watch of it")
    many.send(UNWATCH, 1)
    many.send(UNWATCH, 5000)
    many.send(PING, 6000)
    while many.answer() != native.Pong(6000):
        pass
    expect_streams(cluster, 1101, "what is not watched can be unwatched")
    many.close()
    expect_streams(cluster, 1, "all of them are gone")


# -- more than a client may have -----------------------------------------------------------------


def test_a_shard_that_does_not_take_writes(start_cluster, context):
    """Its queue is bounded: busy. What it had been sent is answered when it goes on."""
    cluster = start_cluster(
        [shard("s1", "/results/"), shard("rest", "*")],
        [proxy("p1", ["native"], upstream_queue_bytes=1 << 18)],
        coordination={"lease_ms": 60_000},
    )
    requests = native.Requests(context, cluster.native("p1"), os.urandom(16))
    assert requests.ask(pack(PING, 1)) == native.Pong(1), "and its welcome came before"
    value = bytes(200_000)
    answers, number = {}, 0
    with cluster.stopped("rest"), counting(cluster, ["p1"]) as seen:
        while not answers:
            number += 1
            assert number < 1000, "the queue is not bounded"
            requests.send(WRITE, number, 1, [write(b"/k%d" % number, value)])
            if requests.socket.poll(20):
                answer = requests.answer()
                answers[answer.request] = answer
                assert answer.fault == "busy" and answer.retriable, answer
                seen["busy"] += 1
        # The other shard's clients do not notice.
        other = native.Requests(context, cluster.native("p1"), os.urandom(16))
        answer = other.write(1, write(b"/results/k", b"v"))
        assert isinstance(answer, native.Written), answer
        other.close()
    while len(answers) < number:
        answer = requests.answer()
        answers[answer.request] = answer
    assert sum(isinstance(each, native.Written) for each in answers.values()) == number - 1
    again = requests.write(number, write(b"/k%d" % number, value), settled=1)
    assert isinstance(again, native.Written), again
    requests.close()


def test_a_list_from_a_shard_that_is_away(start_cluster, context):
    """Refused when its state is not here within 10 s; what is asked for next does not wait."""
    cluster = start_cluster(
        [shard("s1", "/results/"), shard("rest", "*")],
        [proxy("p1", ["native"])],
        coordination={"lease_ms": 60_000},
    )
    requests = native.Requests(context, cluster.native("p1"))
    with cluster.stopped("rest"), counting(cluster, ["p1"]) as seen:
        requests.send(LIST, 1, "", 0)
        requests.send(LIST, 2, "/results/", 0)
        assert requests.answer().request == 2
        refusal = requests.answer(20)
        assert refusal[:2] == (1, "partition_unavailable") and refusal.retriable
        seen["partition_unavailable"] += 1
    assert {chunk.partition for chunk in requests.read(b"")} == {b"", b"/results/"}
    requests.close()


# -- the broker ----------------------------------------------------------------------------------


def test_the_broker_refuses_by_number(cluster, broker):
    cases = [
        ("a field too few", [DIRECTORY, 7], "malformed"),
        ("a field too many", [DIRECTORY, 7, "", 0], "malformed"),
        ("a prefix that is bytes", [DIRECTORY, 7, b""], "malformed"),
        ("a prefix of 256 bytes", [DIRECTORY, 7, "p" * 256], "bad_field"),
        ("a prefix with a control character", [DIRECTORY, 7, "a\n"], "bad_field"),
        ("request 0", [DIRECTORY, 0, ""], "bad_field"),
        ("a negative request", [DIRECTORY, -7, ""], "bad_field"),
        ("a request that is text", [DIRECTORY, "7", ""], "malformed"),
        ("no name", [DRAIN, 7], "malformed"),
        ("an empty name", [DRAIN, 7, ""], "bad_field"),
        ("a name of 256 bytes", [DRAIN, 7, "p" * 256], "bad_field"),
        ("nobody's name", [DRAIN, 7, "p3"], "not_found"),
        ("the name of a shard", [DRAIN, 7, "s1"], "not_found"),
        ("a write", [WRITE, 7], "kind_unknown"),
        ("a list", [LIST, 7, "", 0], "kind_unknown"),
        ("a place for no partition", [149, 7, "/x/", ["s1"]], "not_found"),
        ("a place that is no list", [149, 7, "/x/", "s1"], "malformed"),
        ("eight places", [149, 7, "/x/", ["s1"] * 8], "too_large"),
        ("a split of the root", [150, 7, ""], "bad_subtree"),
        ("a kind of none", [151, 7, ""], "kind_unknown"),
        ("an answer", [208, 7, []], "kind_unknown"),
    ]
    zero = {"request 0", "a negative request", "a request that is text"}
    with counting(cluster) as seen:
        for what, fields, fault in cases:
            answer = broker.ask(pack(*fields))
            assert isinstance(answer, Refusal) and answer.fault == fault, f"{what}: {answer}"
            assert answer.request == (0 if what in zero else 7), f"{what}: {answer}"
            seen[fault] += 1
        for version in (0, 1, 255):
            answer = broker.ask(pack(DIRECTORY, 7, "", version=version))
            assert answer[:2] == (0, "version_unknown") and "2" in answer.text, answer
            seen["version_unknown"] += 1
        frame = pack(DIRECTORY, 300, "proxies/")
        for size in range(4, len(frame)):  # from its kind on it is known for a client's
            answer = broker.ask(frame[:size])
            assert answer.fault == "malformed", f"{size}: {answer}"
            seen["malformed"] += 1
        assert broker.ask(frame + b"\0")[:2] == (300, "malformed")
        seen["malformed"] += 1
    assert broker.directory("shards/").keys() == {"shards/s1", "shards/rest"}


def test_nonsense_to_the_broker(cluster, context, broker):
    noise = random.Random(9)
    good = [pack(DIRECTORY, 300, "proxies/"), pack(DRAIN, 300, "nobody")]
    wild = native.Requests(context, cluster.broker_endpoint)
    for _ in range(500):
        frame = bytearray(noise.choice(good))
        frame[noise.randrange(len(frame))] = noise.randrange(256)
        wild.socket.send(frame[: noise.randint(0, len(frame))])
        wild.socket.send_multipart([frame] * noise.randint(1, 3))
    wild.socket.send(bytes(20 << 20))  # cuts its connection
    wild.close()
    assert broker.directory("proxies/").keys() == {"proxies/p1", "proxies/p2"}
    assert cluster.is_ready()
