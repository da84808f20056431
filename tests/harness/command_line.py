"""`canopy`, the command line, run as a user runs it: a command to its end, or a watch that goes on."""

import contextlib
import re
import signal
import subprocess

import pytest

from tests.harness.cluster import BIN, sanitizer_environment
from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.waiting import eventually, seconds

OK, ABSENT, WRONG_USAGE, REFUSED, NO_ANSWER, BROKEN = range(6)


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", partition("/disk/", durability="disk"), "*")], [proxy("p1"), proxy("p2")]
    )


def environment(cluster, **variables):
    """The environment of a user, with CANOPY_BROKER."""
    made = {**sanitizer_environment(cluster.directory), "CANOPY_BROKER": cluster.broker_endpoint}
    return {**made, **variables}


def run(cluster, *words, stdin=b"", **variables):
    """Runs a command to its end: a CompletedProcess with output in bytes."""
    return subprocess.run(
        [BIN / "canopy", *words],
        input=stdin,
        capture_output=True,
        timeout=seconds(30),
        env=environment(cluster, **variables),
    )


def succeed(cluster, *words, **options):
    done = run(cluster, *words, **options)
    assert (done.returncode, done.stderr) == (OK, b""), done
    return done.stdout


def fail(cluster, code, *words, **options):
    """The one line on stderr, without the program's name; nothing is on stdout."""
    done = run(cluster, *words, **options)
    assert (done.returncode, done.stdout) == (code, b""), done
    line = done.stderr.decode()
    assert line.startswith("canopy: ") and line.endswith("\n") and line.count("\n") == 1, line
    return line.removeprefix("canopy: ").removesuffix("\n")


def put(cluster, key, value, *options, **more):
    """The revision of the write."""
    text = succeed(cluster, "put", key, value, *options, **more)
    assert re.fullmatch(rb"[1-9][0-9]*\n", text)
    return int(text)


def delete(cluster, key, *options):
    text = succeed(cluster, "delete", key, *options)
    assert re.fullmatch(rb"[1-9][0-9]*\n", text)
    return int(text)


@pytest.fixture
def place(request):
    """A subtree for the test alone."""
    return f"/memory/{re.sub('[^a-z0-9]+', '-', request.node.name)}/"


class Watch:
    """A running `canopy watch`, its output in a file that every line reaches at once."""

    def __init__(self, cluster, path, *words, **options):
        self.path = path
        with open(path, "wb") as out, open(f"{path}.err", "wb") as err:
            self.process = subprocess.Popen(
                [BIN / "canopy", "watch", *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment(cluster),
                **options,
            )

    def lines(self):
        assert self.process.poll() is None, self.errors()
        return self.path.read_text().splitlines()

    def errors(self):
        return open(f"{self.path}.err").read()

    def rows(self):
        return [tuple(line.split("\t")) for line in self.lines()]

    def wait(self, expected, what):
        try:
            eventually(lambda: self.rows() == expected, what)
        except AssertionError:
            raise AssertionError(f"{what}: {self.rows()} is not {expected}") from None

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(seconds(10))


@pytest.fixture
def watch(cluster, tmp_path):
    """watch(*words) -> a Watch, ended afterwards."""
    with contextlib.ExitStack() as stack:

        def start(*words, of=cluster):
            made = Watch(of, tmp_path / f"watch{len(list(tmp_path.iterdir()))}", *words)
            stack.callback(made.process.wait)
            stack.callback(made.process.kill)
            return made

        yield start
