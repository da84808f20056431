"""HWM drops between shard and proxy are counted exactly, and repaired."""

import contextlib
import json
import signal
import subprocess
import sys

import pytest
import zmq

from tests.harness import clone_subscriber
from tests.harness.clone import decode, make_socket
from tests.harness.cluster import REPOSITORY, die_with_parent
from tests.harness.clusterfile import DIALECTS, partition, proxy, shard
from tests.harness.procfs import memory_bytes, process
from tests.harness.promises import check_never_back, check_unbroken, value_of
from tests.harness.waiting import DURATION, SLOW, eventually, seconds

BURSTS, BURST = 150, 5
MIB = 1 << 20
PADDING = 400


def committed(cluster):
    return cluster.metrics("s1").sum("canopy_updates_committed_total")


def received_live(metrics):
    """Updates that came by live batches, not by replay or snapshot."""
    if metrics.has("canopy_updates_received_total", source="live"):
        return metrics.sum("canopy_updates_received_total", source="live")
    return metrics.sum("canopy_updates_received_total")


def settled(read):
    """A counter's value once it no longer moves."""
    last = [None]

    def still():
        value, last[0] = last[0], read()
        return value is not None and value == last[0]

    eventually(still, "a counter settles", every=0.3)
    return last[0]


def test_drops_are_counted_and_repaired(start_cluster, clones):
    cluster = start_cluster(
        [shard("s1", "*", updates_queue_bytes=65_536, updates_send_buffer=4096)],
        [proxy("p1", link_queue_bytes=65_536, link_receive_buffer=4096), proxy("p2")],
        coordination={"lease_ms": 60_000},
    )
    # The chp clients have no other server to go to: they wait for the stopped one.
    options = {"chp": {"patience": 3600.0}}
    stopped_side, other_side = (
        [clones.join(each, cluster.triple(name, each), **options.get(each, {})) for each in DIALECTS]
        for name in ("p1", "p2")
    )
    observer = other_side[0]
    writer = clones.writer("kvsimple", cluster.triple("p2", "kvsimple"))
    keys = [b"/k/%d" % i for i in range(50)]
    counters = dict.fromkeys(keys, 0)

    def burst(number, size=BURST):
        for i in range(size):
            key = keys[(number * size + i) % len(keys)]
            counters[key] += 1
            writer.put(key, value_of(counters[key], PADDING))
        target = (number + 1) * size
        clones.run(lambda: len(observer.live) >= target, f"burst {number} is published")

    def expected():
        return {key: value_of(count, PADDING) for key, count in counters.items() if count}

    burst(0)
    clones.agree(expected())
    committed_before = settled(lambda: committed(cluster))
    received_before = settled(lambda: received_live(cluster.metrics("p1")))

    stopped = cluster.signal("p1", signal.SIGSTOP)
    for number in range(1, BURSTS):
        burst(number)
    stopped.signal(signal.SIGCONT)
    clones.agree(expected())

    committed_since = settled(lambda: committed(cluster)) - committed_before
    received_since = settled(lambda: received_live(cluster.metrics("p1"))) - received_before
    missed = committed_since - received_since
    print(f"committed {committed_since:.0f}, live {received_since:.0f}")
    assert committed_since == (BURSTS - 1) * BURST
    assert missed > 0

    def dropped():
        hop = {"shard": "s1", "hop": "shard_to_proxy"}
        return cluster.metrics("p1").sum("canopy_hwm_dropped_updates_total", **hop)

    # The last of them show at the next heartbeat.
    with contextlib.suppress(AssertionError):
        clones.run(lambda: dropped() == missed, "", 5)
    clones.run_for(1.5)
    assert dropped() == missed
    metrics = cluster.metrics("p1")
    assert metrics.sum("canopy_gaps_total") > 0
    assert metrics.sum("canopy_resyncs_total") > 0

    # Those behind the paused proxy may skip values, never go back; the others saw every one.
    check_never_back(*stopped_side)
    check_unbroken(*other_side)
    late = [clones.join(each, cluster.triple("p1", each)) for each in DIALECTS]
    clones.agree(expected(), late)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_slow_client_harms_nobody(start_cluster, clones, context, dialect):
    """A subscriber that does not read misses whole updates itself, each of which is counted; the
    others miss nothing."""
    queue = 4 << 20
    cluster = start_cluster(
        [shard("s1", "*")],
        [proxy("p1", [dialect], client_queue_bytes=queue, client_send_buffer=65_536)],
    )
    triple = cluster.triple("p1", dialect)
    good = clones.join(dialect, triple)
    options = {"rcvhwm": 1, "rcvbuf": 65_536, "subscribe": b"/bulk/"}
    slow = make_socket(context, zmq.SUB, triple[1], **options)
    writer = clones.writer(dialect, triple)
    for number in range(200):
        writer.put(b"/bulk/k", value_of(number + 1, 100_000))
        clones.run(lambda: len(good.live) == number + 1, "the others go on")
    check_unbroken(good)

    def dropped():
        hop = {"shard": "s1", "hop": "proxy_to_client"}
        return cluster.metrics("p1").sum("canopy_hwm_dropped_updates_total", **hop)

    missed = settled(dropped)
    assert missed > 100
    # What was not dropped still arrives, whole and in order, and then what is written next.
    received = []

    def read():
        while slow.poll(0):
            received.append(decode(slow.recv_multipart(), live=True))
        return len(received) >= 200 - missed

    clones.run(read, "it is told the rest")
    assert len(received) == 200 - missed
    writer.put(b"/bulk/k", b"last")
    clones.run(lambda: read() and received[-1].value == b"last", "it goes on")
    sequences = [update.sequence for update in received]
    assert sequences == sorted(set(sequences))
    assert dropped() == missed
    slow.close()


