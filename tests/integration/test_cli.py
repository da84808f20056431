"""`canopy`, the command line: every command, its output and its exit codes."""

import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from cluster import BIN, sanitizer_environment
from clusterfile import HOST, partition, proxy, shard
from waiting import eventually, seconds

OK, ABSENT, WRONG_USAGE, REFUSED, NO_ANSWER, BROKEN = range(6)
MANY = 10_000_000_000_000_000_000  # a revision that nothing ever has


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", partition("/disk/", durability="disk"), "*")], [proxy("p1"), proxy("p2")]
    )


def environment(cluster, **variables):
    """That of a user who has set CANOPY_BROKER."""
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


# -- values --------------------------------------------------------------------------------------


def test_a_value_is_put_read_and_deleted(cluster, place):
    key = place + "k"
    first = put(cluster, key, "one")
    assert succeed(cluster, "get", key) == b"one"
    second = put(cluster, key, "two")
    assert second > first
    assert succeed(cluster, "get", key) == b"two"
    assert delete(cluster, key) > second
    assert fail(cluster, ABSENT, "get", key) == f"{key} is absent"
    assert delete(cluster, key) > second, "a delete of nothing is no error"


def test_a_disk_partition_is_written_alike(cluster):
    put(cluster, "/disk/k", "kept")
    assert succeed(cluster, "get", "/disk/k") == b"kept"


@pytest.mark.parametrize(
    "value",
    [b"", b"\n", b"line\nand line\n", b"\x00\xff\xfe\x80", bytes(range(256)), b"v" * (1 << 20)],
    ids=["nothing", "newline", "lines", "no text", "every byte", "the largest"],
)
def test_any_bytes_come_through_standard_input_and_output(cluster, place, value):
    put(cluster, place + "k", "-", stdin=value)
    assert succeed(cluster, "get", place + "k") == value


def test_a_value_may_look_like_an_option(cluster, place):
    succeed(cluster, "put", "--", place + "k", "--ttl")
    assert succeed(cluster, "get", place + "k") == b"--ttl"


def test_on_a_terminal_the_value_ends_its_line(cluster, place):
    put(cluster, place + "k", "v")
    main, terminal = os.openpty()
    subprocess.run([BIN / "canopy", "get", place + "k"], stdout=terminal, env=environment(cluster))
    os.close(terminal)
    assert os.read(main, 100) == b"v\r\n"
    os.close(main)


def test_a_key_that_ends_with_a_slash_is_a_key_to_get(cluster, place):
    put(cluster, place + "inside", "1")
    assert fail(cluster, ABSENT, "get", place) == (
        f"{place} is absent (this is one key: `canopy list {place}` prints what is below it)"
    )
    put(cluster, place, "itself")
    assert succeed(cluster, "get", place) == b"itself"


def test_a_value_lives_for_its_ttl(cluster, place, watch):
    watching = watch(place)
    revision = put(cluster, place + "k", "v", "--ttl", "1s")
    lasting = put(cluster, place + "lasting", "v", "--ttl", "1h")
    begin = [
        ("PUT", place + "k", str(revision), "v"),
        ("PUT", place + "lasting", str(lasting), "v"),
    ]
    eventually(lambda: len(watching.rows()) == 3, "the key expires")
    assert watching.rows()[:2] == begin
    assert watching.rows()[2][:2] == ("DEL", place + "k")
    fail(cluster, ABSENT, "get", place + "k")
    assert succeed(cluster, "get", place + "lasting") == b"v"


def test_writes_can_ask_for_a_revision(cluster, place):
    key = place + "k"
    absent = fail(cluster, REFUSED, "put", key, "v", "--if-revision", str(MANY))
    assert absent == f"{key} is absent, not at revision {MANY}"
    first = put(cluster, key, "one", "--if-revision", "0")
    assert fail(cluster, REFUSED, "put", key, "x", "--if-revision", "0") == (
        f"{key} exists, at revision {first}"
    )
    second = put(cluster, key, "two", "--if-revision", str(first))
    for command in (["put", key, "x"], ["delete", key]):
        assert fail(cluster, REFUSED, *command, "--if-revision", str(first)) == (
            f"{key} has revision {second}, not {first}"
        )
    assert succeed(cluster, "get", key) == b"two"
    assert delete(cluster, key, "--if-revision", str(second)) > second
    put(cluster, key, "three", "--if-revision", "0")


