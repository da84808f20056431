"""A small file system of a test's own."""

import contextlib
import os
import subprocess

import pytest


@contextlib.contextmanager
def mounted(path, size):
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a tmpfs needs root and the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def remount(path, mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", str(path)], check=True)


@contextlib.contextmanager
def mounted_image(path, megabytes):
    """As ext2, which cannot set blocks aside: what fits shows in the attempt."""
    path.mkdir(parents=True, exist_ok=True)
    image = path.with_suffix(".img")
    image.write_bytes(b"")
    os.truncate(image, megabytes << 20)
    made = subprocess.run(["mkfs.ext2", "-q", "-m", "0", str(image)], capture_output=True)
    mount = ["mount", "-o", "loop", str(image), str(path)]
    if os.getuid() != 0 or made.returncode or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting an image needs root and loop devices")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