@contextlib.contextmanager
def subscriber_process(endpoint, prefix):
    """Gives its Process, and the function that says what it was told."""
    child = subprocess.Popen(
        [sys.executable, "-m", clone_subscriber.__name__, endpoint, prefix.decode()],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )

    def received():
        child.stdin.write("\n")
        child.stdin.flush()
        return json.loads(child.stdout.readline())

    try:
        assert child.stdout.readline() == "ready\n"
        yield process(child.pid), received
    finally:
        child.kill()
        child.wait(seconds(5))
        child.stdin.close()
        child.stdout.close()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stopped_subscriber_of_large_values(start_cluster, clones, dialect):
    """Values of 1 MiB: the proxy grows by the queue's bound, and counts what the client misses."""
    queue, prefix, count = 8 * MIB, b"/bulk/", int(20 * DURATION / SLOW)
    cluster = start_cluster(
        [shard("s1", partition("*", log_bytes=MIB))],
        [proxy("p1", [dialect], client_queue_bytes=queue)],
    )
    triple = cluster.triple("p1", dialect)
    good = clones.join(dialect, triple)
    writer = clones.writer(dialect, triple)
    pid = cluster.process("p1").pid
    written = 0

    def write(rounds):
        nonlocal written
        for written in range(written + 1, written + rounds + 1):
            writer.put(prefix + b"k", value_of(written, MIB - 10))
            clones.run(lambda: len(good.live) == written, "the others go on")

    def dropped():
        hop = {"shard": "s1", "hop": "proxy_to_client"}
        return cluster.metrics("p1").sum("canopy_hwm_dropped_updates_total", **hop)

    with subscriber_process(triple[1], prefix) as (child, received):

        def hears():
            write(1)
            return received()

        eventually(hears, "it is told", every=0.1)
        first = received()[0]
        write(5)
        eventually(lambda: received()[-1] == written, "every update")
        before = memory_bytes(pid)
        child.signal(signal.SIGSTOP)
        write(count)
        grown = memory_bytes(pid) - before
        missed = settled(dropped)
        child.signal(signal.SIGCONT)
        print(f"{missed:.0f} missed, the proxy has grown by {grown / MIB:.1f} MiB")
        if SLOW == 1:  # sanitizers keep what is freed
            assert grown < queue + 8 * MIB
        sent = written - first + 1
        eventually(lambda: len(received()) == sent - missed, "it is told the rest")
        write(1)
        eventually(lambda: received()[-1] == written, "it goes on")
        heard = received()
    assert missed > 0 and dropped() == missed
    assert heard == sorted(set(heard)) and set(heard) <= set(range(first, written + 1))
    assert len(heard) == sent + 1 - missed
    check_unbroken(good)


def test_slow_clients_may_be_disconnected(start_cluster, clones, context):
    """`slow_clients: disconnect`: the connection is closed, and the client comes again."""
    cluster = start_cluster(
        [shard("s1", "*")],
        [
            proxy(
                "p1",
                ["kvsimple"],
                client_queue_bytes=4 << 20,
                client_send_buffer=65_536,
                slow_clients="disconnect",
            )
        ],
    )
    triple = cluster.triple("p1", "kvsimple")
    good = clones.join("kvsimple", triple)
    slow = make_socket(context, zmq.SUB, rcvhwm=1, rcvbuf=65_536, subscribe=b"/bulk/")
    ended = slow.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    slow.connect(triple[1])
    writer = clones.writer("kvsimple", triple)
    for number in range(200):
        writer.put(b"/bulk/k", value_of(number + 1, 100_000))
        clones.run(lambda: len(good.live) == number + 1, "the others go on")

    def closed():
        while slow.poll(0):
            slow.recv_multipart()
        return ended.poll(0)

    clones.run(closed, "its connection is closed")
    assert cluster.metrics("p1").sum("canopy_connections_closed_total") > 0
    check_unbroken(good)
    slow.disable_monitor()
    slow.close()
