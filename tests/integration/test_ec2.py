"""What starts a cluster on EC2 is what cloud-init and CloudFormation understand, and says what Canopy understands.
tests/faults/test_ec2_machines.py runs it."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

from tests.harness import cluster as clusters, ec2
from tests.harness.waiting import seconds

STATE = ["State1", "State2", "State3"]
ADDRESSES = {f"{name}Address": f"127.0.0.{i}" for i, name in enumerate(STATE, 1)}
VALUES = {**ADDRESSES, "MaxClients": "2000"}
CLONE_PORTS = [first + i for first in (5556, 5566, 5576) for i in range(3)]


@pytest.fixture(scope="module")
def template():
    return ec2.template()


@pytest.fixture(scope="module")
def user_data(template):
    return ec2.user_data(template)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The directory of the key pairs, and the parameters that name them."""
    directory = tmp_path_factory.mktemp("keys")
    return directory, ec2.keys(directory, clusters.BIN / "canopy")


@pytest.fixture(scope="module")
def files(user_data, keys):
    return ec2.files(ec2.filled_in(user_data, {**VALUES, **keys[1]}))


def test_machines_get_the_values_of_the_template(template, user_data):
    machine = template["Resources"]["Machine"]["Properties"]["LaunchTemplateData"]
    known = {*template["Parameters"], "AWS::Region", "AWS::StackName"}
    assert set(re.findall(r"\$\{([^}]*)\}", user_data)) <= known
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert machine["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    assert len(user_data) < 16384, "EC2 takes no more"


def test_each_machine_of_the_state_has_a_zone_an_address_and_a_volume_of_its_own(template):
    resources = template["Resources"]
    for i, name in enumerate(STATE):
        machine = resources[name]["Properties"]
        assert machine["SubnetId"] == {"Select": [i, {"Ref": "Subnets"}]}
        assert machine["PrivateIpAddress"] == {"Ref": f"{name}Address"}
        [volume] = [each["VolumeId"] for each in machine["Volumes"]]
        assert volume == {"Ref": f"Volume{i + 1}"}
        assert {"Key": "canopy-volume", "Value": volume} in machine["Tags"]
        assert resources[volume["Ref"]]["Properties"]["AvailabilityZone"] == {"Select": [i, {"Ref": "Zones"}]}
        wanted = [f"etcd-member@127.0.0.{i + 1}", "canopy-broker", f"canopy-shard@s{i + 1}"]
        assert ec2.units(template, name, VALUES) == wanted


def rules_of(template):
    """[(security group, ingress rule)]."""
    rules = []
    for name, each in template["Resources"].items():
        properties = each["Properties"]
        if each["Type"] == "AWS::EC2::SecurityGroup":
            rules += [(name, rule) for rule in properties.get("SecurityGroupIngress", [])]
        if each["Type"] == "AWS::EC2::SecurityGroupIngress":
            rules.append((properties["GroupId"]["Ref"], properties))
    return rules


def open_ports(template, group, source):
    """The ports of a security group that are open to the addresses of a parameter."""
    rules = [rule for name, rule in rules_of(template) if name == group and rule.get("CidrIp") == {"Ref": source}]
    return {port for rule in rules for port in range(rule["FromPort"], rule["ToPort"] + 1)}


def test_open_ports_are_those_of_the_cluster(template, files):
    [proxy] = yaml.safe_load(files["/etc/canopy/cluster.yaml"])["proxies"]
    port = {name: int(proxy[name].rpartition(":")[2]) for name in ("native", "kvsimple", "kvmsg", "chp", "http")}
    clone = {port[dialect] + i for dialect in ("kvsimple", "kvmsg", "chp") for i in range(3)}
    assert open_ports(template, "ProxyGroup", "ClientCidr") == {port["native"]} | clone
    assert open_ports(template, "BalancerGroup", "ClientCidr") == clone
    assert open_ports(template, "ProxyGroup", "MonitoringCidr") == {port["http"]}
    assert open_ports(template, "StateGroup", "MonitoringCidr") == {8550, 8551}
    assert open_ports(template, "StateGroup", "ClientCidr") == {5550}
    assert "Default" not in template["Parameters"]["MonitoringCidr"]


def test_machines_read_their_package_alone(template):
    [statement] = template["Resources"]["ReadPackage"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "s3:GetObject"
    assert statement["Resource"]["Join"][1][-1] == {"Select": [1, {"Split": ["s3://", {"Ref": "PackageUrl"}]}]}


def test_cloudformation_waits_for_the_signal_of_each_machine(template):
    for name, each in template["Resources"].items():
        if each["Type"] not in ("AWS::EC2::Instance", "AWS::AutoScaling::AutoScalingGroup"):
            continue
        tags = {tag["Key"]: tag["Value"] for tag in each["Properties"]["Tags"]}
        assert tags["canopy-resource"] == name
        assert each["CreationPolicy"]["ResourceSignal"]["Count"]
        if each["Type"] == "AWS::AutoScaling::AutoScalingGroup":
            assert each["UpdatePolicy"]["AutoScalingRollingUpdate"]["WaitOnResourceSignals"] is True
            assert each["Properties"]["HealthCheckType"] == "ELB" and each["Properties"]["TargetGroupARNs"]


def test_a_failed_first_boot_is_retried(files):
    unit = files["/etc/systemd/system/first-boot.service"]
    assert "Restart=on-failure" in unit and "ConditionPathExists=!/etc/canopy/installed" in unit


def test_only_the_cluster_reaches_etcd(template):
    """Every rule that opens a port of etcd, by the group that it is open to."""
    rules = rules_of(template)
    for port, source in ((2379, "ClusterGroup"), (2380, "StateGroup")):
        found = [(name, rule) for name, rule in rules if rule["FromPort"] <= port <= rule["ToPort"]]
        assert [name for name, _ in found] == ["StateGroup"]
        assert "CidrIp" not in found[0][1] and found[0][1]["SourceSecurityGroupId"] == {"Ref": source}


def test_every_volume_is_encrypted(template):
    resources = template["Resources"].values()
    volumes = [each["Properties"] for each in resources if each["Type"] == "AWS::EC2::Volume"]
    machine = template["Resources"]["Machine"]["Properties"]["LaunchTemplateData"]
    volumes += [mapping["Ebs"] for mapping in machine["BlockDeviceMappings"]]
    assert len(volumes) == 4 and all(volume["Encrypted"] is True for volume in volumes)


def test_clone_clients_keep_to_one_proxy(template):
    resources = template["Resources"]
    groups = {name: each for name, each in resources.items() if each["Type"].endswith("TargetGroup")}
    assert sorted(int(each["Properties"]["Port"]) for each in groups.values()) == [5552, *CLONE_PORTS]
    for each in groups.values():
        attributes = {item["Key"]: item["Value"] for item in each["Properties"]["TargetGroupAttributes"]}
        assert attributes["stickiness.type"] == "source_ip" and attributes["stickiness.enabled"] == "true"
    attributes = {item["Key"]: item["Value"] for item in resources["Balancer"]["Properties"]["LoadBalancerAttributes"]}
    assert attributes["load_balancing.cross_zone.enabled"] == "false"
    assert attributes["dns_record.client_routing_policy"] == "availability_zone_affinity"
    for i in range(3):
        group = resources[f"CloneGroup{i}"]["Properties"]
        assert group["VPCZoneIdentifier"] == [{"Select": [str(i), {"Ref": "Subnets"}]}] and group["MaxSize"] == "1"
        assert [each["Ref"] for each in group["TargetGroupARNs"]] == [f"Targets{port}" for port in CLONE_PORTS]
    for port in CLONE_PORTS:
        [action] = resources[f"Listener{port}"]["Properties"]["DefaultActions"]
        assert action["TargetGroupArn"] == {"Ref": f"Targets{port}"}


def test_the_cluster_is_one_that_canopy_reads(files, keys):
    file = keys[0] / "cluster.yaml"
    file.write_text(files["/etc/canopy/cluster.yaml"])
    roles = [("broker", "broker"), ("proxy", "proxy-ip-10-0-1-23")]
    roles += [("shard", name) for name in ("s1", "s2", "s3")]
    for program, name in roles:
        done = clusters.run_program(f"canopy-{program}", "--config", file, "--name", name, "--check-config")
        assert done.returncode == 0, done.stderr


def test_the_scripts_are_shell(files):
    scripts = {path: text for path, text in files.items() if text.startswith("#!")}
    assert len(scripts) == 6
    for path, text in scripts.items():
        shell = text.splitlines()[0].removeprefix("#!")
        done = subprocess.run([shell, "-n"], input=text, text=True, capture_output=True)
        assert done.returncode == 0, f"{path}: {done.stderr}"


class Volume:
    """A file in place of a device."""

    SIZE = 64 << 20

    def __init__(self, directory, script):
        self.path = directory / "volume"
        self._script = script
        with open(self.path, "wb") as file:
            file.truncate(self.SIZE)

    def write(self, offset, data):
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def format_if_blank(self):
        environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        return subprocess.run(
            ["bash", "-s", self.path], input=self._script, text=True, capture_output=True, env=environment
        )

    def label(self):
        """That of its ext4 file system; None when it has none."""
        data = self.path.read_bytes()[1024:2048]
        return data[120:136].rstrip(b"\0").decode() if data[56:58] == b"\x53\xef" else None


@pytest.fixture
def volume(tmp_path, files):
    return Volume(tmp_path, files["/usr/local/lib/canopy-machine/format-if-blank"])


def test_a_blank_volume_is_formatted_once(volume):
    done = volume.format_if_blank()
    assert done.returncode == 0, done.stderr
    assert volume.label() == "canopy"
    formatted = volume.path.read_bytes()
    assert volume.format_if_blank().returncode == 0
    assert volume.path.read_bytes() == formatted


DATA = {
    "a byte in the first block": (17, b"x"),
    "a byte at the end of what is looked at": ((16 << 20) - 1, b"x"),
    "a partition table": (510, b"\x55\xaa"),
    "the signature of swap": (4086, b"SWAPSPACE2"),
    "a signature at the end": (Volume.SIZE - 64 * 1024, (0xA92B4EFC).to_bytes(4, "little")),  # Linux RAID, version 0.90
}


@pytest.mark.parametrize("what", DATA)
def test_a_volume_with_data_is_left_as_it_is(volume, what):
    volume.write(*DATA[what])
    before = volume.path.read_bytes()
    assert volume.format_if_blank().returncode == 0
    assert volume.path.read_bytes() == before


def test_a_volume_that_cannot_be_read_is_no_blank_one(volume):
    """blkid and wipefs find nothing there, too."""
    volume.path.unlink()
    assert volume.format_if_blank().returncode != 0
    assert not volume.path.exists()
    volume.path = "/proc/self/mem"  # opens; a read at its beginning is an I/O error
    done = volume.format_if_blank()
    assert done.returncode != 0 and "Input/output error" in done.stderr


def test_cloud_init_knows_every_word(user_data, tmp_path):
    """By the schema of Debian's package, which is not installed: it would set up this machine at its next start."""
    jsonschema = pytest.importorskip("jsonschema")
    environment = {**os.environ, "LC_ALL": "C"}
    fetched = subprocess.run(
        "apt-get -q download cloud-init && dpkg-deb -x cloud-init_*.deb .",
        shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=seconds(60), env=environment,
    )  # fmt: skip
    if fetched.returncode != 0:
        pytest.skip("Debian's cloud-init cannot be had: " + fetched.stderr.strip().splitlines()[-1])
    [file] = tmp_path.rglob("schema-cloud-config-v1.json")
    validator = jsonschema.Draft4Validator(json.loads(file.read_text()))
    errors = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(yaml.safe_load(user_data))]
    assert not errors
    assert any(validator.iter_errors({"runcmd": "no list"})), "the schema finds nothing wrong with anything"


def test_cfn_lint_finds_nothing(tmp_path):
    linter = shutil.which("cfn-lint")
    if not linter:
        pytest.skip("cfn-lint is not installed: pip install cfn-lint")
    done = subprocess.run([linter, ec2.FILE], capture_output=True, text=True, timeout=seconds(120))
    assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "broken.yaml"
    broken.write_text(ec2.FILE.read_text().replace("Scheme: internal", "Scheme: nowhere"))
    assert subprocess.run([linter, broken], capture_output=True, timeout=seconds(120)).returncode != 0
