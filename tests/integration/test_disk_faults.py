"""Damaged or read-only stores: a clear error, what is damaged is not served and never silently
empty; memory partitions and other shards are served. A damaged record of a table hits only the
partition that it belongs to, everything else all disk partitions of the shard."""

import contextlib
import os
import random
import shutil

import pytest
import zmq

from tests.harness import native
from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.smalldisk import mounted, remount
from tests.harness.waiting import eventually, remains

MARKER = b"marker-of-the-partition-under-test"
GOOD = {b"/good/%d" % i: b"good %d" % i for i in range(50)}
BAD = {b"/bad/%d" % i: MARKER + b" %d " % i + b"x" * 500 for i in range(200)}
# Written last: of these the log tells.
LATE = {b"/bad/%d" % i: MARKER + b" late %d" % i for i in range(200, 210)}

DISK = {"durability": "disk"}
PARTITIONS = (partition("/good/", **DISK), partition("/bad/", **DISK), partition("/mem/"))
SHARDS = ([shard("s1", *PARTITIONS), shard("rest", "*")], [proxy("p1", ["native", "kvmsg"])])


def copy(state_dir, to):
    """Without the space that is set aside."""
    shutil.copytree(state_dir, to, ignore=shutil.ignore_patterns("*.reserve"), dirs_exist_ok=True)
    return to


@pytest.fixture(scope="module")
def stores(start_shared_cluster, tmp_path_factory):
    """Two state directories: of a cluster that was stopped, and of one that was killed."""
    cluster = start_shared_cluster(*SHARDS)
    made = tmp_path_factory.mktemp("stores")

    def write(entries):
        with zmq.Context() as context:
            writer = native.Writer(context, cluster.native("p1"))
            for key, value in entries.items():
                writer.put(key, value)
            writer.close()

    write(GOOD)
    cluster.stop()  # the records of /good/ get into a table of their own
    cluster.start()
    write(BAD)
    cluster.stop()
    copy(cluster.state_dir, made / "stopped")
    cluster.start()
    write(LATE)
    cluster.destroy()
    copy(cluster.state_dir, made / "killed")
    return made


@pytest.fixture
def prepare(start_cluster, stores, tmp_path):
    """prepare(how) -> start(), which starts a cluster from a copy, and the copy's database."""

    def make(how):
        state = copy(stores / how, tmp_path / "state")
        return lambda: start_cluster(*SHARDS, ready=False, state_dir=state), state / "s1" / "store"

    return make


def only(files, what):
    found = list(files)
    assert len(found) == 1, f"{what}: {found}"
    return found[0]


def table(store):
    """The one that holds the values of /bad/, and nothing of /good/."""
    tables = (path for path in store.glob("*.sst") if MARKER in path.read_bytes())
    found = only(tables, "tables with the values of /bad/")
    assert b"/good/" not in found.read_bytes()
    return found


def log(store):
    return only((path for path in store.glob("*.log") if path.stat().st_size), "logs")


def manifest(store):
    return only(store.glob("MANIFEST-*"), "manifests")


def current(store):
    return store / "CURRENT"


def failed(cluster, subtree="/bad/"):
    part = cluster.partition("s1", subtree)
    return part and part["state"].startswith("failed") and part["state"]


def check_failed_alone(cluster, clones, lost=("/bad/",)):
    """`lost` is not served and says why; everything else is."""
    for subtree in lost:
        eventually(lambda: failed(cluster, subtree), f"{subtree} is reported as failed", 15)
        reason = failed(cluster, subtree)
        print(f"state of {subtree}: {reason}")
        assert len(reason) > len("failed: ") + 5, "it says why"
    pid = cluster.process("s1").pid
    eventually(lambda: cluster.readyz("s1")[0] == 503, "the shard is not ready")
    for name in ("s1", "broker"):
        status, body = cluster.readyz(name)
        assert status == 503 and all(subtree in body for subtree in lost), body
    served = {"/good/", "/mem/"} - set(lost)
    for subtree in served:
        eventually(
            lambda: cluster.partition("s1", subtree)["state"] == "serving", f"{subtree} is served"
        )

    triple = cluster.triple("p1", "kvmsg")
    if "/good/" in served:
        good = clones.join("kvmsg", triple, b"/good/")
        assert good.map == GOOD
        good.put(b"/good/new", b"v")
        clones.agree({**GOOD, b"/good/new": b"v"}, [good])
    memory = clones.join("kvmsg", triple, b"/mem/")
    memory.put(b"/mem/new", b"v")
    clones.agree({b"/mem/new": b"v"}, [memory])
    rest = clones.join("kvmsg", triple, b"/rest/")
    rest.put(b"/rest/new", b"v")
    clones.agree({b"/rest/new": b"v"}, [rest])

    writer = clones.writer("kvmsg", triple)
    for subtree in lost:
        writer.put(subtree.encode() + b"refused", b"v")
    misled = [
        clones.join("kvmsg", triple, subtree, wait=False)
        for subtree in (*(each.encode() for each in lost), b"")
    ]
    remains(
        lambda: not any(each.active for each in misled)
        and all(failed(cluster, each) for each in lost),
        f"no snapshot without {lost}",
        1,
        clones.turn,
    )
    assert cluster.process("s1").pid == pid, "the shard does not restart over and over"
    logged = cluster.log.read_text(errors="replace")
    for subtree in lost:
        assert f"partition not served partition={subtree} why=" in logged


