"""The installed C++ library: found by CMake and pkg-config, used without a header of anything else, against a running
cluster; and built where nothing but its own dependencies is installed."""

import json
import os
import signal
import subprocess

import pytest

from tests.harness import cluster as clusters, containers
from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.keyring import SERVER, Keyring
from tests.harness.waiting import eventually, remains, seconds

pytestmark = pytest.mark.xdist_group("package")  # one worker: what its fixtures make takes long
BUILD = clusters.BIN.parent
PACKAGE = clusters.REPOSITORY / "tests/package"


def cache(name):
    """A variable of the build that is under test."""
    for line in (BUILD / "CMakeCache.txt").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split("=", 1)[1]
    return ""


def cmake(*arguments):
    done = subprocess.run(
        ["cmake", *map(str, arguments)], capture_output=True, text=True, timeout=seconds(180)
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    if not (BUILD / "CMakeCache.txt").exists():
        pytest.skip(f"{BUILD} is no build directory")
    made = tmp_path_factory.mktemp("prefix")
    cmake("--install", BUILD, "--prefix", made)
    return made


@pytest.fixture(scope="module")
def programs(prefix, tmp_path_factory):
    """Where the programs of tests/package are, built against the installed shared library alone."""
    build = tmp_path_factory.mktemp("consumer")
    readme = (clusters.REPOSITORY / "README.md").read_text()
    program = build.parent / "readme.cc"
    program.write_text(readme.split("```cpp\n")[1].split("```")[0])
    cmake("-S", PACKAGE, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
          f"-DREADME_PROGRAM={program}", f"-DCMAKE_CXX_FLAGS={flags()}", f"-DCMAKE_CXX_COMPILER={cache('CMAKE_CXX_COMPILER')}")  # fmt: skip
    cmake("--build", build)
    return build


def flags():
    """Of a consumer of the build that is under test."""
    sanitizers = cache("CANOPY_SANITIZE")
    return f"-fsanitize={sanitizers}" if sanitizers else ""


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster(
        [shard("s1", partition("*", durability="disk"))],
        [proxy("p1", ["native"]), proxy("p2", ["native"])],
    )


def run(program, *arguments, **options):
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=seconds(60), **options
    )


def test_headers_are_clean(prefix):
    headers = sorted(path.name for path in (prefix / "include/canopy").iterdir())
    assert "canopy.h" in headers
    for path in (prefix / "include/canopy").iterdir():
        for line in path.read_text().splitlines():
            if line.startswith("#include"):
                name = line.split()[1]
                assert name[0] == "<", f"{path.name}: {line}"
                assert "." not in name or name.startswith("<canopy/"), f"{path.name}: {line}"


def test_nothing_but_the_interface_is_exported(prefix):
    library = next(prefix.glob("lib*/**/libcanopy.so"))
    symbols = subprocess.run(
        ["nm", "-DC", "--defined-only", library], capture_output=True, text=True, check=True
    ).stdout
    assert "canopy::Client::put" in symbols
    for line in symbols.splitlines():
        name = line.split(maxsplit=2)[2]
        for inner in ("zmq", "msgpack", "nlohmann", "canopy::wire::", "canopy::net::"):
            assert not name.startswith(inner), name


def test_programs_are_installed(prefix):
    for name in ("canopy-broker", "canopy-shard", "canopy-proxy", "canopy"):
        done = run(prefix / "bin" / name, "--version")
        assert done.returncode == 0, done.stderr


def test_the_example(programs, cluster):
    process = subprocess.Popen(
        [programs / "watch_and_put", cluster.layout.broker["listen"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=clusters.die_with_parent,
    )
    assert process.stdout.readline() == "PUT /news/today rain\n"
    assert process.communicate("\n", timeout=seconds(10)) == ("", None)
    assert process.returncode == 0


def test_calls(programs, cluster):
    done = run(programs / "consumer", "calls", cluster.layout.broker["listen"])
    assert done.returncode == 0, done.stderr


def test_calls_over_curve(programs, start_cluster, tmp_path):
    keys = Keyring(tmp_path / "keys")
    security = keys.security(consumer={"read": ["*"], "write": ["*"]})
    cluster = start_cluster([shard("s1", "*")], [proxy("p1", ["native"])], security=security)
    pair = keys.secret("consumer"), keys.public(SERVER)
    done = run(programs / "consumer", "calls", cluster.broker_endpoint, *pair)
    assert done.returncode == 0, done.stderr


def test_found_by_cmake_and_pkg_config_shared_and_static(prefix, tmp_path):
    environment = {**os.environ, "CXX": cache("CMAKE_CXX_COMPILER"), "CXXFLAGS": flags()}
    containers.run(PACKAGE / "consumers.sh", prefix, tmp_path, env=environment, timeout=300)
    made = sorted(tmp_path.glob("*/consumer"))
    assert len(made) == (3 if flags() else 4)
    for consumer in made:
        done = run(consumer, "alone")
        assert done.returncode == 0, f"{consumer}: {done.stderr}"
        needed = containers.run("readelf", "--dynamic", consumer)
        assert ("libcanopy.so" in needed) == consumer.parent.name.endswith("-shared"), consumer


def test_nothing_is_lost_or_reported_twice_when_processes_fail(programs, cluster):
    process = subprocess.Popen(
        [programs / "consumer", "endure", cluster.layout.broker["listen"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=clusters.die_with_parent,
    )
    assert process.stdout.readline() == "ready\n"

    def endures(duration):
        remains(lambda: process.poll() is None, "the consumer is content", seconds(duration))

    for name in ("p1", "s1", "p2"):
        before = cluster.kill(name)
        eventually(lambda: cluster.restarted(name, before), f"{name} is back", 20)
        endures(2)
    for name in ("p1", "p2"):  # whichever the clients use, they have to go
        stopped = cluster.signal(name, signal.SIGSTOP)
        endures(6)
        stopped.signal(signal.SIGCONT)
        eventually(cluster.is_ready, f"{name} goes on", 20)
    out, errors = process.communicate("\n", timeout=seconds(120))
    assert process.returncode == 0, errors
    report = json.loads(out)
    assert report["written"] > 1000
    assert report["losses"] > 0
    assert report["resyncs"] >= 2
    assert report["full"] == 0, "always by what had changed"
