"""Every wrong request of a native client gets its numbered refusal, is counted under the fault's
name, and harms nobody else."""

import collections
import contextlib
import os
import random
import signal

import pytest
import zmq

import native
from clone import make_socket
from clusterfile import proxy, shard
from native import CREDIT, DIRECTORY, DRAIN, FETCH, WRITE, Refusal, pack, write
from native_mischief import (
    MAX_FRAME,
    MAX_VALUE,
    RawSubscriber,
    good_requests,
    not_messages,
    wrong_credits,
    wrong_fetches,
    wrong_writes,
)
from native_watcher import Watcher, check_promises
from promises import Hammer, check_unbroken
from waiting import eventually

@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", "/results/"), shard("rest", "*")],
        [proxy("p1", ["native"]), proxy("p2", ["native"])],
    )


@pytest.fixture
def requests(cluster, context):
    made = native.Requests(context, cluster.native("p1")[0])
    yield made
    made.close()


@pytest.fixture
def broker(cluster, context):
    made = native.Requests(context, cluster.broker_endpoint)
    yield made
    made.close()


@pytest.fixture
def bystander(cluster, context, flock):
    """Somebody who watches and writes all the while, through the same proxy."""
    before = {name: cluster.process(name) for name in cluster.names + ["broker"]}
    key = b"/results/bystander"
    writer = native.Writer(context, cluster.native("p1"))
    writer.delete(key)
    watcher = flock.add(Watcher(context, [cluster.native("p1")], key))
    flock.run(lambda: watcher.active, "the bystander watches")
    with flock.background(), Hammer(writer, [key], rate=50) as hammer:
        yield watcher
    flock.agree(hammer.map, [watcher])
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
    cases += [(FETCH, *case) for case in wrong_fetches()]
    cases += [(CREDIT, *case) for case in wrong_credits()]
    numbers = {"request 0": 0, "number 0": 0, "no fields": 0}
    numbers |= {"a number that is text": 0, "a number that is a float": 0, "a negative number": 0}
    with counting(cluster) as seen:
        for kind, what, fields, fault in cases:
            answer = requests.ask(pack(kind, *fields))
            assert isinstance(answer, Refusal), f"{kind}, {what}: {answer!r:.300}"
            assert answer.fault == fault, f"{kind}, {what}: {answer}"
            if "client id that is text" not in what:
                assert answer.request == numbers.get(what, 7), f"{kind}, {what}: {answer}"
            assert answer.text and answer.revision == 0
            seen[fault] += 1
    assert not requests.socket.poll(100), "one answer each"


def test_frames_that_are_no_messages(cluster, requests, bystander):
    with counting(cluster) as seen:
        for what, frames in not_messages():
            requests.socket.send_multipart(frames)
            answer = requests.answer()
            assert answer[:2] == (0, "malformed"), f"{what}: {answer}"
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
        for version in (0, 2, 3, 127, 255):
            for body in [b"", b"\xc1", *(frame[1:] for frame in good_requests())]:
                answer = requests.ask(bytes([version]) + body)
                assert answer[:2] == (0, "version_unknown"), answer
                assert "1" in answer.text, "it names the version it speaks"
                seen["version_unknown"] += 1
        for kind in (0, 1, 128, 132, 144, 145, 160, 161, 193, 194, 208, 255, 256, 1 << 40):
            answer = requests.ask(pack(kind, 7, b"", "", {}, None, 4))
            assert answer[:2] == (7, "kind_unknown"), f"{kind}: {answer}"
            seen["kind_unknown"] += 1


def test_requests_damaged_at_random(cluster, context, bystander):
    """Whatever becomes of them: each proxy and shard lives, and answers a good request next."""
    noise = random.Random(3)
    frames = list(good_requests())
    for _ in range(20):
        wild = native.Requests(context, cluster.native("p1")[0])
        for _ in range(100):
            frame = bytearray(noise.choice(frames))
            for _ in range(noise.randint(1, 4)):
                frame[noise.randrange(len(frame))] = noise.randrange(256)
            wild.socket.send(frame)
        wild.send(FETCH, 987_654_321, b"", "/results/none", {}, None, 4)
        while wild.answer().request != 987_654_321:
            pass
        wild.close()


