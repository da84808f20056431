"""A power cut undoes unsynced changes, and no others."""

import os
import signal
import subprocess
import sys

import pytest

from tests.harness.cluster import BIN

LIBRARY = BIN / "liblost_sync.so"
ALL, SOME = 0, 1  # even: everything that is not synced


class Disk:
    def __init__(self, path):
        self.root = path / "root"
        self.root.mkdir()
        self.environment = {
            **os.environ,
            "LD_PRELOAD": str(LIBRARY),
            "LOST_SYNC_ROOT": str(self.root),
            "LOST_SYNC_JOURNAL": str(path / "journal"),
        }

    def run(self, code):
        """Runs Python code, which then kills itself; `put` writes a file."""
        program = (
            "import os, signal\n"
            "def put(name, data, at=0, flags=0):\n"
            "    fd = os.open(name, os.O_RDWR | os.O_CREAT | flags, 0o644)\n"
            "    os.pwrite(fd, data, at)\n"
            "    return fd\n"
            f"{code}\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=self.environment, cwd=self.root, stderr=subprocess.PIPE)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()

    def cut(self, seed=ALL):
        environment = {**self.environment, "LOST_SYNC_CUT": str(seed)}
        subprocess.run(["/bin/true"], env=environment, check=True)

    def files(self):
        return {path.name: path.read_bytes() for path in self.root.iterdir()}


@pytest.fixture
def disk(tmp_path):
    if not LIBRARY.exists():
        pytest.skip(f"no {LIBRARY}: ninja -C build faults-programs")
    return Disk(tmp_path)


def test_without_a_cut_everything_is_there(disk):
    disk.run("put('a', b'one'); put('b', b'two')")
    assert disk.files() == {"a": b"one", "b": b"two"}


def test_what_was_not_synced_is_lost(disk):
    disk.run("a = put('a', b'one'); os.fsync(a); os.pwrite(a, b'TWO', 1)")
    assert disk.files() == {"a": b"oTWO"}
    disk.cut()
    assert disk.files() == {"a": b"one"}


def test_a_file_without_a_sync_is_lost(disk):
    disk.run("a = put('a', b'one'); os.fsync(a); put('b', b'two')")
    disk.cut()
    assert disk.files() == {"a": b"one"}


def test_pages_come_back_one_by_one(disk):
    page = 4096
    disk.run(
        f"a = put('a', bytes([7]) * {3 * page}); os.fdatasync(a)\n"
        f"os.pwrite(a, b'x', {page + 5}); os.pwrite(a, b'y', {page + 6}); os.ftruncate(a, {page + 50})"
    )
    disk.cut()
    assert disk.files() == {"a": bytes([7]) * 3 * page}


def test_a_cut_of_what_an_earlier_process_wrote(disk):
    disk.run("a = put('a', b'one'); os.fsync(a); os.pwrite(a, b'two', 0)")
    disk.run("a = put('a', b'!', 3)")
    assert disk.files() == {"a": b"two!"}
    disk.cut()
    assert disk.files() == {"a": b"one"}


def test_a_sync_covers_what_an_earlier_process_wrote(disk):
    disk.run("put('a', b'one')")
    disk.run("os.fsync(os.open('a', os.O_RDONLY))")
    disk.cut()
    assert disk.files() == {"a": b"one"}


def test_synced_writes_last_alone(disk):
    disk.run(
        "a = put('a', bytes(8192)); os.fsync(a); os.pwrite(a, b'lost', 4096)\n"
        "put('a', b'kept', 0, os.O_DSYNC)"
    )
    disk.cut()
    assert disk.files() == {"a": b"kept" + bytes(8188)}


def test_names_last_once_their_directory_is_synced(disk):
    change = (
        "os.fsync(put('a', b'one')); os.fsync(put('b', b'two')); os.fsync(put('c', b'three'))\n"
        "os.rename('a', 'b'); os.unlink('c')\n"
    )
    disk.run(change)
    assert disk.files() == {"b": b"one"}
    disk.cut()
    assert disk.files() == {"a": b"one", "b": b"two", "c": b"three"}
    disk.run(change + "os.fsync(os.open('.', os.O_RDONLY))")
    disk.cut()
    assert disk.files() == {"b": b"one"}


def test_truncating_by_open_is_a_change_too(disk):
    disk.run("os.fsync(put('a', b'one')); put('a', b'2', 0, os.O_TRUNC)")
    assert disk.files() == {"a": b"2"}
    disk.cut()
    assert disk.files() == {"a": b"one"}


def test_a_part_may_be_lost(disk):
    found = set()
    for seed in range(1, 30, 2):
        disk.run("a = put('a', bytes(8192)); os.fsync(a); os.pwrite(a, b'x', 0); os.pwrite(a, b'y', 4096)")
        disk.cut(seed)
        content = disk.files()["a"]
        found.add((content[0:1], content[4096:4097]))
    assert len(found) == 4, "each page by itself"


def test_journals_do_not_grow(disk):
    disk.run("a = put('a', b'')\nfor i in range(2000): os.pwrite(a, bytes(4096), 0); os.fsync(a)")
    journal = disk.root.parent / "journal"
    # 1 MB, and the file itself under another name.
    assert sum(path.stat().st_size for path in journal.iterdir()) < (2 << 20)
