"""The machines of deploy/ec2/canopy.yaml on hosts of hosts.py, with the files of the user data, and with the commands of the
systemd units that the tags name. tests/package/ec2.sh does the same with systemd."""

import re
import shlex
import shutil

import pytest

from tests.faults import hosts
from tests.faults.deployment import Member
from tests.faults.machines import Machines, lose_each
from tests.harness import ec2
from tests.harness.cluster import BIN, REPOSITORY

STATE = ["State1", "State2", "State3"]
PROXY = 4  # number of the proxy's machine
UNITS = "/etc/systemd/system"
STATE_DIR = "/var/lib/canopy"


def command(unit, files):
    """ExecStart of a unit, which the user data or the package brings."""
    name, at, instance = unit.partition("@")
    file = f"{name}{at}.service"
    text = files.get(f"{UNITS}/{file}") or (REPOSITORY / "deploy/systemd" / file).read_text()
    [line] = re.findall(r"^ExecStart=((?:.*\\\n)*.*)", text, re.MULTILINE)
    program, *arguments = shlex.split(line.replace("\\\n", " ").replace("%i", instance))
    name = program.removeprefix("/usr/bin/")
    return [BIN / name if name.startswith("canopy-") else program, *arguments]


def members(host, units, files, directory):
    """The processes of a host, with their state in a directory of its own."""
    place = directory / host.name
    place.mkdir()
    file = place / "cluster.yaml"
    file.write_text(files["/etc/canopy/cluster.yaml"].replace(STATE_DIR, str(place)))
    shutil.copy(directory / "cluster.key_secret", place)
    for unit in units:
        words = [str(each).replace(STATE_DIR, str(place)) for each in command(unit.replace("HOST", host.name), files)]
        yield Member(unit, words, {"CANOPY_CONFIG": str(file)}, place / f"{unit}.log", host)


@pytest.fixture
def machines(tmp_path, monkeypatch):
    template = ec2.template()
    try:
        with hosts.network(4) as net:
            values = {f"{name}Address": host.address for name, host in zip(STATE, net.hosts)}
            values |= {"MaxClients": "100", **ec2.keys(tmp_path, BIN / "canopy")}
            monkeypatch.setenv("CANOPY_KEY", str(tmp_path / "client.key_secret"))
            monkeypatch.setenv("CANOPY_SERVER_KEY", str(tmp_path / "cluster.key"))
            files = ec2.files(ec2.filled_in(ec2.user_data(template), values))
            brokers = ec2.filled_in(template["Outputs"]["Brokers"]["Value"]["Sub"], values)
            placed = {
                number: (host, list(members(host, ec2.units(template, name, values), files, tmp_path)))
                for number, (host, name) in enumerate(zip(net.hosts, [*STATE, "NativeGroup"]), 1)
            }
            with Machines(placed, brokers) as started:
                yield started
    except hosts.Unsupported as reason:
        pytest.skip(str(reason))


def test_any_machine_of_the_state_may_be_lost(machines):
    lose_each(machines, (1, 2, 3), lambda lost: (PROXY, PROXY))
