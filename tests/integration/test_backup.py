"""Backups of a shard that serves, and a shard that begins again from one."""

import shutil

import pytest

from tests.harness.replicated import (
    REPLICAS,
    SUBTREE,
    WAITS,
    canopy,
    goes_on,
    load,
    held,
    other,
    state,
    wait_in_sync,
)

from tests.harness import native
from tests.harness.cluster import run_program
from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.native_watcher import Watcher
from tests.harness.waiting import eventually

BEFORE = {b"%s%d" % (SUBTREE.encode(), i): b"before" for i in range(100)}


@pytest.fixture
def writer(context):
    made = []

    def make(cluster):
        made.append(native.Writer(context, cluster.native("p1")))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def start_alone(start_cluster):
    """A disk partition with one replica, at s1; the broker supervises no process."""

    def start():
        return start_cluster(
            [shard("s1", partition(SUBTREE, durability="disk")), shard("rest", "*")],
            [proxy("p1", ["native", "kvmsg"])],
            broker={"supervise": False},
        )

    return start


def back_up(cluster, name, as_name):
    done = canopy(cluster, "backup", name, as_name)
    assert done.returncode == 0, done
    path = cluster.state_dir / name / "backups" / as_name
    assert done.stdout == f"{path}\n"
    assert (path / "CURRENT").exists()
    return path


def restore(cluster, name, backup):
    return run_program("canopy-shard", "--config", cluster.file, "--name", name, "--restore", backup)


def stop(cluster, name):
    ended = cluster.terminate(name)
    eventually(lambda: not ended.alive(), f"{name} has ended", 15)


def begin_from(cluster, name, backup):
    """The shard is stopped, loses its store, and starts with the backup."""
    stop(cluster, name)
    refused = restore(cluster, name, backup)
    assert refused.returncode == 1 and "exists already" in refused.stderr
    shutil.rmtree(cluster.state_dir / name / "store")
    restored = restore(cluster, name, backup)
    assert (restored.returncode, restored.stderr) == (0, "")
    cluster.launch_member(name)


def test_a_backup_is_what_all_agree_on_once_it_is_elected(start_alone, writer, clones):
    cluster = start_alone()
    watcher = clones.add(Watcher(clones.context, [cluster.native("p1")], SUBTREE.encode()))
    clones.join("kvmsg", cluster.triple("p1", "kvmsg"), SUBTREE.encode())
    client = writer(cluster)
    for key, value in BEFORE.items():
        client.put(key, value)
    backup = back_up(cluster, "s1", "monday")

    keys = list(BEFORE)
    after = dict(BEFORE)
    for key in keys[:10]:
        client.delete(key)
        del after[key]
    for key in [*keys[20:40], b"/r/late"]:
        client.put(key, b"after")
        after[key] = b"after"
    clones.agree(after)

    with clones.background():
        begin_from(cluster, "s1", backup)
        eventually(lambda: state(cluster, "s1").startswith(WAITS), "the restored replica waits", 20)
        elected = canopy(cluster, "elect", SUBTREE, "s1", "--accept-loss", "--timeout", "20s")
        assert (elected.returncode, elected.stderr) == (0, "")
        cluster.wait_ready()
    clones.agree(BEFORE)
    client.put(b"/r/new", b"v")
    clones.agree({**BEFORE, b"/r/new": b"v"})
    late = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), SUBTREE.encode())
    assert late.map == {**BEFORE, b"/r/new": b"v"}
    assert not [fault for fault in watcher.faults if "protocol" in fault]
    back_up(cluster, "s1", "tuesday")


def test_a_restored_replica_catches_up_with_its_peer(start_cluster, writer, context):
    cluster = start_cluster(
        [shard(name) for name in REPLICAS] + [shard("rest", "*")],
        [proxy("p1", ["native"])],
        partitions=[{"subtree": SUBTREE, "on": list(REPLICAS), "durability": "disk"}],
        broker={"supervise": False},
    )
    follower = other(wait_in_sync(cluster))
    with load(writer(cluster)) as writes:
        goes_on(writes, "before the backup")
        backup = back_up(cluster, follower, "monday")
        back_up(cluster, other(follower), "monday")
        goes_on(writes, "after the backup")
        begin_from(cluster, follower, backup)
        assert wait_in_sync(cluster) == other(follower)
        goes_on(writes, "with the restored replica")
    cluster.wait_ready()
    assert held(cluster, context) == writes.map


def test_what_cannot_be_backed_up_or_restored_is_named(start_alone, tmp_path):
    cluster = start_alone()
    back_up(cluster, "s1", "monday")
    for words, code, why in (
        (("s1", "monday"), 3, "backups/monday: exists already"),
        (("rest", "monday"), 3, "keeps no partition on disk"),
        (("s9", "monday"), 3, "no running shard is called s9"),
        (("s1", "../x"), 2, "'../x' is no name"),
    ):
        refused = canopy(cluster, "backup", *words)
        assert refused.returncode == code and why in refused.stderr, refused
        assert refused.stdout == ""

    store = cluster.state_dir / "s1" / "store"
    monday = cluster.state_dir / "s1" / "backups" / "monday"
    running = restore(cluster, "s1", monday)
    assert running.returncode == 1 and "held by a running shard" in running.stderr
    stop(cluster, "s1")
    moved = store.rename(tmp_path / "moved")
    (tmp_path / "empty").mkdir()
    damaged = shutil.copytree(monday, tmp_path / "damaged")
    table = next(damaged.glob("*.sst"))
    table.write_bytes(table.read_bytes()[:-10])
    for backup, why in (
        (tmp_path / "absent", "is no directory"),
        (tmp_path / "empty", "is not a backup of a store"),
        (moved, "is a store that a shard has opened"),
        (damaged, "orruption"),
    ):
        refused = restore(cluster, "s1", backup)
        assert refused.returncode == 1 and why in refused.stderr, refused
        assert not store.exists()
        assert not list(store.parent.glob("store.new*"))
