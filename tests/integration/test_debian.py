"""The Debian packages: what is in them, that they install and go away, and that their units' programs start, tell the
service manager how they are, serve, reload and stop as the units say. With systemd itself: tests/package/systemd.sh."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from tests.harness import cluster as clusters
from tests.harness.debian import BUILD, UNITS, Manager, call, make_packages, tool
from tests.harness.waiting import eventually, seconds

TOOLS = ("cpack", "dpkg", "dpkg-deb", "dpkg-shlibdeps")
NAMES = ("canopy", "libcanopy-dev", "libcanopy0.1")
SHARDS = ["canopy-shard@results.service", "canopy-shard@rest.service"]
PROXIES = ["canopy-proxy@p1.service", "canopy-proxy@p2.service"]
STARTED = ["canopy-broker.service", *SHARDS, *PROXIES]


def dpkg(root, *arguments):
    """dpkg on the tree `root`, maintainer scripts included, which are told of it in DPKG_ROOT."""
    return call(
        "dpkg", "--force-script-chrootless", "--force-depends", f"--root={root}", f"--log={root}/dpkg.log", *arguments,
        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    missing = [name for name in TOOLS if not tool(name)]
    if missing or os.getuid() != 0:
        pytest.skip(f"packages are made and installed by root with {', '.join(TOOLS)}; missing: {missing or 'root'}")
    if not (BUILD / "CPackConfig.cmake").exists():
        pytest.skip(f"{BUILD} is no build directory")
    cache = (BUILD / "CMakeCache.txt").read_text()
    if re.search(r"^CANOPY_SANITIZE:\w+=.+", cache, re.MULTILINE):
        pytest.skip("a build with sanitizers is not packaged")
    return make_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def root(packages, tmp_path_factory):
    """A tree that has the packages installed and nothing else."""
    made = tmp_path_factory.mktemp("root")
    for directory in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc", "usr/lib", "var/lib"):
        (made / directory).mkdir(parents=True, exist_ok=True)
    (made / "var/lib/dpkg/status").touch()
    dpkg(made, "-i", *packages.values())
    return made


def test_packages_hold_what_they_should(packages):
    assert sorted(packages) == sorted(NAMES)
    files = {name: call("dpkg-deb", "-c", path) for name, path in packages.items()}
    for file in ("usr/bin/canopy-proxy", "lib/systemd/system/canopy-proxy@.service", "etc/canopy/cluster.yaml",
                 "usr/share/man/man1/canopy.1.gz", "usr/share/bash-completion/completions/canopy",
                 "usr/share/zsh/vendor-completions/_canopy", "usr/share/fish/vendor_completions.d/canopy.fish",
                 "usr/share/man/man5/canopy.yaml.5.gz", "usr/lib/sysusers.d/canopy.conf",
                 "usr/lib/sysctl.d/50-canopy.conf", "usr/share/doc/canopy/examples/ec2/canopy.yaml"):  # fmt: skip
        assert f"./{file}\n" in files["canopy"], file
    assert "libcanopy.so.0.1 " in files["libcanopy0.1"] and "/include/" not in files["libcanopy0.1"]
    assert "/include/canopy/canopy.h" in files["libcanopy-dev"] and "libcanopy.so " in files["libcanopy-dev"]
    assert not re.search(r"/usr/(include|lib/x86)", files["canopy"])
    needs = {name: call("dpkg-deb", "-f", path, "Depends") for name, path in packages.items()}
    assert "libzmq5" in needs["canopy"] and "libsystemd0" not in needs["canopy"]
    assert "libsodium23" in needs["libcanopy0.1"]
    assert "libzmq5" not in needs["libcanopy0.1"] and "libsystemd0" not in needs["libcanopy0.1"]
    assert "libcanopy0.1 (= " in needs["libcanopy-dev"]


def test_packages_name_their_licence(root):
    licence = re.search(r"^SPDX-License-Identifier: (\S+)$", (clusters.REPOSITORY / "LICENSE").read_text(), re.MULTILINE)[1]
    for name in NAMES:
        reported = (root / "usr/share/doc" / name / "copyright").read_text()
        assert f"\nLicense: {licence}\n" in reported and f"/usr/share/common-licenses/{licence}." in reported, reported


def test_lintian_finds_nothing_wrong(packages):
    if not tool("lintian"):
        pytest.skip("there is no lintian")
    done = subprocess.run(
        ["lintian", "--allow-root", "--tag-display-limit=0", *map(str, packages.values())],
        capture_output=True, text=True, timeout=seconds(120),
    )  # fmt: skip
    assert not re.search(r"^[EW]: ", done.stdout, re.MULTILINE), done.stdout


def test_manual_pages_have_no_warnings(root):
    for page in sorted((root / "usr/share/man").glob("man*/*.gz")):
        shown = subprocess.run(
            ["man", "--warnings", "--encoding=UTF-8", "--local-file", str(page)],
            capture_output=True, text=True, timeout=seconds(30), env={**os.environ, "MANWIDTH": "150", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert shown.returncode == 0 and not shown.stderr, f"{page.name}: {shown.stderr}"


@pytest.mark.parametrize("unit", ["canopy-broker.service", "canopy-shard@x.service", "canopy-proxy@x.service"])
def test_units_are_valid_and_safe(root, unit):
    if not tool("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    for name in ("network-online", "network", "sysinit", "basic", "shutdown", "multi-user"):
        target = root / UNITS / f"{name}.target"
        if not target.exists():
            target.write_text(f"[Unit]\nDescription={name}\n")
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy(tool("kill"), root / "bin/kill")
    call("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={root}", unit, "canopy.target")
    report = call("systemd-analyze", "security", "--offline=yes", f"--root={root}", "--no-pager", unit)
    exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", report)[1])
    assert exposure <= 3.0, report


@pytest.fixture
def environment(root, ports, tmp_path):
    """The packaged cluster.yaml on free ports, its state in the tree."""
    first = ports.claim(60)
    text = (root / "etc/canopy/cluster.yaml").read_text()
    theirs = sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", text)))
    for i, port in enumerate(theirs):
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{first + 3 * i}")
    file = tmp_path / "cluster.yaml"
    file.write_text(text.replace("/var/lib/canopy", f"{root}/var/lib/canopy"))
    return {"CANOPY_CONFIG": str(file), "CANOPY_BROKER": f"tcp://127.0.0.1:{first}"}


@pytest.fixture
def start(root, environment, tmp_path):
    """start(unit) -> the Manager that runs it."""
    managers = []

    def begin(unit):
        managers.append(Manager(root, unit, tmp_path, environment))
        return managers[-1]

    yield begin
    for manager in managers:
        manager.kill()
        found = clusters.CRASHES.search(manager.log.read_text())
        assert not found, f"{manager.unit} says {found[0]!r}"


def stopped(manager):
    """Stops it as the unit says; its exit code."""
    manager.process.send_signal(signal.SIGTERM)
    manager.says("STOPPING=1")
    return manager.process.wait(seconds(float(manager.only("TimeoutStopSec").removesuffix("s"))))


def test_a_cluster_as_the_units_start_it(root, environment, start):
    running = {unit: start(unit) for unit in STARTED}
    for manager in running.values():
        manager.says("READY=1")
        manager.says("WATCHDOG=1")
    running["canopy-broker.service"].says("STATUS=4 of 4 processes ready")
    running[SHARDS[0]].says("STATUS=1 of 1 partitions served")
    running[PROXIES[0]].says("STATUS=ready, 0 of 2000 clients")

    def canopy(*arguments):
        return call(root / "usr/bin/canopy", *arguments, env={**os.environ, **environment})

    canopy("put", "/results/eu/42", "2:1")
    eventually(lambda: canopy("get", "/results/eu/42") == "2:1", "what was put is there")

    for manager in running.values():  # ExecReload
        assert manager.only("ExecReload") == "/bin/kill -HUP $MAINPID"
        since = len(manager.hear())
        manager.process.send_signal(signal.SIGHUP)
        reloading = manager.says("RELOADING=1\nMONOTONIC_USEC=", since)
        manager.says("READY=1", reloading)
        manager.says("WATCHDOG=1", reloading)
    assert canopy("get", "/results/eu/42") == "2:1"

    for unit in reversed(STARTED):
        assert stopped(running[unit]) == 0, running[unit].log.read_text()
    assert (root / "var/lib/canopy/results").is_dir()


def test_what_a_broker_supervises_leaves_its_manager_alone(root, environment, start):
    file = environment["CANOPY_CONFIG"]
    with open(file) as opened:
        text = opened.read()
    with open(file, "w") as opened:
        # Its children get `nofile` descriptors, 1024 by default.
        opened.write(text.replace("supervise: false", "supervise: true").replace("max_clients: 2000", "max_clients: 200"))
    broker = start("canopy-broker.service")
    broker.says("STATUS=4 of 4 processes ready")
    assert broker.received.count("READY=1") == 1
    assert stopped(broker) == 0


def test_a_wrong_file_ends_it_for_good(root, environment, start):
    with open(environment["CANOPY_CONFIG"], "a") as file:
        file.write("nonsense: 1\n")
    broker = start("canopy-broker.service")
    assert broker.process.wait(seconds(10)) == int(broker.only("RestartPreventExitStatus"))
    assert "nonsense" in broker.log.read_text()


def test_it_goes_away(packages, root):
    """The last test of this file: the tree is empty afterwards."""
    account = (root / "usr/lib/sysusers.d/canopy.conf").read_text()
    assert "u canopy " in account
    state = root / "var/lib/canopy/results"
    state.mkdir(parents=True, exist_ok=True)
    dpkg(root, "-r", "canopy")
    assert not (root / "usr/bin/canopy").exists() and not (root / UNITS / "canopy.target").exists()
    assert (root / "etc/canopy/cluster.yaml").exists() and state.exists(), "removed, not purged"
    dpkg(root, "-P", "canopy")
    assert not (root / "etc/canopy").exists() and not (root / "etc/default/canopy").exists()
    assert not state.parent.exists()
