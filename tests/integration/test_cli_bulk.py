"""`canopy export`, `import`, `apply`, `delete --subtree` and `ping`, and the formats of `get` and `list`."""

import base64
import json
import re
import signal
import subprocess
import time

from tests.harness.cluster import BIN
from tests.harness.clusterfile import proxy, shard
from tests.harness.command_line import NO_ANSWER, OK, REFUSED, WRONG_USAGE, environment, fail, put, run, succeed
from tests.harness.command_line import cluster, place  # noqa: F401, fixtures
from tests.harness.waiting import eventually, seconds


def lines_of(*objects):
    return "".join(json.dumps(each) + "\n" for each in objects).encode()


def keys(cluster, subtree):
    return succeed(cluster, "list", subtree, "--keys").decode().splitlines()


# -- formats -------------------------------------------------------------------------------------


def test_get_prints_an_entry_in_full(cluster, place):
    key = place + "k"
    line = {"key": key, "value": "a\nb", "properties": "unit=s\n", "ttl_ms": 3_600_000}
    assert succeed(cluster, "import", stdin=lines_of(line)) == b"1\n"
    shown = json.loads(succeed(cluster, "get", key, "--json"))
    assert 3_500_000 < shown.pop("ttl_ms") <= 3_600_000
    revision = shown.pop("revision")
    assert shown == {"key": key, "value": "a\nb", "properties": "unit=s\n"} and int(revision) > 0
    rows = [row.split(maxsplit=1) for row in succeed(cluster, "get", key, "-v").decode().splitlines()]
    assert [row[0] for row in rows] == ["key", "revision", "expires", "properties", "value"]
    values = dict(rows)
    assert (values["key"], values["revision"]) == (key, revision)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \(in 3[56]\d\ds\)", values["expires"])
    assert (values["properties"], values["value"]) == (r"unit=s\n", r"a\nb")
    put(cluster, key, "plain")
    assert "expires     never\nproperties  -\n" in succeed(cluster, "get", key, "--verbose").decode()


def test_list_has_formats_and_a_limit(cluster, place):
    revisions = [put(cluster, f"{place}{i}", str(i)) for i in range(5)]
    assert keys(cluster, place) == [f"{place}{i}" for i in range(5)]
    shown = [json.loads(line) for line in succeed(cluster, "list", place, "--json").splitlines()]
    assert shown == [{"key": f"{place}{i}", "revision": str(revisions[i]), "value": str(i)} for i in range(5)]
    limited = succeed(cluster, "list", place, "--keys", "--limit", "2").decode().splitlines()
    assert len(limited) == 2 and set(limited) <= set(keys(cluster, place))


# -- export and import ---------------------------------------------------------------------------


def test_binary_keys_and_values_make_the_round_trip(cluster, place):
    def encoded(data):
        return base64.b64encode(data).decode()

    binary = place.encode() + b"\xff\xfe"
    lines = lines_of(
        {"key": place + "text", "value": "ü\n"},
        {"key_base64": encoded(binary), "value_base64": encoded(bytes(range(256)))},
        {"key": place + "empty", "value": ""},
        {"key": place + "more", "value": "v", "properties": "a=1\n", "ttl_ms": 3_600_000},
    )
    assert succeed(cluster, "import", stdin=lines) == b"4\n"
    exported = succeed(cluster, "export", place)
    assert succeed(cluster, "delete", "--subtree", place) == b"4\n"
    assert succeed(cluster, "export", place) == b""
    assert succeed(cluster, "import", stdin=exported) == b"4\n"

    def without(text):
        return [{**json.loads(line), "revision": None, "ttl_ms": None} for line in text.splitlines()]

    again = succeed(cluster, "export", place)
    assert without(again) == without(exported)
    shown = {each.get("key", each.get("key_base64")): each for each in map(json.loads, again.splitlines())}
    assert shown[encoded(binary)]["value_base64"] == encoded(bytes(range(256)))
    assert 3_500_000 < shown[place + "more"]["ttl_ms"] <= 3_600_000


