"""What a native client writes is answered after its commit, applied once, and reported to the clients that
watch; what is wrong with the request itself is in test_native_refusals.py."""

import os

import pytest

from tests.harness import native
from tests.harness.native import GET, PING, WRITE, Written, write
from tests.harness.native_cluster import cluster, join, requests, writer  # noqa: F401, fixtures
from tests.harness.native_cluster import counted, state_of


def test_writes_are_answered_with_their_revision(clones, join, writer, requests):
    watcher = join(b"/results/")
    first = writer.put(b"/results/a", b"1")
    assert requests.get(b"/results/a") == native.Entry(b"/results/a", first, b"1")
    second = writer.delete(b"/results/a")
    assert second > first and requests.get(b"/results/a") is None
    clones.run(lambda: watcher.known[b"/results/"] >= second, "both are told")
    assert [received.revision for received in watcher.live] == [first, second]


def test_if_revision_lets_one_of_two_win(writer, requests):
    key = b"/results/cas"
    writer.delete(key)
    with pytest.raises(native.Refused, match="revision_mismatch") as caught:
        writer.put(key, b"x", if_revision=1)
    assert caught.value.revision == 0
    first = writer.put(key, b"1", if_revision=0)
    with pytest.raises(native.Refused, match="revision_mismatch") as caught:
        writer.put(key, b"x", if_revision=0)
    assert caught.value.revision == first
    second = writer.put(key, b"2", if_revision=first)
    with pytest.raises(native.Refused, match="revision_mismatch"):
        writer.delete(key, if_revision=first)
    assert requests.get(key) == native.Entry(key, second, b"2")
    writer.delete(key, if_revision=second)
    assert requests.get(key) is None


def test_a_batch_is_applied_all_or_none(cluster, clones, join, writer, requests):
    """In its order, with consecutive revisions; a later write sees the earlier ones."""
    a, b = b"/results/atomic/a", b"/results/atomic/b"
    watcher = join(b"/results/atomic/")
    last = writer.write(write(a, b"1"), write(b, b"1"), write(a, b"2"), write(b, None))
    clones.run(lambda: watcher.known[b"/results/"] >= last, "every change is reported")
    assert [(received.key, received.value, received.revision) for received in watcher.live] == [
        (a, b"1", last - 3),
        (b, b"1", last - 2),
        (a, b"2", last - 1),
        (b, None, last),
    ]
    with pytest.raises(native.Refused, match="revision_mismatch"):
        writer.write(write(b, b"no"), write(a, b"no", if_revision=last))
    with pytest.raises(native.Refused, match="several_partitions"):
        writer.write(write(a, b"no"), write(b"/results/eu/a", b"no"))
    with pytest.raises(native.Refused, match="several_partitions"):
        writer.write(write(a, b"no"), write(b"/other/a", b"no"))
    assert state_of(requests, b"/results/atomic/") == {a: b"2"}
    # if_revision sees the writes before it in the request: there is one of b by then.
    with pytest.raises(native.Refused, match="revision_mismatch"):
        writer.write(write(b, b"1"), write(b, b"2", if_revision=0))
    writer.write(write(a, None), write(a, b"anew", if_revision=0))
    assert state_of(requests, b"/results/atomic/") == {a: b"anew"}


def test_a_partition_that_keeps_nothing(clones, join, writer, requests):
    watcher = join(b"/silent/")
    revision = writer.put(b"/silent/k", b"1")
    clones.run(lambda: watcher.map == {b"/silent/k": b"1"}, "it is told")
    assert watcher.live[-1].revision == revision
    with pytest.raises(native.Refused, match="not_kept"):
        writer.put(b"/silent/k", b"2", if_revision=revision)
    assert state_of(requests, b"/silent/") == {}


def test_a_request_sent_again_is_applied_once(cluster, context, clones, join):
    """The same number through another proxy: answered alike, refusals too, until it is settled."""
    client, key = os.urandom(16), b"/results/again"
    one, other = (native.Requests(context, cluster.native(name), client) for name in ("p1", "p2"))
    watcher = join(key)
    committed = counted(cluster, "canopy_updates_committed_total")
    repeated = counted(cluster, "canopy_updates_repeated_total")

    first = one.write(1, write(key, b"1"), settled=1)
    assert isinstance(first, Written) and first.request == 1
    second = one.write(2, write(key, b"2"), settled=1)
    third = one.write(3, write(key, b"3", if_revision=first.revision), settled=1)
    assert third[:2] == (3, "revision_mismatch") and third.revision == second.revision
    for where in (other, one, other):
        assert where.write(1, write(key, b"1"), settled=1) == first
        assert where.write(2, write(key, b"2"), settled=1) == second
        assert where.write(3, write(key, b"3", if_revision=first.revision), settled=1) == third
    assert counted(cluster, "canopy_updates_committed_total") - committed == 2
    assert counted(cluster, "canopy_updates_repeated_total") - repeated == 9
    # Settled by a write that was applied: 1 and 2 must not come again.
    fourth = other.write(4, write(key, b"5"), settled=3)
    assert fourth == Written(4, second.revision + 1)
    assert one.write(2, write(key, b"2"))[:2] == (2, "replayed")
    assert other.write(1, write(key, b"1"))[:2] == (1, "replayed")
    assert one.write(3, write(key, b"3", if_revision=first.revision), settled=3) == third
    # Another client's numbers are its own.
    fresh = native.Requests(context, cluster.native("p2"), os.urandom(16))
    assert fresh.write(1, write(key, b"4")) == Written(1, fourth.revision + 1)
    clones.run(lambda: watcher.map == {key: b"4"}, "all is told")
    assert [received.value for received in watcher.live] == [b"1", b"2", b"5", b"4"]
    for each in (one, other, fresh):
        each.close()


def test_numbers_of_writes_and_requests_are_apart(cluster, context):
    """The answer to either says by its kind, a refusal by `of`, what it answers."""
    both = native.Requests(context, cluster.native("p1"), os.urandom(16))
    for answer in (both.write(7, write(b"/results/apart", b"1")), both.ask(native.pack(PING, 7))):
        assert answer.request == 7
    bad = [both.write(7, write(b"/results/apart\n", b"1")), both.ask(native.pack(GET, 7, "\n"))]
    assert [(each.request, each.of) for each in bad] == [(7, WRITE), (7, GET)]
    both.close()


def test_unsettled_requests_are_bounded(cluster, context):
    """1024 answered numbers are remembered; one more is refused until some are settled."""
    requests, key = native.Requests(context, cluster.native("p1"), os.urandom(16)), b"/results/u"

    def send(number, settled=1):
        requests.send(WRITE, number, settled, [write(key, b"%d" % number)])

    answers = {}
    for number in range(1, 1025):
        send(number)
        if number % 256 == 0:
            for _ in range(256):
                answer = requests.answer()
                answers[answer.request] = answer
    assert answers.keys() == set(range(1, 1025))
    assert all(isinstance(each, Written) for each in answers.values())
    send(1025)
    assert requests.answer()[:2] == (1025, "too_many_requests")
    send(1025, settled=2)
    assert isinstance(requests.answer(), Written)
    send(2, settled=2)
    assert requests.answer() == answers[2]
    requests.close()
