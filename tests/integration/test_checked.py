"""What `--check-config` accepts starts, and serves; what would not start it refuses."""

import json
import os
import re
import resource
import subprocess

import pytest
import yaml

from tests.harness.checked import check, refusal, started
from tests.harness.cluster import BIN, REPOSITORY, run_program
from tests.harness.scrape import get
from tests.harness.waiting import SLOW, seconds

ROOT = {"subtree": "*"}


def document(ports, host="127.0.0.1", shard=None, proxy=None, **top):
    """A small cluster whose sockets are all on `host`; and where its broker answers."""
    first, native = ports.claim(2), ports.claim()
    broker = {"listen": f"tcp://{host}:{first}", "http": f"{host}:{first + 1}"}
    sockets = {"requests": f"tcp://{host}:*", "updates": f"tcp://{host}:*", "http": f"{host}:0"}
    return {
        "coordination": {"lease_ms": int(3000 * SLOW)},
        "broker": broker,
        "shards": [{"name": "s", "partitions": [dict(ROOT)], **sockets, **(shard or {})}],
        "proxies": [
            {"name": "p", "native": f"tcp://{host}:{native}", "http": f"{host}:0", **(proxy or {})}
        ],
        **top,
    }


def dump(described):
    return yaml.safe_dump(described, sort_keys=False, width=1000)


def loopback(endpoint):
    return re.sub(r"//(\[::\]|\*|0\.0\.0\.0|lo):", "//127.0.0.1:", endpoint)


@pytest.mark.parametrize("host", ["[::1]", "[::]", "localhost", "lo", "*", "0.0.0.0"])
def test_hosts(tmp_path, ports, host):
    described = document(ports, host)
    chp = ports.claim(3)
    described["proxies"][0]["chp"] = f"tcp://{host}:{chp}"
    broker = described["broker"]["listen"]
    with started(tmp_path, dump(described), loopback(broker)) as cluster:
        cluster.works()
        http = loopback("//" + described["broker"]["http"])[2:]
        announced = json.loads(get(http, "/api/v1/topology")[1])
        for process in announced["shards"] + announced["proxies"]:
            process.pop("partitions", None)  # one of which is called *
            assert not re.search(r"0\.0\.0\.0|\[::\]|\*", json.dumps(process)), process


def partitions(count, **settings):
    return [{"subtree": f"/{i}/", **settings} for i in range(count - 1)] + [{**ROOT, **settings}]


def test_many_partitions_of_one_shard(tmp_path, ports):
    described = document(ports, shard={"partitions": partitions(1500)})
    with started(tmp_path, dump(described), described["broker"]["listen"], 30) as cluster:
        cluster.works("/1498/a")
        listed = cluster.canopy("list", "*")
        assert (listed.returncode, listed.stdout.split("\t")[0]) == (0, "/1498/a"), listed.stderr
        assert cluster.canopy("status").returncode == 0


def test_as_many_partitions_with_the_longest_names_as_a_cluster_can_have(tmp_path, ports):
    long = [{"subtree": f"/{i:04}/{'x' * 248}/"} for i in range(4095)]
    described = document(ports, shard={"partitions": [ROOT, *long[:2048]]})
    described["shards"].append({"name": "t", "partitions": long[2048:]})
    with started(tmp_path, dump(described), described["broker"]["listen"], 60) as cluster:
        cluster.works(long[-1]["subtree"][:6] + "a")
        assert cluster.canopy("status").returncode == 0
    described["shards"][1]["partitions"].append({"subtree": "/one/more/"})
    assert "at most 4096" in refusal(tmp_path, dump(described))


def test_subtrees_that_outgrow_a_file_name(tmp_path, ports):
    names = ["/" * 255, "/" * 254, "x" * 254 + "/", "ü" * 127 + "/", "root/", ".././", "%2F/"]
    disk = [{"subtree": name, "durability": "disk"} for name in [*names, "*"]]
    described = document(ports, shard={"partitions": disk}, state_dir="state")
    text, broker = dump(described), described["broker"]["listen"]
    with started(tmp_path, text, broker) as cluster:
        cluster.works("x" * 254 + "/")
        cluster.works("/" * 255)
    with started(tmp_path, text, broker) as cluster:
        got = cluster.canopy("get", "/" * 255)
        assert (got.returncode, got.stdout) == (0, "1"), got.stderr


def test_many_partitions_in_one_store(tmp_path, ports):
    described = document(
        ports,
        shard={
            "partitions": partitions(100, durability="disk", max_state_bytes=1 << 38),
            "nofile": 188,
        },
        state_dir="state",
    )
    with started(tmp_path, dump(described), described["broker"]["listen"], 40) as cluster:
        cluster.works("/7/a")
        assert cluster.canopy("status").returncode == 0
    described["shards"][0]["nofile"] = 187
    assert "shards.nofile: 187 open files are too few" in refusal(tmp_path, dump(described))


