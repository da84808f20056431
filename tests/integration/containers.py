"""The cluster of docker-compose.yml in real containers, under a project name of its own."""

import json
import os
import pathlib
import shutil
import subprocess
import uuid

import scrape
from cluster import BIN, REPOSITORY
from waiting import seconds

BASE = "canopy-test-base"  # kept: it takes longest to make
COMPOSE = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
PROGRAMS = ["canopy-broker", "canopy-shard", "canopy-proxy", "canopy", "canopy-loadtest"]


def why_not():
    """Why no containers can be run here, or None."""
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


def make_images(directory, tag):
    """The images of the project from the programs under test: canopy:TAG, canopy-prometheus:TAG.
    They are based on an image that has Debian's part already, which is made once."""
    environment = {**os.environ, "BASE": BASE}
    setup = (REPOSITORY / "deploy/setup.sh").read_text()
    packages = setup.split("\nrun=(")[1].split(")")[0].split() + ["prometheus"]
    run(REPOSITORY / "deploy/base-image.sh", *packages, env=environment, timeout=600)
    (directory / "deploy").mkdir(parents=True)
    (directory / "deploy/setup.sh").write_text(setup)
    (directory / "deploy/setup.sh").chmod(0o755)
    (directory / "bin").mkdir()
    for program in PROGRAMS:
        run("strip", "-o", directory / "bin" / program, BIN / program)
    build = ["docker", "build", "--quiet", "--build-arg", f"BASE={BASE}"]
    run(*build, "--file", REPOSITORY / "deploy/Dockerfile", "--build-arg", "PROGRAMS=given",
        "--tag", f"canopy:{tag}", directory, timeout=180)  # fmt: skip
    run(*build, "--tag", f"canopy-prometheus:{tag}", REPOSITORY / "deploy/prometheus", timeout=180)


class Compose:
    """Started with up(); destroy() leaves nothing of it."""

    def __init__(self, directory, override):
        self.name = f"canopy-test-{uuid.uuid4().hex[:8]}"
        self.directory = pathlib.Path(directory)
        self.override = self.directory / "override.yml"
        self.override.write_text(json.dumps(override))  # JSON is YAML
        self.environment = {
            **os.environ,
            "CANOPY_IMAGE": f"canopy:{self.name}",
            "CANOPY_PROMETHEUS_IMAGE": f"canopy-prometheus:{self.name}",
            # Whatever is free; the tests use the containers' own addresses.
            "CANOPY_BROKER_PORT": "0",
            "CANOPY_HTTP_PORT": "0",
            "CANOPY_PROMETHEUS_PORT": "0",
        }

    def compose(self, *words, timeout=60):
        files = ["--file", REPOSITORY / "docker-compose.yml", "--file", self.override]
        return run(*COMPOSE, "--project-name", self.name, *files, *words,
                   env=self.environment, timeout=timeout)  # fmt: skip

    def up(self, *words):
        make_images(self.directory / "image", self.name)
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
        said = json.loads(self.canopy_any("status", "--json"))
        return {each["name"]: each["state"] for each in said["shards"] + said["proxies"]}

    def canopy_any(self, *words):
        """Its output, whatever the exit code: `status` uses it to say that somebody is down."""
        command = [BIN / "canopy", "--broker", f"tcp://{self.broker()}:5550", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout

    def topology(self):
        status, body = scrape.get(f"{self.broker()}:8550", "/api/v1/topology")
        assert status == 200, body
        return json.loads(body)

    def logs(self):
        return self.compose("logs", "--no-color", "--tail", "60")

    def destroy(self):
        try:
            self.compose("down", "--volumes", "--timeout", "10", "--remove-orphans", timeout=120)
        finally:
            images = [f"canopy:{self.name}", f"canopy-prometheus:{self.name}"]
            subprocess.run(["docker", "rmi", "--force", *images], capture_output=True)
