"""Numbers never go back: over restarts of broker, shard and proxy, with the broker's file and without
it, and when the clock steps back. And one name is one shard's."""

import contextlib
import signal
import subprocess

import pytest
import yaml

from tests.harness import native, native_watcher, scrape
from tests.harness.cluster import BIN, die_with_parent, run_program
from tests.harness.clusterfile import proxy, shard
from tests.harness.promises import check_protocol
from tests.harness.waiting import SLOW, eventually, remains, seconds

LIBFAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def memory_cluster(start_cluster, **broker):
    return start_cluster(
        [shard("s1", "*")], [proxy("p1"), proxy("p2")], broker={"supervise": False, **broker}
    )


def join_all(cluster, clones, context):
    """A client of each kind at p1, which lives on."""
    clients = [
        clones.join("kvsimple", cluster.triple("p1", "kvsimple")),
        clones.join("kvmsg", cluster.triple("p1", "kvmsg")),
        clones.add(native_watcher.Watcher(context, [cluster.native("p1")])),
    ]
    clones.run(lambda: clients[-1].active, "the native client watches")
    return clients


def write(cluster, clones, context, entries):
    writer = native.Writer(context, cluster.native("p1"))
    try:
        with clones.background():
            for key, value in entries.items():
                writer.put(key, value)
    finally:
        writer.close()


def end(cluster, name):
    """kill -9, and nothing of it left."""
    cluster.kill(name)
    cluster._own[name].wait()


def generations(cluster):
    return cluster.state_dir / "broker" / "generations"


@pytest.mark.parametrize("file", ["kept", "lost"])
def test_clients_of_a_surviving_proxy_follow_a_memory_shard_through_restarts(
    start_cluster, clones, context, file
):
    """Broker and shard start again and again within a minute. Each leader's updates count to
    more or less than those of the one before it."""
    cluster = memory_cluster(start_cluster)
    clients = join_all(cluster, clones, context)
    epochs = [cluster.partition("s1", "*")["epoch"]]
    for number, count in enumerate((20, 40, 10)):
        expected = {b"/%d/%d" % (number, i): b"v" for i in range(count)}
        write(cluster, clones, context, expected)
        clones.agree(expected, clients)
        if number == 2:
            break
        with clones.background():
            survivor = cluster.process("p1")
            end(cluster, "s1")
            cluster.kill_broker()
            if file == "lost":
                generations(cluster).unlink()
            cluster.start_broker()
            cluster.launch_member("s1")
            cluster.wait_ready()
            assert cluster.process("p1") == survivor
        eventually(
            lambda: cluster.partition("s1", "*")["epoch"] > epochs[-1], "the epoch grows", turn=clones.turn
        )
        epochs.append(cluster.partition("s1", "*")["epoch"])
    check_protocol(*clients[:2])
    native_watcher.check_promises(clients[2])
    late = clones.join("kvmsg", cluster.triple("p2", "kvmsg"))
    assert late.map == expected


@pytest.mark.skipif(SLOW > 1, reason="a sanitizer's runtime must come before libfaketime")
def test_a_proxy_whose_clock_steps_back_keeps_its_clone_clients(start_cluster, clones, context):
    cluster = memory_cluster(start_cluster)
    client = clones.join("kvmsg", cluster.triple("p1", "kvmsg"))
    write(cluster, clones, context, {b"/k": b"1"})
    clones.agree({b"/k": b"1"}, [client])
    before = client.history[-1].sequence
    end(cluster, "p1")
    cluster.launch_member(
        "p1", LD_PRELOAD=LIBFAKETIME, FAKETIME="-1d", FAKETIME_DONT_FAKE_MONOTONIC="1"
    )
    with clones.background():
        cluster.wait_ready()
    late = clones.join("kvsimple", cluster.triple("p1", "kvsimple"))
    write(cluster, clones, context, {b"/k": b"2"})
    clones.agree({b"/k": b"2"}, [client, late])
    assert client.history[-1].sequence > before


class Watch:
    """`canopy watch '*'` and the map that its lines make."""

    def __init__(self, cluster, path):
        with open(path, "wb") as out:
            self.process = subprocess.Popen(
                [BIN / "canopy", "watch", "*", "--broker", cluster.broker_endpoint],
                stdout=out,
                preexec_fn=die_with_parent,
            )
        self.path = path

    def map(self):
        entries = {}
        for line in self.path.read_text().splitlines():
            kind, _, rest = line.partition("\t")
            if kind == "PUT":
                key, _, value = rest.split("\t")
                entries[key] = value
            elif kind == "DEL":
                entries.pop(rest.split("\t")[0], None)
        return entries


def test_canopy_watch_is_exact_after_the_whole_cluster_starts_again(start_cluster, context, tmp_path):
    cluster = start_cluster([shard("s1", "/a/"), shard("s2", "*")], [proxy("p1"), proxy("p2")])
    watch = Watch(cluster, tmp_path / "watch")
    try:
        for number in range(3):
            writer = native.Writer(context, cluster.native("p1"), cluster.native("p2"))
            expected = {}
            for i in range(5):
                for place in ("/a", "/b"):
                    key = f"{place}/{number}/{i}"
                    writer.put(key.encode(), b"v")
                    expected[key] = "v"
            writer.close()
            eventually(lambda: watch.map() == expected, f"watch has {expected}", 20)
            if number < 2:
                cluster.broker.send_signal(signal.SIGTERM)
                assert cluster.wait_stopped() == 0
                cluster.start()
    finally:
        watch.process.terminate()
        watch.process.wait()


