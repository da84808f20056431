"""`canopy list` and `canopy watch`: what they print of a subtree, and how a watch ends."""

import base64
import json
import os
import signal
import socket
import subprocess

import pytest

from tests.harness.cluster import BIN
from tests.harness.command_line import OK, delete, environment, put, succeed
from tests.harness.command_line import cluster, place, watch  # noqa: F401, fixtures
from tests.harness.waiting import eventually, seconds


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
def test_watch_ends_well_on_a_signal(cluster, place, watch, number):
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