def test_a_value_that_is_too_large_is_refused(cluster, place):
    said = fail(cluster, REFUSED, "put", place + "k", "-", stdin=b"v" * ((1 << 20) + 1))
    assert said == f"{place}k: the value is too large"
    fail(cluster, ABSENT, "get", place + "k")


def test_an_empty_value_is_a_value(cluster, watch):
    for key in ("/memory/empty", "/disk/empty"):
        revision = str(put(cluster, key, ""))
        assert succeed(cluster, "get", key) == b""
        assert succeed(cluster, "list", key).decode() == f"{key}\t{revision}\t\n"
        watch(key).wait([("PUT", key, revision, "")], "the key is there")
        assert fail(cluster, REFUSED, "put", key, "x", "--if-revision", "0").startswith(
            f"{key} exists, "
        )
        delete(cluster, key)
        fail(cluster, ABSENT, "get", key)
    assert "An empty VALUE is a value" in succeed(cluster, "put", "--help").decode()


# -- hints ---------------------------------------------------------------------------------------


def hinted(cluster, code, *words):
    """(stdout, the hint)"""
    done = run(cluster, *words)
    assert done.returncode == code, done
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("canopy: "), lines
    return done.stdout, lines[0].removeprefix("canopy: ")


def test_an_odd_subtree_is_told_to_be_one(cluster, place):
    put(cluster, place + "k", "v")
    subtree = place.removesuffix("/")
    slash = f"a subtree ends with '/': did you mean {place}?"
    assert hinted(cluster, OK, "list", subtree) == (b"", slash)
    begin = f"keys usually begin with '/': did you mean {place}?"
    assert hinted(cluster, OK, "list", place[1:]) == (b"", begin)
    star = f"'*' stands for itself in a key: `canopy list {place}` prints what is below it"
    for words in (["list", place + "*"], ["list", place[1:] + "*"]):
        assert hinted(cluster, OK, *words) == (b"", star)
    key = place[1:] + "k"
    absent = f"{key} is absent (keys usually begin with '/': did you mean {place}k?)"
    assert hinted(cluster, ABSENT, "get", key) == (b"", absent)
    below = f"there are keys below it: `canopy list {place}` prints them"
    assert fail(cluster, ABSENT, "get", subtree) == f"{subtree} is absent ({below})"
    assert fail(cluster, ABSENT, "get", place + "none") == f"{place}none is absent"


def test_an_odd_write_is_done_and_told(cluster, place):
    put(cluster, place + "k", "v")
    key = place[1:] + "k"
    revision, hint = hinted(cluster, OK, "put", key, "x")
    assert int(revision) and hint == f"keys usually begin with '/': did you mean {place}k?"
    assert succeed(cluster, "get", key) == b"x"
    revision, hint = hinted(cluster, OK, "put", place + "*", "x")
    assert int(revision) and "'*' stands for itself" in hint
    revision, hint = hinted(cluster, OK, "delete", place)
    assert int(revision) and "keys below it are not deleted" in hint
    hinted(cluster, OK, "delete", key)
    put(cluster, f"no-{place[1:-1]}/k", "where keys begin without '/', they are as usual")


def test_a_watch_that_begins_with_nothing_is_told_once(cluster, place, watch):
    subtree = place.removesuffix("/")
    watching = watch(subtree, "--json")
    hint = f"canopy: a subtree ends with '/': did you mean {place}?\n"
    eventually(lambda: watching.errors() == hint, "the hint is there")
    put(cluster, subtree, "now it is a key")
    eventually(lambda: len(watching.lines()) == 1, "it watches what it was told to")
    usual = watch(place)
    put(cluster, place + "k", "v")
    eventually(lambda: len(usual.lines()) == 1, "it watches")
    assert watching.errors() == hint and usual.errors() == ""


# -- subtrees ------------------------------------------------------------------------------------


