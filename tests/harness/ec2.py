"""The CloudFormation template of deploy/ec2, and the files that its user data writes on a machine."""

import re

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
    return yaml.load(FILE.read_text(), _Loader)


def user_data(template):
    """Its text, with `${...}` where CloudFormation puts in a parameter."""
    return template["Resources"]["Machine"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Sub"]


def filled_in(text, values):
    """What Fn::Sub makes of it. Parameters that `values` lacks become `x`."""
    return re.sub(r"\$\{([^}]*)\}", lambda found: values.get(found[1], "x"), text)


def files(user_data):
    """{path: content} of what it writes."""
    return {file["path"]: file["content"] for file in yaml.safe_load(user_data)["write_files"]}


def units(template, machine, values):
    """The systemd units that a machine of the template runs, by its tag."""
    tags = {each["Key"]: each["Value"] for each in template["Resources"][machine]["Properties"]["Tags"]}
    text = tags["canopy-units"]
    return filled_in(text["Sub"] if isinstance(text, dict) else text, values).split()
