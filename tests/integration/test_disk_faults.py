"""Read-only or corrupt files: a clear error, that partition not served, never silently
empty; the shard's other partitions are served."""

import contextlib
import os
import random
import shutil

import pytest

from clusterfile import partition, proxy, shard
from smalldisk import mounted, remount
from waiting import eventually, remains

MARKER = b"marker-of-the-partition-under-test"
GOOD = {b"/good/%d" % i: b"good %d" % i for i in range(50)}
BAD = {b"/bad/%d" % i: MARKER + b" %d " % i + b"x" * 500 for i in range(200)}


def disk(subtree, **settings):
    return partition(subtree, durability="disk", **settings)


def filled(start_cluster, flock):
    """A cluster whose partitions hold GOOD and BAD on disk, stopped."""
    cluster = start_cluster(
        [shard("s1", disk("/bad/"), disk("/good/"), "/mem/"), shard("rest", "*")],
        [proxy("p1", ["kvmsg"])],
    )
    client = flock.join("kvmsg", cluster.triple("p1", "kvmsg"))
    for key, value in {**GOOD, **BAD}.items():
        client.put(key, value)
    flock.agree({**GOOD, **BAD})
    flock.leave(client)
    cluster.stop()
    return cluster


def data_file(cluster):
    """The file that holds the values of /bad/, found by what is in it."""
    found = [
        path
        for path in cluster.state_dir.rglob("*")
        if path.is_file() and MARKER in path.read_bytes()
    ]
    assert len(found) == 1, f"files with the values of /bad/: {found}"
    assert b"good 7" not in found[0].read_bytes(), "each partition has files of its own"
    return found[0]


def failed(cluster, subtree="/bad/"):
    part = cluster.partition("s1", subtree)
    return part and part["state"].startswith("failed") and part["state"]


def check_failed_alone(cluster, flock):
    """/bad/ is not served and says why; everything else is."""
    eventually(lambda: failed(cluster), "the partition is reported as failed", 15)
    reason = failed(cluster)
    print(f"state: {reason}")
    assert len(reason) > len("failed: ") + 5, "it says why"
    pid = cluster.process("s1").pid
    status, body = cluster.readyz("s1")
    assert status == 503 and "/bad/" in body, body
    assert cluster.readyz("broker")[0] == 503
    for subtree in ("/good/", "/mem/"):
        eventually(
            lambda: cluster.partition("s1", subtree)["state"] == "serving", f"{subtree} is served"
        )

    triple = cluster.triple("p1", "kvmsg")
    good = flock.join("kvmsg", triple, b"/good/")
    assert good.map == GOOD
    good.put(b"/good/new", b"v")
    flock.agree({**GOOD, b"/good/new": b"v"}, [good])
    memory = flock.join("kvmsg", triple, b"/mem/")
    memory.put(b"/mem/new", b"v")
    flock.agree({b"/mem/new": b"v"}, [memory])

    for subtree in (b"/bad/", b""):
        misled = flock.join("kvmsg", triple, subtree, wait=False)
        remains(
            lambda: not misled.active or BAD.items() <= misled.map.items(),
            f"no empty snapshot of {subtree}",
            1.5,
            flock.turn,
        )
        if not misled.active:
            flock.leave(misled)
    writer = flock.writer("kvmsg", triple)
    writer.put(b"/bad/refused", b"v")
    remains(lambda: failed(cluster), "it stays failed", 1, flock.turn)
    assert cluster.process("s1").pid == pid, "the shard does not restart over and over"
    assert "/bad/" in cluster.log.read_text(errors="replace")


def truncate_to(share):
    return lambda path: os.truncate(path, int(path.stat().st_size * share) // 4096 * 4096)


def overwrite(start, share=1.0):
    def apply(path):
        size = path.stat().st_size
        with open(path, "r+b") as file:
            file.seek(start)
            file.write(random.Random(5).randbytes(int((size - start) * share)))

    return apply


def forbid_format(path):
    path.write_text("this is no database\n")


def cut_in_the_middle_of_a_page(path):
    os.truncate(path, path.stat().st_size - 1234)


CORRUPTIONS = {
    "overwritten with garbage": overwrite(0),
    "first page overwritten": overwrite(0, 0.01),
    "all but the head overwritten": overwrite(2 * 4096),
    "replaced by a text": forbid_format,
    "truncated to zero": truncate_to(0),
    "truncated to half": truncate_to(0.5),
    "truncated to one page": lambda path: os.truncate(path, 4096),
    "truncated by part of a page": cut_in_the_middle_of_a_page,
}


@pytest.mark.parametrize("what", CORRUPTIONS)
def test_a_corrupt_file(start_cluster, flock, what):
    cluster = filled(start_cluster, flock)
    path = data_file(cluster)
    backup = cluster.directory / "backup"
    shutil.copy(path, backup)
    CORRUPTIONS[what](path)
    cluster.start(ready=False)
    check_failed_alone(cluster, flock)
    cluster.stop()
    # The operator puts the file back: everything is there.
    shutil.copy(backup, path)
    cluster.start()
    late = flock.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/bad/")
    assert late.map == BAD


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
    with mounted(tmp_path / "state" / "s1", "4m"):
        yield tmp_path / "state" / "s1"


def test_a_read_only_disk(disk_of_s1, start_cluster, flock):
    cluster = start_cluster(
        [shard("s1", disk("/bad/"), "/good/", "/mem/"), shard("rest", "*")],
        [proxy("p1", ["kvmsg"])],
        state_dir=disk_of_s1.parent,
    )
    client = flock.join("kvmsg", cluster.triple("p1", "kvmsg"))
    for key, value in BAD.items():
        client.put(key, value)
    flock.agree(BAD)
    flock.leave(client)
    cluster.stop()
    remount(disk_of_s1, "ro")
    cluster.start(ready=False)
    triple = cluster.triple("p1", "kvmsg")
    # What follows in check_failed_alone, but /good/ is in memory: it holds nothing yet.
    eventually(lambda: cluster.partition("s1", "/good/"), "the shard has started", 15)
    writer = flock.writer("kvmsg", triple)
    for key, value in GOOD.items():
        writer.put(key, value)
    good = flock.join("kvmsg", triple, b"/good/")
    flock.agree(GOOD, [good])
    check_failed_alone(cluster, flock)
    cluster.stop()
    remount(disk_of_s1, "rw")
    cluster.start()
    late = flock.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/bad/")
    assert late.map == BAD