def truncate_to(share):
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def overwrite(start, end):
    """With garbage; from and to which part of the file."""

    def apply(path):
        size = path.stat().st_size
        with open(path, "r+b") as file:
            file.seek(int(size * start))
            file.write(random.Random(5).randbytes(int(size * (end - start)) + 1))

    return apply


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def remove_logs(path):
    for each in path.parent.glob("*.log"):
        each.unlink()


BAD_ALONE, ALL_ON_DISK = ("/bad/",), ("/bad/", "/good/")
TEXT = "this is no database\n"
CORRUPTIONS = {
    "bit of a record flipped": (table, flip_a_bit, BAD_ALONE),
    "first record overwritten": (table, overwrite(0, 0.01), BAD_ALONE),
    "records overwritten": (table, overwrite(0, 0.5), BAD_ALONE),
    "table overwritten with garbage": (table, overwrite(0, 1), ALL_ON_DISK),
    "all but its head overwritten": (table, overwrite(0.5, 1), ALL_ON_DISK),
    "table replaced by a text": (table, lambda path: path.write_text(TEXT), ALL_ON_DISK),
    "table truncated to zero": (table, truncate_to(0), ALL_ON_DISK),
    "table truncated to half": (table, truncate_to(0.5), ALL_ON_DISK),
    "table cut at its end": (table, truncate_to(0.99), ALL_ON_DISK),
    "table removed": (table, os.remove, ALL_ON_DISK),
    "manifest truncated to zero": (manifest, truncate_to(0), ALL_ON_DISK),
    "manifest cut at its end": (manifest, truncate_to(0.95), ALL_ON_DISK),
    "bit of the manifest flipped": (manifest, flip_a_bit, ALL_ON_DISK),
    "manifest removed": (manifest, os.remove, ALL_ON_DISK),
    "name of the manifest overwritten": (current, overwrite(0, 1), ALL_ON_DISK),
    "name of the manifest removed": (current, os.remove, ALL_ON_DISK),
}
# Of a log that a crash has left. What it has lost at its end cannot be told from what was never
# written.
LOG_CORRUPTIONS = {
    "bit of the log flipped": (log, flip_a_bit, ALL_ON_DISK),
    "first half of the log overwritten": (log, overwrite(0, 0.5), ALL_ON_DISK),
    "logs removed": (log, remove_logs, ALL_ON_DISK),
}


def check_corruption(prepare, clones, how, corruption, entries):
    start, store = prepare(how)
    find, damage, lost = corruption
    path = find(store)
    backup = shutil.copytree(store, store.parent / "backup")
    damage(path)
    cluster = start()
    check_failed_alone(cluster, clones, lost)
    cluster.stop()
    # The operator puts the store back: everything is there.
    shutil.rmtree(store)
    shutil.move(backup, store)
    cluster.start()
    late = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/bad/")
    assert late.map == entries


@pytest.mark.parametrize("what", CORRUPTIONS)
def test_a_corrupt_file(prepare, clones, what):
    check_corruption(prepare, clones, "stopped", CORRUPTIONS[what], BAD)


@pytest.mark.parametrize("what", LOG_CORRUPTIONS)
def test_a_corrupt_log_of_a_killed_shard(prepare, clones, what):
    check_corruption(prepare, clones, "killed", LOG_CORRUPTIONS[what], {**BAD, **LATE})


def test_a_stopped_shard_needs_no_log(prepare, clones):
    """All is in tables, where damage is always seen."""
    start, store = prepare("stopped")
    truncate_to(0)(log(store))
    cluster = start()
    cluster.wait_ready()
    late = clones.join("kvmsg", cluster.triple("p1", "kvmsg"))
    assert late.map == {**GOOD, **BAD}


@pytest.fixture
def small_disk(tmp_path):
    with mounted(tmp_path / "disk", "4m"):
        yield tmp_path / "disk"


def test_a_broker_starts_on_a_full_disk(small_disk, start_cluster):
    """What it keeps of its generations takes the place of what it kept before."""
    cluster = start_cluster([shard("s1", "*")], [proxy("p1")], state_dir=small_disk)
    cluster.stop()
    cluster.start()
    cluster.stop()
    with contextlib.suppress(OSError), open(small_disk / "ballast", "wb", buffering=0) as ballast:
        while ballast.write(b"x" * 4096):
            pass
    cluster.start()


@pytest.fixture
def disk_of_s1(tmp_path):
    """A disk that only s1 has: the broker cannot start where it cannot write."""
    with mounted(tmp_path / "state" / "s1", "64m"):
        yield tmp_path / "state" / "s1"


def test_a_read_only_disk(disk_of_s1, stores, start_cluster, clones):
    copy(stores / "stopped", disk_of_s1.parent)
    remount(disk_of_s1, "ro")
    cluster = start_cluster(*SHARDS, ready=False, state_dir=disk_of_s1.parent)
    check_failed_alone(cluster, clones, ALL_ON_DISK)
    cluster.stop()
    remount(disk_of_s1, "rw")
    cluster.start()
    late = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/bad/")
    assert late.map == BAD
