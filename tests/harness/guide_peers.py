"""Clone clients in other languages than C, in the shape of the ZeroMQ guide's own: what each puts into
the frames of a write, and a JeroMQ client as a process of its own (java/GuideClient.java)."""

import pathlib
import shutil
import struct
import subprocess
import threading
import uuid

JAR = pathlib.Path("/usr/share/java/jeromq.jar")
SOURCE = pathlib.Path(__file__).parent / "java/GuideClient.java"


def missing():
    """What the JeroMQ client lacks on this machine; empty when nothing."""
    if not shutil.which("javac"):
        return "no JDK: apt-get install openjdk-17-jdk-headless"
    return "" if JAR.exists() else "no JeroMQ: apt-get install libjeromq-java"


def kvmsg_writes():
    """{language: (sequence, uuid, properties)} of an update that is to live for 30 s."""
    made = uuid.uuid4
    return {
        "C": (struct.pack(">q", 0), made().bytes, b"ttl=30\n"),
        "C++": (struct.pack(">q", 0), made().hex.upper().encode(), b"ttl=30\n"),
        "Java": (struct.pack(">q", 0), str(made()).encode(), b"ttl=30\n"),
        "Tcl": (struct.pack(">q", 0), str(made()).encode(), b"ttl= 30\n"),
        "Python": (struct.pack(">q", 0), made().bytes, b"ttl=%f\n" % 30.0),
        "short sequence": (struct.pack("!l", 0), made().bytes, b"ttl=+30\n"),
    }


class JavaClient:
    def __init__(self, dialect, subtree, triples):
        snapshot, updates, _ = triples[0]
        collectors = [triple[2] for triple in triples]
        self.process = subprocess.Popen(
            ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp", JAR, SOURCE]
            + [dialect, subtree, snapshot, updates, *collectors],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.rows = []  # as they are said
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.rows.append(tuple(line.rstrip("\n").split("\t")))

    @property
    def active(self):
        assert self.process.poll() is None, self.process.stderr.read()
        return any(row[0] == "SYNCED" for row in list(self.rows))

    @property
    def map(self):
        made = {}
        for row in list(self.rows):
            if row[0] == "SYNCED":
                continue
            if row[3]:
                made[row[1]] = row[3]
            else:
                made.pop(row[1], None)
        return made

    def put(self, key, value, ttl=""):
        self.process.stdin.write(f"put\t{key}\t{ttl}\t{value}\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
