"""What starts a cluster on EC2 is what cloud-init and CloudFormation understand, and says what Canopy understands."""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest
import yaml

import cluster as clusters
from debian import BUILD
from waiting import seconds

EC2 = clusters.REPOSITORY / "deploy/ec2"
VALUES = {"BrokerAddress": "127.0.0.1", "MaxClients": "2000"}


class Template(yaml.SafeLoader):
    """YAML with CloudFormation's short functions, which become {name: value}."""


def function(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    build = loader.construct_sequence if isinstance(node, yaml.SequenceNode) else loader.construct_mapping
    return {suffix: build(node, deep=True)}


Template.add_multi_constructor("!", function)


@pytest.fixture(scope="module")
def template():
    return yaml.load((EC2 / "canopy.yaml").read_text(), Template)


@pytest.fixture(scope="module")
def user_data():
    return (EC2 / "user-data.yaml").read_text()


def files_of(user_data):
    return {file["path"]: file["content"] for file in yaml.safe_load(user_data)["write_files"]}


def test_the_template_starts_machines_with_the_user_data(template, user_data):
    machine = template["Resources"]["Machine"]["Properties"]["LaunchTemplateData"]
    assert machine["UserData"]["Fn::Base64"]["Sub"] == user_data
    known = {*template["Parameters"], "AWS::Region"}
    assert set(re.findall(r"\$\{([^}]*)\}", user_data)) <= known
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert machine["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    assert len(user_data) < 16384, "EC2 takes no more"


def test_every_volume_is_encrypted(template):
    resources = template["Resources"].values()
    volumes = [each["Properties"] for each in resources if each["Type"] == "AWS::EC2::Volume"]
    machine = template["Resources"]["Machine"]["Properties"]["LaunchTemplateData"]
    volumes += [mapping["Ebs"] for mapping in machine["BlockDeviceMappings"]]
    assert len(volumes) == 3 and all(volume["Encrypted"] is True for volume in volumes)


def test_clone_clients_keep_to_one_proxy(template):
    resources = template["Resources"]
    groups = {name: each for name, each in resources.items() if each["Type"].endswith("TargetGroup")}
    assert sorted(each["Properties"]["Port"] for each in groups.values()) == [5556, 5557, 5558]
    for each in groups.values():
        attributes = {item["Key"]: item["Value"] for item in each["Properties"]["TargetGroupAttributes"]}
        assert attributes["stickiness.type"] == "source_ip" and attributes["stickiness.enabled"] == "true"
    attributes = {item["Key"]: item["Value"] for item in resources["Balancer"]["Properties"]["LoadBalancerAttributes"]}
    assert attributes["load_balancing.cross_zone.enabled"] == "false"
    assert attributes["dns_record.client_routing_policy"] == "availability_zone_affinity"
    assert {each["Ref"] for each in resources["CloneGroup"]["Properties"]["TargetGroupARNs"]} == set(groups)


def test_the_cluster_is_one_that_canopy_reads(user_data, tmp_path):
    text = files_of(user_data)["/etc/canopy/cluster.yaml"]
    for name, value in VALUES.items():
        text = text.replace("${" + name + "}", value)
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    for program, name in (("broker", "broker"), ("shard", "results"), ("shard", "rest"), ("proxy", "proxy-ip-10-0-1-23")):
        done = clusters.run_program(f"canopy-{program}", "--config", file, "--name", name, "--check-config")
        assert done.returncode == 0, done.stderr


def test_the_scripts_are_shell(user_data):
    scripts = {path: text for path, text in files_of(user_data).items() if text.startswith("#!")}
    assert len(scripts) == 3
    for path, text in scripts.items():
        text = re.sub(r"\$\{[^}]*\}", "x", text)
        shell = text.splitlines()[0].removeprefix("#!")
        done = subprocess.run([shell, "-n"], input=text, text=True, capture_output=True)
        assert done.returncode == 0, f"{path}: {done.stderr}"


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
    tools = BUILD / "cfn-lint"  # kept: the next run needs no network
    if not (tools / "bin/cfn-lint").exists():
        made = subprocess.run(
            [sys.executable, "-m", "venv", tools], capture_output=True, text=True, timeout=seconds(60)
        )
        if made.returncode == 0:
            made = subprocess.run(
                [tools / "bin/pip", "install", "-q", "cfn-lint"], capture_output=True, text=True, timeout=seconds(300)
            )
        if made.returncode != 0:
            pytest.skip("cfn-lint cannot be had from PyPI: " + (made.stderr or made.stdout).strip()[-200:])
    linter = tools / "bin/cfn-lint"
    done = subprocess.run([linter, EC2 / "canopy.yaml"], capture_output=True, text=True, timeout=seconds(120))
    assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "broken.yaml"
    broken.write_text((EC2 / "canopy.yaml").read_text().replace("Scheme: internal", "Scheme: nowhere"))
    assert subprocess.run([linter, broken], capture_output=True, timeout=seconds(120)).returncode != 0
