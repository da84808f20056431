"""A shard whose disk takes long for each commit: proxies that join it get their copies all the same."""

import subprocess
import threading

import pytest

from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.native_watcher import Watcher
from tests.harness.promises import fill
from tests.harness.waiting import SLOW

COMMIT_MS = 600
# Takes the place of the C library's: a sync takes COMMIT_MS from when the file SLOW_DISK exists.
PRELOADED = (
    """
#include <stdlib.h>
#include <unistd.h>
static int sync_slowly(void) {
  if (access(getenv("SLOW_DISK"), F_OK) == 0) usleep(%d * 1000);
  return 0;
}
int fdatasync(int fd) { (void)fd; return sync_slowly(); }
int fsync(int fd) { (void)fd; return sync_slowly(); }
int msync(void* at, size_t size, int flags) {
  (void)at; (void)size; (void)flags;
  return sync_slowly();
}
"""
    % COMMIT_MS
)


@pytest.fixture
def slow_disk(tmp_path, monkeypatch):
    """Whatever starts meanwhile has a disk that is slow once the file is there, whose path this is."""
    library = tmp_path / "slow_disk.so"
    (tmp_path / "slow_disk.c").write_text(PRELOADED)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "slow_disk.c"], check=True)
    monkeypatch.setenv("SLOW_DISK", str(tmp_path / "slow"))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    return tmp_path / "slow"


@pytest.mark.skipif(SLOW > 1, reason="a sanitizer wants to be loaded first")
def test_a_fresh_proxy_is_complete_while_writes_go_on(slow_disk, start_cluster, clones):
    cluster = start_cluster(
        [shard("s1", partition("*", durability="disk"))],
        [proxy("old", ["kvmsg"])] + [proxy(f"new{i}", ["native"]) for i in range(3)],
    )
    observer = clones.join("kvmsg", cluster.triple("old", "kvmsg"))
    entries = {b"/%d" % i: b"x" * 10_000 for i in range(3000)}  # 120 chunks
    fill(clones, observer.writer, observer, entries.items())
    stopping = threading.Event()

    def write():
        while not stopping.wait(0.01):
            observer.writer.put(b"/hot", b"1")

    writing = threading.Thread(target=write)
    slow_disk.touch()
    writing.start()
    try:
        clones.run_for(2 * COMMIT_MS / 1000)
        fresh = [clones.add(Watcher(clones.context, [cluster.native(f"new{i}")])) for i in range(3)]
        clones.run(lambda: all(each.active for each in fresh), "the copies are complete", 30)
    finally:
        stopping.set()
        writing.join()
        slow_disk.unlink()
    clones.agree({**entries, b"/hot": b"1"})
    for number in range(3):
        taken = cluster.metrics(f"new{number}").sum("canopy_resyncs_total", kind="snapshot")
        assert taken == 1