def test_an_import_is_pipelined_and_bounded(cluster, place):
    """Far more than may be under way at once, and the last value of a key stays."""
    count = 3000
    lines = lines_of(*({"key": f"{place}{i % 1500}", "value": str(i)} for i in range(count)))
    assert succeed(cluster, "import", stdin=lines) == f"{count}\n".encode()
    exported = [json.loads(line) for line in succeed(cluster, "export", place).splitlines()]
    assert {each["key"]: each["value"] for each in exported} == {f"{place}{i}": str(i + 1500) for i in range(1500)}
    large = lines_of(*({"key": f"{place}large", "value": "\x01" * (1 << 20)} for _ in range(8)))
    assert succeed(cluster, "import", stdin=large) == b"8\n"


def test_an_import_waits_for_a_slow_pipe(cluster, place):
    with subprocess.Popen(
        [BIN / "canopy", "import"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(cluster)
    ) as importing:
        text = lines_of({"key": place + "a", "value": "1"}, {"key": place + "b", "value": "2"})
        importing.stdin.write(text[:50])
        importing.stdin.flush()
        time.sleep(0.3)
        out, _ = importing.communicate(text[50:].rstrip(b"\n"), timeout=seconds(20))
        assert (importing.returncode, out) == (OK, b"2\n")
    assert keys(cluster, place) == [place + "a", place + "b"]


def test_a_bad_line_ends_an_import(cluster, place):
    good = [{"key": f"{place}{i}", "value": "v"} for i in range(3)]
    lines = lines_of(*good[:2]) + b"\n{\"key\":1}\n" + lines_of(good[2])
    assert fail(cluster, WRONG_USAGE, "import", stdin=lines) == 'line 4: "key" is not a string (2 written)'
    assert keys(cluster, place) == [place + "0", place + "1"]
    assert fail(cluster, WRONG_USAGE, "import", stdin=b"x" * (8 << 20)) == "line 1: not a JSON object (0 written)"
    assert succeed(cluster, "import", stdin=b"") == b"0\n"


def test_an_import_without_a_cluster_ends(cluster):
    line = lines_of({"key": "/a", "value": "v"})
    message = fail(cluster, NO_ANSWER, "import", "--broker", "tcp://127.0.0.1:1", "--timeout", "300ms", stdin=line)
    assert message.startswith("/a: no broker answered at ") and message.endswith("(0 written)")


# -- apply ---------------------------------------------------------------------------------------


def test_a_batch_is_applied_together(cluster, place):
    first = put(cluster, place + "old", "v")
    batch = lines_of(
        {"put": place + "new", "value": "n", "if_revision": 0},
        {"put_base64": base64.b64encode(place.encode() + b"\xff").decode(), "value": "b", "ttl_ms": 3_600_000},
        {"delete": place + "old", "if_revision": str(first)},
    )
    revision = int(succeed(cluster, "apply", stdin=batch))
    assert revision == first + 3
    assert keys(cluster, place) == [place + "new", place + r"\xff"]
    refusal = fail(cluster, REFUSED, "apply", stdin=lines_of({"put": place + "x", "value": "1"}) + batch)
    assert refusal == "not applied: the entry has another revision"
    assert keys(cluster, place) == [place + "new", place + r"\xff"], "nothing of it is applied"
    assert succeed(cluster, "apply") == b"", "an empty batch"


def test_a_batch_that_cannot_be_one_is_refused(cluster, place):
    good = {"put": place + "k", "value": "v"}
    assert fail(cluster, WRONG_USAGE, "apply", stdin=lines_of(good, {"put": place})) == 'line 2: "value" is missing'
    many = lines_of(*[good] * 1025)
    assert fail(cluster, WRONG_USAGE, "apply", stdin=many) == "line 1025: more than 1024 writes"
    several = lines_of(good, {"put": "/disk/k", "value": "v"})
    assert fail(cluster, REFUSED, "apply", stdin=several).startswith("not applied: ")
    assert keys(cluster, place) == []


# -- delete --subtree ----------------------------------------------------------------------------


def test_a_subtree_is_deleted_across_partitions(cluster, place):
    lines = lines_of(*({"key": f"{place}{i}", "value": "v"} for i in range(600)))
    succeed(cluster, "import", stdin=lines)
    put(cluster, place, "the key itself")
    put(cluster, place.removesuffix("/"), "beside")
    assert int(succeed(cluster, "delete", place, "--subtree")) == 601
    assert keys(cluster, place) == []
    assert succeed(cluster, "get", place.removesuffix("/")) == b"beside"
    assert succeed(cluster, "delete", "--subtree", place) == b"0\n"
    put(cluster, "/disk/deleted/k", "v")
    put(cluster, place + "k", "v")
    assert int(succeed(cluster, "delete", "--subtree", "*")) >= 2
    assert keys(cluster, "*") == []


# -- ping ----------------------------------------------------------------------------------------

STATISTICS = r"min/p50/p99/max = (\d+\.\d{3})/(\d+\.\d{3})/(\d+\.\d{3})/(\d+\.\d{3}) ms"


def test_ping_measures_round_trips_and_writes(cluster, place):
    key = place + "probe"
    text = succeed(cluster, "ping", "--count", "5", "--interval", "10ms", "--write", key, "--proxy", "p2").decode()
    head, *probes, empty, title, total, trips, writes = text.splitlines()
    assert re.fullmatch(r"PING p2 \(tcp://127\.0\.0\.1:\d+\)", head) and empty == ""
    assert [probe.split()[0] for probe in probes] == [f"seq={i}" for i in range(1, 6)]
    for probe in probes:
        assert re.fullmatch(r"seq=\d time=\d+\.\d{3} ms write=\d+\.\d{3} ms", probe)
    assert title == "--- p2 ping statistics ---" and total == "5 probes, 5 answered"
    for line, label in ((trips, "round trip"), (writes, "write")):
        low, middle, high, top = map(float, re.fullmatch(f"{label} {STATISTICS}", line).groups())
        assert 0 < low <= middle <= high <= top
    assert succeed(cluster, "get", key) == b"5"


def test_ping_ends_by_a_signal(cluster):
    with subprocess.Popen(
        [BIN / "canopy", "ping", "--interval", "10ms"], stdout=subprocess.PIPE, text=True, env=environment(cluster)
    ) as pinging:
        for _ in range(4):
            pinging.stdout.readline()
        pinging.send_signal(signal.SIGINT)
        rest, _ = pinging.communicate(timeout=seconds(10))
        assert pinging.returncode == OK and "ping statistics ---\n" in rest and "write" not in rest


def test_ping_of_a_proxy_that_does_not_answer(cluster):
    assert fail(cluster, REFUSED, "ping", "--proxy", "p9") == "no proxy p9"
    with cluster.stopped("p1"):
        done = run(cluster, "ping", "--proxy", "p1", "--count", "2", "--interval", "10ms", "--timeout", "200ms")
    assert done.returncode == NO_ANSWER and b"seq=1 lost\nseq=2 lost\n" in done.stdout
    assert b"2 probes, 0 answered\n" in done.stdout and b"min/" not in done.stdout


def test_ping_goes_on_at_a_restarted_proxy(start_cluster, tmp_path):
    cluster = start_cluster([shard("s1", "*")], [proxy("p1")])
    with (
        open(tmp_path / "out", "wb") as out,
        subprocess.Popen(
            [BIN / "canopy", "ping", "--interval", "50ms", "--timeout", "500ms", "--write", "/p"],
            stdout=out,
            env=environment(cluster),
        ) as pinging,
    ):

        def writes():
            return run(cluster, "get", "/p").stdout.isdigit()

        eventually(writes, "it writes")
        before = cluster.kill("p1")
        eventually(lambda: cluster.restarted("p1", before), "the proxy is back", 20)
        put(cluster, "/p", "overwritten", "--timeout", "20s")
        eventually(writes, "it writes again")
        pinging.send_signal(signal.SIGTERM)
        assert pinging.wait(seconds(10)) in (OK, NO_ANSWER), "a probe may be lost"
