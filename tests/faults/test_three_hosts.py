"""deploy/three-hosts as it stands: etcd, a broker, a shard and a proxy on each of three hosts."""

import contextlib
import pathlib

import pytest

from tests.faults import hosts
from tests.faults.deployment import Member
from tests.faults.machines import Machines, lose_each
from tests.faults.run import etcd_members
from tests.harness.cluster import BIN

FILE = pathlib.Path(__file__).resolve().parents[2] / "deploy/three-hosts/cluster.yaml"
HOSTS_FILE = pathlib.Path("/etc/netns")  # /etc/hosts of a namespace, as `ip netns exec` sees it


@contextlib.contextmanager
def names_of(net):
    """Every host knows the others by name."""
    table = "127.0.0.1 localhost\n" + "".join(f"{each.address} {each.name}\n" for each in net.hosts)
    places = [HOSTS_FILE / each.namespace for each in net.hosts]
    for place in places:
        place.mkdir(parents=True)
        (place / "hosts").write_text(table)
    try:
        yield
    finally:
        for place in places:
            (place / "hosts").unlink()
            place.rmdir()


def members(net, directory):
    """What each host runs: {number: (host, members)}."""
    etcd, found = list(etcd_members(net, directory)), {}
    for number, host in enumerate(net.hosts, 1):
        found[number] = (host, [etcd[number - 1]])
        for kind, name in (("broker", "broker"), ("shard", f"s{number}"), ("proxy", f"p{number}")):
            # A state directory of the host's own.
            command = [BIN / f"canopy-{kind}", "--config", FILE, "--name", name]
            command += ["--state-dir", directory / host.name]
            found[number][1].append(Member(f"{kind}{number}", command, {}, directory / f"{kind}{number}.log", host))
    return found


@pytest.fixture
def three(tmp_path):
    try:
        with hosts.network(3) as net, names_of(net):
            with Machines(members(net, tmp_path)) as machines:
                yield machines
    except hosts.Unsupported as reason:
        pytest.skip(str(reason))


def test_any_host_may_be_lost(three):
    lose_each(three, (1, 2, 3), lambda lost: [number for number in three.hosts if number != lost])
