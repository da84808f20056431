"""The Python clients of the documents, as a newcomer would run them."""

import os
import re
import subprocess
import sys
import threading

import pytest

from tests.harness.cluster import REPOSITORY, die_with_parent
from tests.harness.clusterfile import proxy, shard
from tests.harness.keyring import Keyring
from tests.harness.native import Requests, Writer
from tests.harness.waiting import eventually, remains, seconds

EXAMPLE = REPOSITORY / "docs/examples/native_client.py"


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(
        [shard("s1", "/results/"), shard("rest", "*")],
        [proxy("p1", ["native", "kvsimple"]), proxy("p2", ["native"])],
    )


class Example:
    """The example, or another program, as a process; `lines` grows with what it prints."""

    def __init__(self, cluster, *arguments, program=EXAMPLE, **variables):
        self.process = subprocess.Popen(
            [sys.executable, program, *arguments],
            env={**os.environ, "CANOPY_BROKER": cluster.broker_endpoint, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            preexec_fn=die_with_parent,
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait(self):
        code = self.process.wait(seconds(20))
        self._reader.join()
        errors = self.process.stderr.read()
        self.process.stderr.close()
        self.process.stdout.close()
        return code, errors

    def stop(self):
        self.process.kill()
        return self.wait()


@pytest.fixture
def run(cluster):
    started = []

    def start(*arguments):
        started.append(Example(cluster, *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.returncode is None:
            code, errors = each.stop()
            assert code == -9 and not errors, f"it has ended by itself with {code}: {errors}"


def put(run, key, value):
    writing = run("put", key, value)
    code, errors = writing.wait()
    assert code == 0, errors
    (revision,) = writing.lines
    return int(revision)


def test_watch_and_put(cluster, context, run):
    requests = Requests(context, cluster.native("p1"))
    writer = Writer(context, cluster.native("p1"))
    first = put(run, "/results/a", "one")
    assert requests.get(b"/results/a")[:3] == (b"/results/a", first, b"one")
    watching = run("watch", "/results/")
    eventually(lambda: watching.lines == ["PUT /results/a one"], "the snapshot")
    assert put(run, "/results/a", "two words") > first
    put(run, "/elsewhere/a", "not watched")
    writer.delete(b"/results/a")
    writer.put(b"/results/\xff", b"\xfe")
    expected = ["PUT /results/a one", "PUT /results/a two words", "DEL /results/a"]
    expected.append("PUT /results/\udcff \udcfe")
    eventually(lambda: watching.lines == expected, "every event, in order, and no other")
    requests.close()
    writer.close()


def test_it_goes_on_when_its_proxy_is_killed(cluster, context, run):
    """Told everything, nothing twice."""
    writer = Writer(context, cluster.native("p1"), cluster.native("p2"))
    watching = run("watch", "")
    for number in range(60):
        writer.put(b"/results/%d" % number, b"v")
        if number in (20, 40):
            name = "p1" if number == 20 else "p2"
            before = cluster.kill(name)
            eventually(lambda: cluster.restarted(name, before), "the proxy is back", 20)
    expected = {f"PUT /results/{number} v" for number in range(60)}
    eventually(lambda: set(watching.lines) >= expected, "every change is printed", 30)
    assert sorted(watching.lines) == sorted(expected)
    writer.close()


def test_it_speaks_curve(start_cluster, tmp_path):
    keys = Keyring(tmp_path / "keys")
    security = keys.security(alice={"read": ["*"], "write": ["*"]}, bob={"read": ["/b/"]})
    secured = start_cluster([shard("s1", "*")], [proxy("p1", ["native"])], security=security)
    writing = Example(secured, "put", "/a", "v", **keys.environment("alice"))
    code, errors = writing.wait()
    assert code == 0, errors
    watching = Example(secured, "watch", "", **keys.environment("alice"))
    try:
        eventually(lambda: watching.lines == ["PUT /a v"], "the snapshot")
    finally:
        watching.stop()
    for arguments in (["watch", ""], ["put", "/b/1", "v"]):
        code, errors = Example(secured, *arguments, **keys.environment("bob")).wait()
        assert code == 1 and errors.startswith("refused: "), errors


def test_what_is_refused(run):
    """A final refusal ends it with its text."""
    for key in ("", "HUGZ", "/" + "k" * 255):
        code, errors = run("put", key, "v").wait()
        assert code == 1 and re.match(r"refused: .*key", errors), errors


def test_the_python_program_of_the_readme(cluster, context):
    program = (REPOSITORY / "README.md").read_text().split("```python\n")[1].split("```")[0]
    ports = ", ".join(endpoint.rsplit(":", 1)[1] for endpoint in cluster.triple("p1", "kvsimple"))
    assert "(5556, 5557, 5558)" in program
    writer = Writer(context, cluster.native("p1"))
    writer.put(b"/results/eu/42", b"2:1")
    writer.close()
    ran = subprocess.run(
        [sys.executable, "-c", program.replace("5556, 5557, 5558", ports)],
        capture_output=True,
        text=True,
        timeout=seconds(20),
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    *held, update = ran.stdout.splitlines()
    assert "/results/eu/42 = 2:1" in held
    assert "b'/results/eu/43'" in update and "b'0:0'" in update


def test_the_watcher_of_the_protocol_page(cluster, context, tmp_path):
    page = (REPOSITORY / "docs/reference/protocol.md").read_text()
    program = page.split("```python\n")[1].split("```")[0]
    assert "tcp://127.0.0.1:5550" in program
    (tmp_path / "watcher.py").write_text(program.replace("tcp://127.0.0.1:5550", cluster.broker_endpoint))
    writer = Writer(context, cluster.native("p1"))
    writer.put(b"/results/a", b"one")
    watching = Example(cluster, program=tmp_path / "watcher.py")
    try:
        eventually(lambda: watching.lines == ["PUT /results/a b'one'"], "the snapshot")
        writer.put(b"/results/b", b"two")
        writer.delete(b"/results/a")
        expected = ["PUT /results/a b'one'", "PUT /results/b b'two'", "DEL /results/a None"]
        eventually(lambda: watching.lines == expected, "each update")
        remains(lambda: watching.process.poll() is None, "the watcher runs on an idle stream", 2)
    finally:
        watching.stop()
    writer.close()


@pytest.mark.parametrize("of, to", [("kvsimple", "kvsimple"), ("kvmsg", "kvmsg"), ("chp", "kvmsg")])
def test_the_keys_of_a_clone_server_are_copied(start_cluster, context, tmp_path, of, to):
    """A proxy stands in for the old server."""
    old, new = (start_cluster([shard("s1", "*")], [proxy("p1", ["native", each])]) for each in (of, to))
    page = (REPOSITORY / "docs/how-to/migrate-from-clone.md").read_text()
    (tmp_path / "copy_keys.py").write_text(page.split("```python\n")[1].split("```")[0])
    writer = Writer(context, old.native("p1"))
    for number in range(100):
        writer.put(b"/results/%d" % number, b"%d" % number)
    writer.close()
    first_ports = old.triple("p1", of)[0], new.triple("p1", to)[0]
    arguments = [part for endpoint in first_ports for part in endpoint.rsplit(":", 1)]
    ran = subprocess.run(
        [sys.executable, tmp_path / "copy_keys.py", *arguments], capture_output=True, text=True, timeout=seconds(20)
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "100 entries copied\n", "")
    requests = Requests(context, new.native("p1"))
    eventually(lambda: requests.get(b"/results/99"), "the last entry")
    assert requests.get(b"/results/42")[2] == b"42"
    requests.close()
