"""A real etcd of one member, on ports of its own."""

import contextlib
import signal
import subprocess
import urllib.error
import urllib.request

from tests.harness.waiting import eventually


class Etcd:
    def __init__(self, directory, ports):
        self.directory = directory
        self.client, peer = (f"http://127.0.0.1:{ports.claim()}" for _ in range(2))
        self.command = [
            "etcd", "--name", "e1", "--data-dir", str(directory / "data"), "--logger", "zap",
            "--listen-client-urls", self.client, "--advertise-client-urls", self.client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"e1={peer}", "--unsafe-no-fsync",
        ]
        self.process = None

    def start(self):
        log = open(self.directory / "etcd.log", "ab")
        self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        eventually(self.answers, "etcd answers", 20)

    def answers(self):
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(self.client + "/health", timeout=2).status == 200
        return False

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
