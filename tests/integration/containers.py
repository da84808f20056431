"""Compose files of the repository in real containers, under project names of their own."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import uuid

import pytest

import scrape
from cluster import BIN, REPOSITORY
from waiting import seconds

BASE = "canopy-test-base"  # kept: it takes longest to make
COMPOSE = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
PROGRAMS = ["canopy-broker", "canopy-shard", "canopy-proxy", "canopy", "canopy-loadtest"]


def require():
    """Skips the test where no containers can be run, and says why."""
    if missing := _missing():
        print(f"skipped: {missing}")
        pytest.skip(missing)


def _missing():
    if not shutil.which("docker"):
        return "docker is not installed"
    for command in (["docker", "info"], [*COMPOSE, "version"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as fault:
            return str(fault)
        if done.returncode:
            return f"{' '.join(command)}: {done.stderr.strip()}"
    return None


def run(*command, timeout=60, **options):
    """Runs a command to its end and returns its output; AssertionError when it fails."""
    done = subprocess.run(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds(timeout),
        **options,
    )
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


OTHERS = {"prometheus": "deploy/prometheus", "etcd": "deploy/three-hosts"}  # canopy-NAME: its Dockerfile


@contextlib.contextmanager
def images(directory):
    """Builds `canopy` from the programs under test, and OTHERS, under tags of their own; yields the variables that name
    them to a compose file. They are based on an image with Debian's part, which is made once and kept."""
    setup = (REPOSITORY / "deploy/setup.sh").read_text()
    packages = setup.split("\nrun=(")[1].split(")")[0].split() + ["prometheus", "etcd-server"]
    run(REPOSITORY / "deploy/base-image.sh", *packages, env={**os.environ, "BASE": BASE}, timeout=600)
    (directory / "deploy").mkdir(parents=True)
    (directory / "deploy/setup.sh").write_text(setup)
    (directory / "deploy/setup.sh").chmod(0o755)
    (directory / "bin").mkdir()
    for program in PROGRAMS:
        run("strip", "-o", directory / "bin" / program, BIN / program)
    tag = f"test-{uuid.uuid4().hex[:8]}"
    made = {"CANOPY_IMAGE": f"canopy:{tag}"}
    build = ["docker", "build", "--quiet", "--build-arg", f"BASE={BASE}"]
    try:
        run(*build, "--file", REPOSITORY / "deploy/Dockerfile", "--build-arg", "PROGRAMS=given",
            "--tag", f"canopy:{tag}", directory, timeout=180)  # fmt: skip
        for name, folder in OTHERS.items():
            made[f"CANOPY_{name.upper()}_IMAGE"] = f"canopy-{name}:{tag}"
            run(*build, "--tag", f"canopy-{name}:{tag}", REPOSITORY / folder, timeout=180)
        yield made
    finally:
        subprocess.run(["docker", "rmi", "--force", *made.values()], capture_output=True)


class Compose:
    """A project of a compose file of the repository, changed by `override`. Started with up(); destroy() leaves nothing
    of it but its images."""

    def __init__(self, file, directory, override, environment):
        self.name = f"canopy-test-{uuid.uuid4().hex[:8]}"
        changes = pathlib.Path(directory) / f"{self.name}.yml"
        changes.write_text(json.dumps(override))  # JSON is YAML
        self.files = ["--file", REPOSITORY / file, "--file", changes]
        self.environment = {**os.environ, **environment}

    def compose(self, *words, timeout=60):
        return run(*COMPOSE, "--project-name", self.name, *self.files, *words,
                   env=self.environment, timeout=timeout)  # fmt: skip

    def up(self, *words):
        return self.compose("up", "--detach", "--no-build", *words, timeout=120)

    def containers(self, service):
        """What docker says of each container of a service, running or not."""
        ids = run("docker", "ps", "--all", "--quiet", "--no-trunc",
                  "--filter", f"label=com.docker.compose.project={self.name}",
                  "--filter", f"label=com.docker.compose.service={service}",
                  "--filter", "label=com.docker.compose.oneoff=False").split()  # fmt: skip
        return json.loads(run("docker", "inspect", *ids)) if ids else []

    def healthy(self, service, count):
        found = self.containers(service)
        states = [each["State"].get("Health", {}).get("Status") for each in found]
        return states == ["healthy"] * count

    def address(self, container):
        [network] = container["NetworkSettings"]["Networks"].values()
        return network["IPAddress"]

    def broker(self):
        return self.address(self.containers("broker")[0])

    def canopy(self, *words):
        """The command line on this machine, which reaches containers by their addresses."""
        return run(BIN / "canopy", "--broker", f"tcp://{self.broker()}:5550", *words, timeout=20)

    def status(self):
        """{name: state} of shards and proxies."""
        reported = json.loads(self.canopy_any("status", "--json"))
        return {each["name"]: each["state"] for each in reported["shards"] + reported["proxies"]}

    def canopy_any(self, *words):
        """Its output, whatever the exit code: `status` exits with 1 when a process is down."""
        command = [BIN / "canopy", "--broker", f"tcp://{self.broker()}:5550", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout

    def topology(self):
        status, body = scrape.get(f"{self.broker()}:8550", "/api/v1/topology")
        assert status == 200, body
        return json.loads(body)

    def logs(self):
        return self.compose("logs", "--no-color", "--tail", "60")

    def destroy(self):
        self.compose("down", "--volumes", "--timeout", "0", "--remove-orphans", timeout=120)