def test_a_frame_over_the_limit_cuts_its_connection_only(cluster, context, bystander):
    """4 MiB at most; a larger one is not even read, and its sender may come again."""
    wild = native.Requests(context, cluster.native("p1")[0], immediate=True)
    assert wild.get(b"/results/none") is None
    monitor = wild.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    wild.socket.send(bytes(MAX_FRAME + 1))
    assert monitor.poll(10_000), "its connection is cut"
    wild.socket.disable_monitor()
    wild.close()
    again = native.Requests(context, cluster.native("p1")[0])
    # The largest that may be: several values below the limit of one.
    writes = [write(b"/results/large/%d" % number, bytes(MAX_VALUE)) for number in range(3)]
    answer = again.ask(pack(WRITE, os.urandom(16), 1, 1, writes))
    assert isinstance(answer, native.Written), answer
    for number in range(3):
        assert again.get(b"/results/large/%d" % number).value == bytes(MAX_VALUE)
    again.ask(pack(WRITE, os.urandom(16), 1, 1, [[each[0], None, *each[2:]] for each in writes]))
    again.close()


def test_replayed_and_mismatched_writes(cluster, requests, bystander):
    """Refused by the shard: counted there, once."""
    client = os.urandom(16)

    def ask(number, settled, **options):
        writes = [write(b"/results/replayed", b"v", **options)]
        return requests.ask(pack(WRITE, client, number, settled, writes))

    with counting(cluster) as seen:
        assert isinstance(ask(5, 5), native.Written)
        assert ask(4, 4)[:2] == (4, "replayed")
        assert ask(6, 6, if_revision=1).fault == "revision_mismatch"
        seen.update(["replayed", "revision_mismatch"])


# -- the streams' socket -------------------------------------------------------------------------


def streams_of(cluster, name="p1"):
    return cluster.metrics(name).sum("canopy_streams")


def expect_streams(cluster, count, what):
    with contextlib.suppress(AssertionError):
        eventually(lambda: streams_of(cluster) == count, "")
    assert streams_of(cluster) == count, what


def test_wrong_topics_make_no_streams(cluster, context, bystander):
    good = native.topic(b"/results/")
    wrong = [b"\0" * 8, b"\2" + good[1:], b"\1\2" + good[2:], good[:-1] + b"/\1\0"]
    wrong += [good + b"x", good + b"\0", native.topic(b"", 60_001), native.topic(b"/" * 256)]
    wrong += [native.topic(b"/a\n/"), native.topic(b"HUGZ"), b"\1" + b"t" * 100_000]
    with counting(cluster) as seen:
        xsub = make_socket(context, zmq.XSUB, cluster.native("p1")[1])
        for each in wrong:
            xsub.send(b"\1" + each)
            seen["bad_topic"] += 1
        assert not xsub.poll(1200), "they are not answered"
        xsub.close()
    expect_streams(cluster, 1, "the bystander's is the only stream")


def port_of_streams(cluster):
    return int(cluster.native("p1")[1].rpartition(":")[2])


@pytest.mark.parametrize("what,starts", [("begun twice", b"\1\1"), ("no subscriptions", b"\2\xff")])
def test_odd_subscriptions_harm_nobody(cluster, bystander, what, starts):
    """Of the stream that the bystander is on."""
    odd = RawSubscriber(port_of_streams(cluster))
    for start in starts:
        odd.send(bytes([start]) + bystander.topic)
    told = len(bystander.live)
    eventually(lambda: len(bystander.live) > told + 20, f"the bystander is told on: {what}")
    odd.peer.close()
    expect_streams(cluster, 1, "the bystander's is the only stream")
    assert len(bystander.fetches) == 1, "and not another"


@pytest.mark.parametrize("starts", [b"\0", b"\1\0\0"])
def test_ends_of_what_was_not_begun(cluster, context, flock, starts):
    """No libzmq peer sends these. Others may lose contact by them, but not for good."""
    key = b"/results/not-begun"
    writer = native.Writer(context, cluster.native("p1"))
    watchers = [flock.add(Watcher(context, [cluster.native("p1")], key)) for _ in range(2)]
    flock.run(lambda: all(each.active for each in watchers), "both watch")
    for _ in range(2):
        odd = RawSubscriber(port_of_streams(cluster))
        for start in starts * 2:
            odd.send(bytes([start]) + watchers[0].topic)
        odd.peer.close()
    for value in (b"1", b"2"):
        writer.put(key, value)
        flock.agree({key: value}, watchers)
    check_promises(*watchers)
    writer.close()


def test_streams_go_with_their_subscribers(cluster, context, bystander):
    expect_streams(cluster, 1, "the bystander's only")
    xsub = make_socket(context, zmq.XSUB, cluster.native("p1")[1], sndhwm=0)
    for number in range(2000):
        xsub.send(b"\1" + native.topic(b"/results/%d/" % number))
    for number in range(100):
        xsub.send(b"\1" + native.topic(b"/results/%d/" % number))  # once more
    expect_streams(cluster, 2001, "each has its stream")
    xsub.close()
    expect_streams(cluster, 1, "all of them are gone")