def test_list_prints_a_subtree(cluster, place):
    values = {"b": b"2", "a/deep": b"1", "odd": b"a\tb\nc\\d\x00\xff\x1b", "ü b": "€".encode()}
    revisions = {key: put(cluster, place + key, "-", stdin=values[key]) for key in values}
    put(cluster, place.removesuffix("/") + "-beside", "not below")
    shown = {**{key: values[key].decode("latin-1") for key in values}, "ü b": "€"}
    shown["odd"] = r"a\tb\nc\\d\x00\xff\x1b"
    lines = [f"{place}{key}\t{revisions[key]}\t{shown[key]}" for key in sorted(values)]
    assert succeed(cluster, "list", place).decode().splitlines() == lines
    assert succeed(cluster, "list", place + "b").decode().splitlines() == lines[1:2], "a single key"
    assert succeed(cluster, "list", place + "none/") == b""
    whole = succeed(cluster, "list", "*").decode().splitlines()
    assert [line for line in whole if line.startswith(place)] == lines


def test_watch_begins_with_the_snapshot_and_goes_on_live(cluster, place, watch):
    one = put(cluster, place + "1", "one")
    two = put(cluster, place + "2", "a\tb\\\n")
    watching = watch(place)
    expected = [
        ("PUT", place + "1", str(one), "one"),
        ("PUT", place + "2", str(two), r"a\tb\\\n"),
    ]
    eventually(lambda: sorted(watching.rows()) == expected, "the snapshot is there")
    expected = watching.rows()
    for key, value in (("3", "three"), ("1", "uno")):
        expected.append(("PUT", place + key, str(put(cluster, place + key, value)), value))
        watching.wait(expected, "a change comes at once")
    expected.append(("DEL", place + "2", str(delete(cluster, place + "2"))))
    watching.wait(expected, "and a delete")
    put(cluster, place.removesuffix("/") + "-beside", "not below")
    expected.append(("PUT", place + "4", str(put(cluster, place + "4", "")), ""))
    watching.wait(expected, "nothing but the subtree")
    assert watching.errors() == ""


def test_watch_follows_a_single_key_and_the_root(cluster, place, watch):
    single, root = watch(place + "k"), watch("*")
    put(cluster, place + "kk", "x")
    revision = str(put(cluster, place + "k", "v"))
    single.wait([("PUT", place + "k", revision, "v")], "the key alone is watched")
    eventually(lambda: ("PUT", place + "k", revision, "v") in root.rows(), "the root holds all")


def test_watch_speaks_json(cluster, place, watch):
    values = {"text": 'q"ü\n', "bytes": b"\xff\x00"}
    text = put(cluster, place + "text", values["text"])
    watching = watch(place, "--json")
    eventually(lambda: len(watching.lines()) == 1, "the snapshot is there")
    binary = put(cluster, place + "bytes", "-", stdin=values["bytes"])
    gone = delete(cluster, place + "text")
    eventually(lambda: len(watching.lines()) == 3, "the changes are there")
    assert [json.loads(line) for line in watching.lines()] == [
        {"type": "PUT", "key": place + "text", "revision": str(text), "value": values["text"]},
        {
            "type": "PUT",
            "key": place + "bytes",
            "revision": str(binary),
            "value_base64": base64.b64encode(values["bytes"]).decode(),
        },
        {"type": "DEL", "key": place + "text", "revision": str(gone), "value": None},
    ]


def test_watch_latest_leaves_out_what_is_overtaken(cluster, place, watch):
    put(cluster, place + "k", "first")
    every, latest = watch(place), watch(place, "--latest", "3s")
    eventually(lambda: len(every.rows()) == len(latest.rows()) == 1, "both have the snapshot")
    for value in range(10):
        put(cluster, place + "k", str(value))
    last = ("PUT", place + "k", str(put(cluster, place + "k", "last")), "last")
    eventually(lambda: latest.rows()[-1] == every.rows()[-1] == last, "both end alike")
    assert len(every.rows()) == 12
    assert len(latest.rows()) < 12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_ends_well_when_it_is_told_to(cluster, place, watch, number):
    put(cluster, place + "k", "v")
    watching = watch(place)
    eventually(lambda: len(watching.rows()) == 1, "it watches")
    assert watching.end(number) == OK
    assert watching.errors() == ""


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_watch_ends_when_nobody_reads_it(cluster, place, busy):
    revision = put(cluster, place + "k", "v")
    with subprocess.Popen(
        [BIN / "canopy", "watch", place],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(cluster),
        # As for a program that was started by one which ignores the signal.
        preexec_fn=(lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)) if busy else None,
        restore_signals=not busy,
    ) as watching:
        line = watching.stdout.readline().decode()
        assert line == f"PUT\t{place}k\t{revision}\tv\n"
        watching.stdout.close()
        if busy:
            put(cluster, place + "k", "w")
        assert watching.wait(seconds(10)) == -signal.SIGPIPE
        assert watching.stderr.read() == b""