def test_both_forms_of_partitions(tmp_path, ports):
    """What the file places, by name or by number, is served where it is placed."""
    described = document(
        ports,
        partitions=[{"subtree": "/named/", "on": ["t"]}, {"subtree": "/placed/", "replicas": 1}],
    )
    described["shards"] += [{"name": name, "http": "127.0.0.1:0"} for name in ("t", "u")]
    with started(tmp_path, dump(described), described["broker"]["listen"]) as cluster:
        for key in ("/a", "/named/a", "/placed/a"):
            cluster.works(key)
        topology = json.loads(get(described["broker"]["http"], "/api/v1/topology")[1])
        kept = {
            shard["name"]: [each["subtree"] for each in shard["partitions"]]
            for shard in topology["shards"]
        }
        assert kept == {"s": ["*"], "t": ["/named/"], "u": ["/placed/"]}


# What stands in for the part of a file that is written down as text, and is accepted.
ODD_FILES = {
    "BOM and CRLF": lambda text: ("\ufeff" + text).replace("\n", "\r\n"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "a comment that is no UTF-8": lambda text: b"# caf\xe9\n" + text.encode(),
    "directive and document end": lambda text: "%YAML 1.2\n---\n" + text + "...\n",
    "flow style": lambda text: yaml.safe_dump(yaml.safe_load(text), default_flow_style=True),
    "odd texts": lambda text: text.replace("name: s", "name: --help").replace("name: p", "name: '-'")
    + "state_dir: '--version'\nlog_level: 'debug'\nlog_format: !!str json\nsecurity: \"off\"\n",
    "merge keys": lambda text: "x-shard: &shard {nofile: 512, updates_queue_bytes: 70000}\n"
    + text.replace("- name: s", "- <<: *shard\n  name: s"),
}


@pytest.mark.parametrize("what", ODD_FILES)
def test_odd_ways_to_write_it(tmp_path, ports, what):
    described = document(ports)
    text = ODD_FILES[what](dump(described))
    with started(tmp_path, text, described["broker"]["listen"]) as cluster:
        if "texts" not in what:
            cluster.works()


def numbers(section, tables, path=()):
    """The paths of the settings of the example that are numbers."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from numbers(value, tables, (*path, key))
        elif isinstance(value, list):
            for item in value[:1]:
                yield from numbers(item, tables, (*path, key)) if isinstance(item, dict) else ()
        elif isinstance(value, int) and not isinstance(value, bool):
            yield (*path, key)


def place(described, path, value):
    section = described
    for key in path[:-1]:
        section = section.setdefault(key, {})
        section = section[0] if isinstance(section, list) else section
    section[path[-1]] = value


def with_partition(ports):
    return document(ports, partitions=[{"subtree": "/one/", "on": ["s"]}])


def bounds_of(directory, ports, path):
    """What the check itself says that the setting may be."""
    described = with_partition(ports)
    place(described, path, -(10**30))
    reported = refusal(directory, dump(described))
    assert f": {'.'.join(path)}: " in reported, reported
    found = re.search(r"is out of bounds: (-?\d+) to (\d+)", reported)
    assert found, reported
    return int(found[1]), int(found[2])


def test_every_number_at_its_bounds(tmp_path, ports):
    """Each number of the example at its least and at its most: refused, with a line that names it,
    or else started, all of them in one cluster."""
    example = yaml.safe_load((REPOSITORY / "deploy/canopy.example.yaml").read_text())
    paths = list(numbers(example, ()))
    assert ("partitions", "log_bytes") in paths and ("coordination", "lease_ms") in paths
    whole = document(ports, state_dir="state", partitions=[])
    refused = []
    for path in paths:
        for value in bounds_of(tmp_path, ports, path):
            tried = with_partition(ports)
            place(tried, path, value)
            _, done = check(tmp_path, dump(tried))
            if done.returncode:
                refused.append(f"{path[-1]} {value}")
                assert f": {path[0]}." in refusal(tmp_path, dump(tried))
            elif path[0] in ("broker", "coordination"):
                if value <= seconds(10_000):  # or else its end is not seen here
                    place(whole, path, max(value, 1000) if path[-1] == "lease_ms" else value)
            elif path[0] == "partitions":
                owned = {"subtree": f"/{path[-1]}/{value}/", "on": ["s"], "durability": "disk"}
                whole["partitions"].append({**owned, path[-1]: value})
            else:
                added = {"name": f"{path[0]}-{path[-1]}-{value}".replace("_", "-").replace("--", "-m")}
                if path[0] == "shards":
                    added["partitions"] = [{"subtree": f"/{added['name']}/"}]
                elif path[-1] == "max_clients":
                    added["nofile"] = 0
                whole[path[0]].append({**added, path[-1]: value})
    # There is one shard, and so many clients need more descriptors than the nofile of the file.
    assert refused == ["replicas 7", "min_in_sync 7", "max_clients 1048576"], refused
    with started(tmp_path, dump(whole), whole["broker"]["listen"], 40) as cluster:
        cluster.works()
        assert cluster.canopy("status").returncode == 0


# Files that would not start, and a word of the reason.
def broken(ports):
    def made(change, **options):
        described = document(ports, **options)
        change(described)
        return dump(described)

    def proxy(**settings):
        return made(lambda described: described["proxies"][0].update(settings))

    def top(**settings):
        return made(lambda described: described.update(settings))

    return {
        "an address that is none": (proxy(http="127.0.0.300:0"), "proxies.http"),
        "an IPv6 address that is none": (proxy(http="[::x]:0"), "proxies.http"),
        "IPv6 without brackets": (proxy(native="tcp://::1:*"), "proxies.native"),
        "a folder for a socket": (proxy(native="ipc:///tmp/"), "proxies.native"),
        "clients beyond nofile": (proxy(max_clients=1020, nofile=1024), "proxies.nofile"),
        "a byte that ends a path": (top(state_dir="a\0b"), "state_dir"),
        "a part of a path too long": (top(state_dir="x" * 256), "state_dir"),
        "a home folder": (top(state_dir="~/state"), "state_dir"),
        "a key file that is missing": (
            top(security={"server_key": "missing.key_secret", "clients": []}),
            "security.server_key",
        ),
        "a key file that is a folder": (
            top(security={"server_key": ".", "clients": []}),
            "security.server_key",
        ),
        "a broker that others cannot find": (
            made(lambda described: described["broker"].update(supervise=False), host="0.0.0.0"),
            "broker.listen",
        ),
    }


def test_keys_that_would_let_nobody_in_are_refused(tmp_path, ports):
    for name in ("cluster", "other"):
        assert run_program("canopy", "keygen", name, "--directory", tmp_path).returncode == 0
    described = document(ports, security={"server_key": "mixed.key_secret", "clients": []})
    line = dump(described).splitlines().index("  server_key: mixed.key_secret") + 1
    own, other = ((tmp_path / f"{name}.key_secret").read_text() for name in ("cluster", "other"))
    mixed = tmp_path / "mixed.key_secret"
    for text, why in (
        (own[: own.index("secret-key")] + other[other.index("secret-key") :], "belong together"),
        (re.sub('"[^"]{40}"', '"' + "#" * 40 + '"', own), "40 characters of Z85"),
        ("", "holds no public-key"),
    ):
        mixed.write_text(text)
        mixed.chmod(0o600)
        reported = refusal(tmp_path, dump(described))
        assert f":{line}: security.server_key: " in reported and why in reported, reported
    mixed.unlink()
    os.mkfifo(mixed, 0o600)  # which a reader would wait at
    assert "is not a file" in refusal(tmp_path, dump(described))


def test_what_would_not_start_is_refused(tmp_path, ports):
    for what, (text, key) in broken(ports).items():
        line = refusal(tmp_path, text)
        assert f": {key}: " in line, (what, line)


def test_a_second_broker_leaves_the_first_alone(tmp_path, ports):
    """Over ipc, a socket is a file that any later process could remove."""
    described = document(ports)
    described["broker"]["listen"] = f"ipc://{tmp_path}/broker"
    described["shards"][0]["requests"] = f"ipc://{tmp_path}/requests"
    broker = described["broker"]["listen"]
    with started(tmp_path, dump(described), broker) as cluster:
        same = run_program("canopy-broker", "--config", tmp_path / "cluster.yaml", cwd=tmp_path)
        assert same.returncode == 1 and len(same.stderr.splitlines()) == 1, same
        assert "another running broker" in same.stderr
        other = run_program(
            "canopy-broker", "--config", tmp_path / "cluster.yaml", "--state-dir", tmp_path / "other", cwd=tmp_path
        )
        assert other.returncode == 1 and len(other.stderr.splitlines()) == 1, other
        assert "is another broker running?" in other.stderr
        cluster.works()
    assert (tmp_path / "broker").exists()  # libzmq leaves it
    with started(tmp_path, dump(described), broker) as cluster:
        cluster.works()


@pytest.mark.parametrize("program", ["canopy-broker", "canopy-shard", "canopy-proxy"])
def test_a_start_without_descriptors_ends_with_one_line(tmp_path, ports, program):
    described = document(ports)
    described["broker"]["supervise"] = False
    file, _ = check(tmp_path, dump(described))
    name = {"canopy-broker": "broker", "canopy-shard": "s", "canopy-proxy": "p"}[program]
    done = subprocess.run(
        [BIN / program, "--config", file, "--name", name],
        capture_output=True,
        text=True,
        timeout=seconds(20),
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10)),
    )
    assert done.returncode == 1, done
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"{program}: "), done.stderr