def test_prefixes_of_topics_are_no_subscriptions(cluster, context, bystander):
    """libzmq passes on whatever they match; they count for nothing."""
    expect_streams(cluster, 1, "the bystander's only")
    with counting(cluster) as seen:
        sub = make_socket(context, zmq.SUB, cluster.native("p1")[1])
        for prefix in (b"", b"\1", bystander.topic[:-1]):
            sub.subscribe(prefix)
            seen["bad_topic"] += 1
        assert sub.poll(5000), "the bystander's stream is overheard"
        assert streams_of(cluster) == 1
        sub.close()


# -- more than a client may have -----------------------------------------------------------------


def test_too_many_fetches_of_one_client(cluster, context, requests, bystander):
    """64 of one client at most; and while they wait for its credit, others are served."""
    writer = native.Writer(context, cluster.native("p1"))
    for number in range(8):
        writer.put(b"/results/bulk/%d" % number, bytes(MAX_VALUE // 4))
    with counting(cluster) as seen:
        for number in range(1, 67):
            requests.send(FETCH, number, b"", "/results/bulk/", {}, None, 1)
        refused = []
        while len(refused) < 2:
            answer = requests.answer()
            if isinstance(answer, Refusal):
                refused.append((answer.request, answer.fault))
        assert refused == [(65, "too_many_requests"), (66, "too_many_requests")]
        seen["too_many_requests"] += 2
        other = native.Requests(context, cluster.native("p1")[0])
        other.send(FETCH, 1, b"", "/results/bystander", {}, None, 4)
        assert other.answer(5).request == 1, "others need not wait for a client without credit"
        other.close()
    for number in range(8):
        writer.delete(b"/results/bulk/%d" % number)
    writer.close()


def test_a_shard_that_does_not_take_writes(start_cluster, context):
    """Its queue is bounded: busy. What it had been sent is answered when it goes on."""
    cluster = start_cluster(
        [shard("s1", "/results/"), shard("rest", "*")],
        [proxy("p1", ["native"], upstream_queue_bytes=1 << 18)],
        broker={"lease_ms": 60_000},
    )
    requests = native.Requests(context, cluster.native("p1")[0])
    client, value = os.urandom(16), bytes(200_000)
    answers, number = {}, 0
    with cluster.stopped("rest"), counting(cluster, ["p1"]) as seen:
        while not answers:
            number += 1
            assert number < 1000, "the queue is not bounded"
            requests.send(WRITE, client, number, 1, [write(b"/k%d" % number, value)])
            if requests.socket.poll(20):
                answer = requests.answer()
                answers[answer.request] = answer
                assert answer.fault == "busy" and answer.retriable, answer
                seen["busy"] += 1
        # The other shard's clients do not notice.
        theirs = [write(b"/results/k", b"v")]
        answer = requests.ask(pack(WRITE, os.urandom(16), 9999, 1, theirs))
        assert isinstance(answer, native.Written), answer
    while len(answers) < number:
        answer = requests.answer()
        answers[answer.request] = answer
    assert sum(isinstance(each, native.Written) for each in answers.values()) == number - 1
    again = requests.ask(pack(WRITE, client, number, 1, [write(b"/k%d" % number, value)]))
    assert isinstance(again, native.Written), again
    requests.close()


def test_a_fetch_from_a_shard_that_is_away(start_cluster, context):
    """Refused when its state is not here within 10 s; others' fetches do not wait."""
    cluster = start_cluster(
        [shard("s1", "/results/"), shard("rest", "*")],
        [proxy("p1", ["native"])],
        broker={"lease_ms": 60_000},
    )
    requests = native.Requests(context, cluster.native("p1")[0])
    with cluster.stopped("rest"), counting(cluster, ["p1"]) as seen:
        requests.send(FETCH, 1, b"", "", {}, None, 4)
        requests.send(FETCH, 2, b"", "/results/", {}, None, 4)
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
        ("a fetch", [FETCH, 7, b"", "", {}, None, 4], "kind_unknown"),
        ("a kind of none", [147, 7, ""], "kind_unknown"),
        ("an answer", [208, 7, []], "kind_unknown"),
    ]
    zero = {"request 0", "a negative request", "a request that is text", "a write"}
    with counting(cluster) as seen:
        for what, fields, fault in cases:
            answer = broker.ask(pack(*fields))
            assert isinstance(answer, Refusal) and answer.fault == fault, f"{what}: {answer}"
            assert answer.request == (0 if what in zero else 7), f"{what}: {answer}"
            seen[fault] += 1
        for version in (0, 2, 255):
            answer = broker.ask(pack(DIRECTORY, 7, "", version=version))
            assert answer[:2] == (0, "version_unknown") and "1" in answer.text, answer
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
