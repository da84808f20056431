"""Mistakes in the cluster's file: exit code 2 and one line that names file, line and key."""

import pytest

from tests.harness.cluster import run_program

GOOD = """\
state_dir: ./state
log_level: info
broker:
  listen: tcp://127.0.0.1:15550
  http: 127.0.0.1:18550
  drain_ms: 3000
coordination:
  lease_ms: 3000
shards:
  - name: results
    nofile: 1024
    partitions:
      - subtree: /results/
        durability: disk
        sync: interval
        sync_interval_ms: 100
        retain: true
  - name: rest
    http: 127.0.0.1:18551
    updates_queue_bytes: 1000000
    partitions:
      - subtree: "*"
proxies:
  - name: p1
    max_clients: 300
    max_linger_ms: 10
    kvsimple: tcp://127.0.0.1:15556
    kvmsg: tcp://127.0.0.1:15566
  - name: p2
    kvsimple: tcp://127.0.0.1:15656
"""

TWICE = "http: 127.0.0.1:18551\n    http: 127.0.0.1:18552"
LAST_PARTITION = '\n      - subtree: "*"\n'

# what: (text to replace, replacement, a word the message must hold, where: text of the lines that
# the message may name)
MISTAKES = {
    "unknown key at the top": ("state_dir:", "stat_dir:", "stat_dir", ["stat_dir"]),
    "unknown key of the broker": ("drain_ms:", "drain:", "drain", ["drain:"]),
    "unknown key of the coordination": ("lease_ms:", "lease:", "lease", ["lease:"]),
    "unknown key of a shard": ("updates_queue_bytes:", "update_queue_bytes:", "update_queue_bytes", ["update_queue_bytes"]),
    "unknown key of a partition": ("retain:", "retian:", "retian", ["retian"]),
    "unknown key of a proxy": ("max_clients:", "maxclients:", "maxclients", ["maxclients"]),
    "a word for a number": ("clients: 300", "clients: many", "max_clients", ["many"]),
    "a fraction for a number": ("max_clients: 300", "max_clients: 3.5", "max_clients", ["3.5"]),
    "a word for a boolean": ("retain: true", "retain: perhaps", "retain", ["perhaps"]),
    "a list for a word": ("durability: disk", "durability: [disk]", "durability", ["[disk]"]),
    "a word for a list": (LAST_PARTITION, " all\n", "partitions", ["all"]),
    "a number for a section": ("proxies:\n", "proxies: 4\nx:\n", "proxies", ["proxies: 4"]),
    "an empty list": (LAST_PARTITION, "\n", "partitions", ["partitions:", "name: rest"]),
    "an unknown choice": ("durability: disk", "durability: ssd", "durability", ["ssd"]),
    "an unknown sync": ("sync: interval", "sync: sometimes", "sync", ["sometimes"]),
    "an unknown log level": ("log_level: info", "log_level: loud", "log_level", ["loud"]),
    "no clients at all": ("max_clients: 300", "max_clients: 0", "max_clients", ["max_clients: 0"]),
    "a negative number": ("max_clients: 300", "max_clients: -1", "max_clients", ["-1"]),
    "a negative time": ("lease_ms: 3000", "lease_ms: -5", "lease_ms", ["-5"]),
    "a negative limit": ("updates_queue_bytes: 1000000", "updates_queue_bytes: -3", "updates_queue_bytes", ["-3"]),
    "a number beyond 64 bits": ("clients: 300", f"clients: {10**20}", "max_clients", ["00000"]),
    "a linger of an hour": ("linger_ms: 10", "linger_ms: 3600000", "max_linger_ms", ["3600000"]),
    "a port beyond 65535": ("15656", "75656", "kvsimple", ["75656"]),
    "no room for three ports": ("15656", "65534", "kvsimple", ["65534"]),
    "an endpoint without a transport": ("tcp://127.0.0.1:15656", "h:1", "kvsimple", ["h:1"]),
    "an endpoint without a port": (":15656", "", "kvsimple", ["tcp://127.0.0.1\n"]),
    "an address that is none": ("127.0.0.1:18551", "localhost", "http", ["localhost"]),
    "a subtree without its slash": ("/results/", "/results", "subtree", ["/results"]),
    "a subtree with a control character": ("/results/", '"/a\\tb/"', "subtree", ["/a\\tb/"]),
    "a subtree that is too long": ("/results/", "/" + "x" * 255 + "/", "subtree", ["xxx"]),
    "a partition owned twice": ('"*"', "/results/", "/results/", ["subtree: /results/"]),
    "two shards of one name": ("name: rest", "name: results", "results", ["name: results"]),
    "two proxies of one name": ("name: p2", "name: p1", "p1", ["name: p1"]),
    "a shard and a proxy of one name": ("name: p2", "name: rest", "rest", ["name: rest"]),
    "no name": ("- name: p2\n    kvsimple", "- kvsimple", "name", ["15656"]),
    "a name that is a path": ("name: rest", "name: ../rest", "name", ["../rest"]),
    "no subtree": ('- subtree: "*"', "- retain: true", "subtree", ["- retain: true"]),
    "a port inside another's triple": ("15566", "15558", "15558", ["15558", "15556"]),
    "two proxies on one port": ("15656", "15556", "15556", ["15556"]),
    "two processes on one HTTP port": ("18551", "18550", "18550", ["18551", "18550"]),
    "a triple over the broker's port": ("15656", "15549", "15550", ["15549", "15550"]),
    "a setting given twice": ("http: 127.0.0.1:18551", TWICE, "http", ["1855"]),
    "no YAML at all": ("broker:\n", "broker: [\n", "", None),
    "a tab as indentation": ("  listen", "\tlisten", "", None),
}


def check(tmp_path, text, program="canopy-broker"):
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    return file, run_program(program, "--config", file, "--check-config")


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_named_by_file_line_and_key(tmp_path, what):
    old, new, word, places = MISTAKES[what]
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    file, done = check(tmp_path, text)
    assert done.returncode == 2, f"{done.returncode}: {done.stdout}{done.stderr}"
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    numbers = [
        number
        for number, line in enumerate(text.splitlines(keepends=True), 1)
        if places is None or any(place in line for place in places)
    ]
    assert any(f"{file}:{number}:" in lines[0] for number in numbers), (lines[0], numbers)
    assert word in lines[0]


@pytest.mark.parametrize("program", ["canopy-broker", "canopy-shard", "canopy-proxy"])
def test_every_program_checks(tmp_path, program):
    _, done = check(tmp_path, GOOD, program)
    assert (done.returncode, done.stderr) == (0, "")
    file, done = check(tmp_path, GOOD.replace("retain", "retian"), program)
    assert done.returncode == 2
    assert f"{file}:17:" in done.stderr and "retian" in done.stderr


@pytest.mark.parametrize("program", ["canopy-broker", "canopy-shard", "canopy-proxy"])
def test_command_lines(tmp_path, program):
    """Wrong ones end with code 2 and one line, before anything is started."""
    file = tmp_path / "cluster.yaml"
    file.write_text(GOOD)
    for arguments in (
        ["--config", tmp_path / "missing.yaml", "--name", "p1"],
        ["--config", tmp_path, "--name", "p1"],
        ["--config", file, "--name", "nobody"],
        ["--config", file, "--name"],
        ["--config", file, "--no-such-flag"],
    ):
        done = run_program(program, *arguments)
        assert done.returncode == 2, (arguments, done)
        assert len(done.stderr.strip().splitlines()) == 1, (arguments, done.stderr)
    for flag in ("--help", "--version"):
        done = run_program(program, flag)
        assert done.returncode == 0 and done.stdout and not done.stderr
