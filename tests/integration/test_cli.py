"""`canopy`, the command line: single values, hints, errors, usage and exit codes.

Subtrees are in test_cli_subtrees.py; `status` and what a cluster's failures look like in test_cli_cluster.py.
"""

import os
import re
import subprocess

import pytest

from tests.harness.cluster import BIN
from tests.harness.clusterfile import HOST, proxy, shard
from tests.harness.command_line import (
    ABSENT,
    BROKEN,
    NO_ANSWER,
    OK,
    REFUSED,
    WRONG_USAGE,
    delete,
    environment,
    fail,
    put,
    run,
    succeed,
)
from tests.harness.command_line import cluster, place, watch  # noqa: F401, fixtures
from tests.harness.waiting import eventually, seconds

MANY = 10_000_000_000_000_000_000  # a revision that nothing ever has


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
    reported = fail(cluster, REFUSED, "put", place + "k", "-", stdin=b"v" * ((1 << 20) + 1))
    assert reported == f"{place}k: the value is too large"
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
    assert "The value may be empty" in succeed(cluster, "put", "--help").decode()


# -- hints ---------------------------------------------------------------------------------------


def hinted(cluster, code, *words):
    """(stdout, the hint)"""
    done = run(cluster, *words)
    assert done.returncode == code, done
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("canopy: "), lines
    return done.stdout, lines[0].removeprefix("canopy: ")


def test_an_odd_subtree_gets_a_hint(cluster, place):
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


def test_an_odd_write_is_done_with_a_hint(cluster, place):
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


def test_an_empty_watch_gives_its_hint_once(cluster, place, watch):
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
    nowhere = f"tcp://{HOST}:{ports.claim()}"
    reported = fail(cluster, NO_ANSWER, *words, "--broker", nowhere, "--timeout", "300ms")
    assert f"no broker answered at {nowhere} (" in reported


@pytest.mark.parametrize("words", COMMANDS[:6], ids=[words[0] for words in COMMANDS[:6]])
def test_one_of_several_brokers_is_enough(cluster, ports, words, watch):
    brokers = f"tcp://{HOST}:{ports.claim()},{cluster.broker_endpoint}"
    put(cluster, "/a", "b")
    if words[0] == "watch":
        watching = watch(*words[1:], "--broker", brokers)
        eventually(lambda: any(row[1] == "/a" for row in watching.rows()), "it watches")
    else:
        assert run(cluster, *words, CANOPY_BROKER=brokers).returncode == OK


def test_a_cluster_without_proxies_has_an_error_of_its_own(start_cluster):
    """Only Clone dialects are spoken here."""
    cluster = start_cluster([shard("s1", "*")], [proxy("p1", ["kvsimple"])])
    for words in (["get", "/a"], ["watch", "/"]):
        reported = fail(cluster, NO_ANSWER, *words, "--timeout", "500ms")
        assert reported.endswith("the cluster has no proxy that takes clients")


def test_a_shard_that_is_stopped_is_no_answer(start_cluster):
    cluster = start_cluster([shard("s1", "*")], [proxy("p1")])
    put(cluster, "/a", "b")
    with cluster.stopped("s1"):
        reported = fail(cluster, NO_ANSWER, "put", "/a", "c", "--timeout", "1s")
    assert reported.startswith("/a: no ") and reported.endswith("(it may have been applied)")


def test_wrong_usage_is_reported_in_one_line(cluster):
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


def test_output_that_cannot_be_written_is_reported(cluster, place):
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