@pytest.mark.parametrize("kind", ["socket", "terminal", "pipe that blocked the signal"])
def test_watch_ends_at_once_with_any_reader(cluster, place, kind):
    """Nothing changes meanwhile, so that nothing is written either."""
    put(cluster, place + "k", "v")
    if kind == "socket":
        ours, its = (each.detach() for each in socket.socketpair())
    elif kind == "terminal":
        ours, its = os.openpty()
    else:
        ours, its = os.pipe()
    blocked = {signal.SIGPIPE} if "blocked" in kind else set()
    watching = subprocess.Popen(
        [BIN / "canopy", "watch", place],
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=subprocess.PIPE,
        env=environment(cluster),
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, blocked),
    )
    try:
        os.close(its)
        assert os.read(ours, 4) == b"PUT\t"
        if kind == "socket":
            os.write(ours, b"said by the reader, and no end of it")
            with pytest.raises(subprocess.TimeoutExpired):
                watching.wait(0.3)
        os.close(ours)
        assert watching.wait(seconds(10)) == -signal.SIGPIPE
        assert watching.stderr.read() == b""
    finally:
        watching.kill()
        watching.wait()


def test_output_that_cannot_be_written_is_said(cluster, place):
    put(cluster, place + "k", "v")
    for words in (["get", place + "k"], ["list", place], ["watch", place], ["status"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [BIN / "canopy", *words],
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=seconds(20),
                env=environment(cluster),
            )
        assert done.returncode == BROKEN
        assert done.stderr == b"canopy: standard output: No space left on device\n"


# -- the cluster ---------------------------------------------------------------------------------


def status(cluster):
    """(exit code, {role: {name: what is said of it}})"""
    done = run(cluster, "status", "--json")
    said = json.loads(done.stdout)
    assert done.stderr == b"" and set(said) == {"shards", "proxies", "partitions"}
    return done.returncode, {
        role: {each["name"]: each for each in said[role]} for role in ("shards", "proxies")
    }


def test_status_tells_who_leads_each_partition(cluster):
    said = json.loads(run(cluster, "status", "--json").stdout)
    assert [each["partition"] for each in said["partitions"]] == ["*", "/disk/"]
    for each in said["partitions"]:
        assert (each["leader"], each["in_sync"]) == ("s1", ["s1"]) and each["epoch"] > 0
        assert each["replicas"] == [{"shard": "s1", "state": "serving"}]
    described = {each["subtree"]: each for each in cluster.topology()["partitions"]}
    for each in said["partitions"]:
        same = described[each["partition"]]
        assert all(same[field] == each[field] for field in ("leader", "epoch", "in_sync", "replicas"))
    *_, head, root, disk = succeed(cluster, "status").decode().splitlines()
    assert head.split() == "PARTITION LEADER EPOCH IN_SYNC REPLICAS".split()
    assert root.split()[0::2] == ["*", str(described["*"]["epoch"]), "s1=serving"]
    assert disk.split()[1::2] == ["s1", "s1"]


def test_status_tells_how_everybody_is_doing(cluster, place, watch):
    watching = watch(place)
    revision = put(cluster, place + "k", "v")
    watching.wait([("PUT", place + "k", str(revision), "v")], "it watches")

    def told():
        code, said = status(cluster)
        assert code == OK
        clients = [each["clients"] for each in said["proxies"].values()]
        everybody = [each for members in said.values() for each in members.values()]
        if any(each["clients"] is None for each in everybody):
            return None
        reached = {each["name"] for each in everybody if each["revisions"].get("*") == str(revision)}
        return said if sorted(clients) == [0, 1] and "s1" in reached and len(reached) > 1 else None

    said = eventually(told, "the watching client is counted, and what it watches is mirrored")
    assert set(said["shards"]) == {"s1"} and set(said["proxies"]) == {"p1", "p2"}
    fields = {"name", "state", "pid", "clients", "fds", "max_fds", "drops", "revisions"}
    for members in said.values():
        for name, each in members.items():
            assert set(each) == fields
            assert each["state"] == "ready" and each["pid"] == cluster.process(name).pid
            assert 0 < each["fds"] < each["max_fds"] and each["drops"] == 0
    assert said["shards"]["s1"]["clients"] == 2, "the proxies"
    processes, _ = succeed(cluster, "status").decode().split("\n\n")
    head, *rows = processes.splitlines()
    assert head.split() == "ROLE NAME STATE PID CLIENTS FDS DROPS REVISIONS".split()
    assert [row.split()[:3] for row in rows] == [
        ["shard", "s1", "ready"],
        ["proxy", "p1", "ready"],
        ["proxy", "p2", "ready"],
    ]
    assert len({row.index("ready") for row in rows} | {head.index("STATE")}) == 1, "aligned"


def test_status_tells_how_the_replicas_of_a_partition_are_doing(start_cluster):
    partitions = [{"subtree": "*", "on": ["s1", "s2"]}]
    cluster = start_cluster([shard("s1"), shard("s2")], [proxy("p1")], partitions=partitions)

    def root():
        done = run(cluster, "status", "--json")
        return done.returncode, json.loads(done.stdout)["partitions"][0]

    following = {"shard": "s2", "state": "following s1"}
    code, said = root()
    assert (code, said["leader"], said["in_sync"]) == (OK, "s1", ["s1", "s2"])
    assert said["replicas"] == [{"shard": "s1", "state": "serving"}, following]
    with cluster.stopped("s1"):

        def taken_over():
            code, now = root()
            return now if code == ABSENT and now["leader"] == "s2" else None

        now = eventually(taken_over, "the other replica leads")
        assert now["epoch"] > said["epoch"] and now["in_sync"] == ["s2"]
        assert now["replicas"][0] == {"shard": "s1", "state": "down"}
        short = "in sync on 1 of 2 replicas"
        eventually(lambda: short in cluster.readyz("broker")[1], "the broker's /readyz says so")
        assert cluster.metrics("broker").sum("canopy_partition_leader", shard="s2") == 1
    eventually(lambda: root()[0] == OK, "the first one is in sync again")


def test_a_drained_proxy_leaves_and_its_clients_go_on(start_cluster, watch):
    cluster = start_cluster([shard("s1", "*")], [proxy("p1"), proxy("p2")])
    assert status(cluster)[0] == OK
    watching = [watch("/d/", of=cluster) for _ in range(4)]
    expected = [("PUT", "/d/1", str(put(cluster, "/d/1", "before")), "before")]
    for each in watching:
        each.wait(expected, "everybody watches")
    before = cluster.expect_end("p1")
    assert succeed(cluster, "drain", "p1") == b""
    eventually(lambda: not before.alive(), "the proxy stops")
    expected.append(("PUT", "/d/2", str(put(cluster, "/d/2", "after")), "after"))
    for each in watching:
        eventually(
            lambda: [row for row in each.rows() if row[0] != "RESYNC"] == expected,
            "everybody goes on, and misses nothing",
        )
        assert ("RESYNC", "full") not in each.rows()
    code, said = status(cluster)
    assert code == OK
    gone = said["proxies"]["p1"]
    assert (gone["state"], gone["pid"], gone["clients"]) == ("drained", None, None)
    assert said["proxies"]["p2"]["state"] == "ready"
    assert run(cluster, "status").returncode == OK
    assert cluster.readyz("broker") == (200, '{"ready":true}')
    assert cluster.member("p1")["state"] == "drained"
    assert cluster.metrics("broker").sum("canopy_members", role="proxy", state="drained") == 1
    assert cluster.metrics("broker").sum("canopy_members", role="proxy", state="down") == 0
    assert fail(cluster, REFUSED, "drain", "p1").endswith("p1"), "it is gone"


def test_nobody_else_can_be_drained(cluster):
    for name in ("p9", "s1"):
        assert name in fail(cluster, REFUSED, "drain", name)
    assert status(cluster)[0] == OK


def test_a_killed_proxy_is_a_resync_to_those_who_watch(start_cluster, watch):
    cluster = start_cluster([shard("s1", "*")], [proxy("p1")])
    watching = watch("/k/", of=cluster)
    expected = [("PUT", "/k/1", str(put(cluster, "/k/1", "before")), "before")]
    watching.wait(expected, "it watches")
    before = cluster.kill("p1")
    revision = put(cluster, "/k/2", "meanwhile", "--timeout", "20s")
    row = ("PUT", "/k/2", str(revision), "meanwhile")
    eventually(lambda: row in watching.rows(), "what it has missed is told", 20)
    eventually(lambda: ("RESYNC", "changes") in watching.rows(), "and that this is all")
    assert watching.rows()[:1] == expected and watching.rows().count(row) == 1
    eventually(lambda: cluster.restarted("p1", before), "the proxy is back")


def test_lost_contact_is_said(start_cluster, watch):
    cluster = start_cluster([shard("s1", "*")], [proxy("p1")])
    watching = watch("/k/", of=cluster)
    put(cluster, "/k/1", "before")
    eventually(lambda: len(watching.rows()) == 1, "it watches")
    lost = "canopy: contact lost: looking for a proxy\n"
    with cluster.stopped("p1"):
        eventually(lambda: watching.errors() == lost, "it says so")
    again = lost + "canopy: contact again, through p1\n"
    eventually(lambda: watching.errors() == again, "and when it is over", 20)
    put(cluster, "/k/2", "after")
    eventually(lambda: watching.rows()[-1][1] == "/k/2", "it goes on")


# -- errors --------------------------------------------------------------------------------------

COMMANDS = [
    ["put", "/a", "b"],
    ["get", "/a"],
    ["delete", "/a"],
    ["list", "/"],
    ["watch", "/"],
    ["status"],
    ["drain", "p1"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
def test_a_broker_that_is_not_there_is_named(cluster, ports, words):
    nowhere = f"tcp://{HOST}:{ports.take()}"
    said = fail(cluster, NO_ANSWER, *words, "--broker", nowhere, "--timeout", "300ms")
    assert f"no broker answered at {nowhere} (" in said


@pytest.mark.parametrize("words", COMMANDS[:6], ids=[words[0] for words in COMMANDS[:6]])
def test_one_of_several_brokers_is_enough(cluster, ports, words, watch):
    brokers = f"tcp://{HOST}:{ports.take()},{cluster.broker_endpoint}"
    put(cluster, "/a", "b")
    if words[0] == "watch":
        watching = watch(*words[1:], "--broker", brokers)
        eventually(lambda: any(row[1] == "/a" for row in watching.rows()), "it watches")
    else:
        assert run(cluster, *words, CANOPY_BROKER=brokers).returncode == OK


def test_a_cluster_without_proxies_is_told_apart(start_cluster):
    """Only Clone dialects are spoken here."""
    cluster = start_cluster([shard("s1", "*")], [proxy("p1", ["kvsimple"])])
    for words in (["get", "/a"], ["watch", "/"]):
        said = fail(cluster, NO_ANSWER, *words, "--timeout", "500ms")
        assert said.endswith("the cluster has no proxy that takes clients")


def test_a_shard_that_is_stopped_is_no_answer(start_cluster):
    cluster = start_cluster([shard("s1", "*")], [proxy("p1")])
    put(cluster, "/a", "b")
    with cluster.stopped("s1"):
        said = fail(cluster, NO_ANSWER, "put", "/a", "c", "--timeout", "1s")
    assert said.startswith("/a: no ") and said.endswith("(it may have been applied)")


def test_wrong_usage_is_said_in_one_line(cluster):
    for words, named in (
        ([], "COMMAND"),
        (["putt", "/a", "b"], "'putt'"),
        (["put", "/a"], "VALUE"),
        (["get", "/a", "b"], "'b'"),
        (["get", "/a", "--ttl", "5s"], "--ttl"),
        (["put", "/a", "b", "--ttl", "5"], "--ttl: '5'"),
        (["watch", "/", "--latest", "soon"], "--latest: 'soon'"),
        (["get", "k" * 256], "255"),
        (["status", "--broker", "nowhere"], "'nowhere'"),
    ):
        assert named in fail(cluster, WRONG_USAGE, *words)
    assert "CANOPY_BROKER" in fail(cluster, WRONG_USAGE, "status", CANOPY_BROKER="nowhere")


def test_help_and_version_are_printed(cluster):
    text = succeed(cluster, "--help").decode()
    for words in COMMANDS:
        assert f"\n  {words[0]} " in text
        assert succeed(cluster, words[0], "--help").decode().startswith(f"canopy {words[0]} ")
    assert "Exit codes: 0 " in text
    assert re.fullmatch(rb"canopy [0-9]+\.[0-9]+\.[0-9]+\n", succeed(cluster, "--version"))