def twin_file(cluster, ports, path):
    """The same cluster with s1 at other ports: what an operator gets by copying a file."""
    document = yaml.safe_load(cluster.file.read_text())
    first = ports.claim(3)
    twin = document["shards"][0]
    twin["requests"], twin["updates"] = (f"tcp://127.0.0.1:{first + i}" for i in range(2))
    twin["http"] = f"127.0.0.1:{first + 2}"
    path.write_text(yaml.safe_dump(document))
    return twin["http"]


@contextlib.contextmanager
def twin_shard(cluster, path, state_dir):
    with open(cluster.directory / "twin.log", "ab") as log:
        process = subprocess.Popen(
            [BIN / "canopy-shard", "--config", path, "--name", "s1", "--state-dir", state_dir],
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(seconds(15)) == 0


def test_a_second_shard_of_a_name_is_refused_while_the_first_lives(
    start_cluster, clones, context, ports, tmp_path
):
    cluster = memory_cluster(start_cluster)
    file = tmp_path / "twin.yaml"
    http = twin_file(cluster, ports, file)
    watcher = clones.join("kvmsg", cluster.triple("p1", "kvmsg"))
    write(cluster, clones, context, {b"/k": b"first"})
    with twin_shard(cluster, file, tmp_path / "other"):


        def refused():
            status, body = scrape.get(http, "/readyz")
            return status == 503 and "another process of this name is running: s1" in body

        eventually(refused, "the second shard's /readyz says why")
        rejected = cluster.metrics("broker").sum("canopy_rejected_total", reason="name_taken")
        assert rejected > 0

        # A restart of the broker does not let the second in, nor one of the first.
        cluster.kill_broker()
        cluster.start_broker()
        with clones.background():
            cluster.wait_ready()
        holder = cluster.process("s1")
        remains(lambda: cluster.process("s1") == holder and refused(), "the first serves", 2, clones.turn)
        clones.agree({b"/k": b"first"}, [watcher])
        end(cluster, "s1")
        cluster.launch_member("s1")
        with clones.background():
            eventually(lambda: cluster.restarted("s1", holder), "the first serves again")
        assert refused()

        # When it has ended for a lease the second takes over.
        holder = cluster.process("s1")
        write(cluster, clones, context, {b"/k": b"of the first"})
        end(cluster, "s1")
        with clones.background():
            eventually(lambda: scrape.get(http, "/readyz")[0] == 200, "the second serves")
        write(cluster, clones, context, {b"/l": b"of the second"})
        clones.agree({b"/l": b"of the second"}, [watcher])
    check_protocol(watcher)


def test_a_second_shard_in_the_same_state_dir_does_not_start(start_cluster, ports, tmp_path):
    cluster = memory_cluster(start_cluster)
    file = tmp_path / "twin.yaml"
    twin_file(cluster, ports, file)
    ended = run_program(
        "canopy-shard", "--config", file, "--name", "s1", "--state-dir", cluster.state_dir
    )
    assert ended.returncode == 1
    assert "s1: held by another running shard" in ended.stderr


def test_a_proxy_serves_nobody_before_it_has_a_generation(start_cluster, clones, context, ports):
    http = f"127.0.0.1:{ports.claim()}"
    cluster = start_cluster(
        [shard("s1", "*")], [proxy("p1", http=http)], broker={"supervise": False}
    )
    write(cluster, clones, context, {b"/k": b"v"})
    end(cluster, "p1")
    cluster.kill_broker()
    cluster.launch_member("p1")
    eventually(
        lambda: "waits for the broker to grant one" in scrape.get(http, "/readyz")[1],
        "/readyz says so",
    )
    client = clones.join("kvsimple", cluster.triple("p1", "kvsimple"), wait=False)
    clones.run_for(0.5)
    assert not client.active
    cluster.start_broker()
    clones.run(lambda: client.active, "it is served once the broker is back", 20)
    clones.agree({b"/k": b"v"}, [client])
    with clones.background():
        cluster.wait_ready()


@pytest.mark.parametrize("damage", ["damaged", "unwritable"])
def test_a_broker_without_a_usable_file_says_so(start_cluster, damage):
    cluster = memory_cluster(start_cluster)
    cluster.kill_broker()
    file = generations(cluster)
    if damage == "damaged":
        file.write_text("canopy-generations 1\nreserved")
    else:
        file.with_suffix(".new").unlink(missing_ok=True)
        file.with_suffix(".new").mkdir()
    ended = run_program("canopy-broker", "--config", cluster.file)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1 and str(file) in ended.stderr
    if damage == "damaged":
        file.unlink()
    else:
        file.with_suffix(".new").rmdir()
    cluster.start_broker()
    cluster.wait_ready()
