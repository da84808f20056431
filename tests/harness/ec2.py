"""The CloudFormation template of deploy/ec2, and the files that its user data writes on a machine."""

import re
import subprocess

import yaml

from tests.harness.cluster import REPOSITORY

FILE = REPOSITORY / "deploy/ec2/canopy.yaml"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short functions, which become {name: value}."""


def _function(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    build = loader.construct_sequence if isinstance(node, yaml.SequenceNode) else loader.construct_mapping
    return {suffix: build(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


def template():
    """The template; each Fn::ForEach of its resources is replaced by the resources that it stands for."""
    loaded = yaml.load(FILE.read_text(), _Loader)
    resources = {}
    for name, each in loaded["Resources"].items():
        resources.update(_repeated(*each) if name.startswith("Fn::ForEach::") else {name: each})
    return {**loaded, "Resources": resources}


def _repeated(variable, values, resources):
    for value in values:
        yield from _filled_in(resources, variable, value).items()


def _filled_in(node, variable, value):
    """A copy with `value` for every reference to `variable`."""
    if node == {"Ref": variable}:
        return value
    if isinstance(node, dict):
        filled = {_filled_in(key, variable, value): _filled_in(each, variable, value) for key, each in node.items()}
        return filled["Sub"] if "Sub" in filled and "${" not in filled["Sub"] else filled
    if isinstance(node, list):
        return [_filled_in(each, variable, value) for each in node]
    return node.replace(f"${{{variable}}}", value) if isinstance(node, str) else node


def user_data(template):
    """Its text, with `${...}` where CloudFormation puts in a parameter."""
    return template["Resources"]["Machine"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Sub"]


def filled_in(text, values):
    """What Fn::Sub makes of it. Parameters that `values` lacks become `x`."""
    return re.sub(r"\$\{([^}]*)\}", lambda found: values.get(found[1], "x"), text)


def files(user_data):
    """{path: content} of what it writes."""
    return {file["path"]: file["content"] for file in yaml.safe_load(user_data)["write_files"]}


def keys(directory, canopy):
    """Makes the key pairs cluster, client and operator in a directory; the parameters that name the public ones."""
    for name in ("cluster", "client", "operator"):
        subprocess.run([canopy, "keygen", name], cwd=directory, check=True, capture_output=True)
    public = {name: re.search(r'public-key = "(.{40})"', (directory / f"{name}.key").read_text())[1] for name in ("client", "operator")}
    return {"ClientPublicKey": public["client"], "OperatorPublicKey": public["operator"]}


def units(template, machine, values):
    """The systemd units that a machine of the template runs, by its tag."""
    tags = {each["Key"]: each["Value"] for each in template["Resources"][machine]["Properties"]["Tags"]}
    text = tags["canopy-units"]
    return filled_in(text["Sub"] if isinstance(text, dict) else text, values).split()
