"""The Debian packages: their files, installation and removal. The units' programs start, notify the service manager, serve,
reload and stop with the units' settings. tests/package/systemd.sh does the same with systemd itself."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from tests.harness import cluster as clusters
from tests.harness.debian import BUILD, UNITS, Manager, call, make_packages, tool
from tests.harness.waiting import eventually, seconds

pytestmark = pytest.mark.xdist_group("debian")  # one worker: what its fixtures make takes long
TOOLS = ("dh", "dpkg", "dpkg-buildpackage", "dpkg-deb")
NAMES = ("canopy-server", "canopy-tools", "libcanopy-dev", "libcanopy0")
SHARDS = ["canopy-shard@results.service", "canopy-shard@rest.service"]
PROXIES = ["canopy-proxy@p1.service", "canopy-proxy@p2.service"]
STARTED = ["canopy-broker.service", *SHARDS, *PROXIES]


def dpkg(root, *arguments):
    """dpkg on the tree `root`; the maintainer scripts get it in DPKG_ROOT."""
    return call(
        "dpkg", "--force-script-chrootless", "--force-depends", f"--root={root}", f"--log={root}/dpkg.log", *arguments,
        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    missing = [name for name in TOOLS if not tool(name)]
    if missing or os.getuid() != 0:
        pytest.skip(f"packages are made and installed by root with {', '.join(TOOLS)}; missing: {missing or 'root'}")
    if not (BUILD / "CMakeCache.txt").exists():
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


def test_files_and_dependencies_of_the_packages(packages):
    assert sorted(packages) == sorted(NAMES)
    files = {name: call("dpkg-deb", "-c", path) for name, path in packages.items()}
    for file in ("usr/bin/canopy-proxy", "lib/systemd/system/canopy-proxy@.service", "etc/canopy/cluster.yaml",
                 "usr/share/man/man5/canopy.yaml.5.gz", "usr/lib/sysusers.d/canopy-server.conf",
                 "usr/lib/sysctl.d/50-canopy.conf", "usr/share/doc/canopy-server/examples/ec2/canopy.yaml"):  # fmt: skip
        assert f"./{file}\n" in files["canopy-server"], file
    for file in ("usr/bin/canopy", "usr/bin/canopy-loadtest", "usr/share/man/man1/canopy.1.gz",
                 "usr/share/bash-completion/completions/canopy", "usr/share/zsh/vendor-completions/_canopy",
                 "usr/share/fish/vendor_completions.d/canopy.fish"):  # fmt: skip
        assert f"./{file}\n" in files["canopy-tools"], file
    assert "libcanopy.so.0 " in files["libcanopy0"] and "/include/" not in files["libcanopy0"]
    assert "/include/canopy/canopy.h" in files["libcanopy-dev"] and "libcanopy.so " in files["libcanopy-dev"]
    for name in ("canopy-server", "canopy-tools"):
        assert not re.search(r"/usr/(include|lib/x86)", files[name])
    needs = {name: call("dpkg-deb", "-f", path, "Depends") for name, path in packages.items()}
    assert "libsystemd0" not in needs["canopy-server"] and "libzmq5" in needs["canopy-tools"]
    assert "libsodium23" in needs["libcanopy0"]
    assert "libzmq5" not in needs["libcanopy0"] and "libsystemd0" not in needs["libcanopy0"]
    assert "libcanopy0 (= " in needs["libcanopy-dev"]


def test_packages_have_the_version_of_the_programs(packages):
    version = call(BUILD / "bin/canopy", "--version").split()[-1]
    assert {call("dpkg-deb", "-f", path, "Version").strip() for path in packages.values()} == {version}


def test_a_source_package_is_made(packages, tmp_path):
    """It unpacks to a directory that dpkg-buildpackage knows; nothing is compiled."""
    call(clusters.REPOSITORY / "deploy/package.sh", tmp_path)
    [source] = tmp_path.glob("*.dsc")
    call("dpkg-source", "-x", source, tmp_path / "unpacked")
    listed = call("dh_listpackages", cwd=tmp_path / "unpacked")
    assert sorted(listed.split()) == sorted(NAMES)


@pytest.mark.parametrize("before, after", [("212992", "4194304"), ("4194304", "4194304"), ("16777216", "16777216")])
def test_kernel_limits_are_raised_never_lowered(root, tmp_path, before, after):
    core = tmp_path / "net/core"
    core.mkdir(parents=True)
    limits = [core / "wmem_max", core / "rmem_max"]
    for limit in limits:
        limit.write_text(f"{before}\n")
    call(root / "usr/lib/canopy/raise-limits", tmp_path)
    assert [limit.read_text() for limit in limits] == [f"{after}\n"] * 2
    # The files that systemd-sysctl reads at boot set no limit.
    for file in (root / "usr/lib/sysctl.d").iterdir():
        assert "mem_max" not in file.read_text()


def test_packages_name_their_licence(root):
    licence = re.search(r"^SPDX-License-Identifier: (\S+)$", (clusters.REPOSITORY / "LICENSE").read_text(), re.MULTILINE)[1]
    for name in NAMES:
        text = (root / "usr/share/doc" / name / "copyright").read_text()
        assert f"\nLicense: {licence}\n" in text and f"/usr/share/common-licenses/{licence}." in text, text


def test_lintian_finds_nothing_wrong(packages):
    if not tool("lintian"):
        pytest.skip("there is no lintian")
    done = subprocess.run(
        ["lintian", "--allow-root", "--tag-display-limit=0", *map(str, packages.values())],
        capture_output=True, text=True, timeout=seconds(120),
    )  # fmt: skip
    assert not re.search(r"^[EW]: ", done.stdout, re.MULTILINE), done.stdout


def test_manual_pages_have_the_help_of_the_programs(root):
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
        assert not found, f"{manager.unit} logged {found[0]!r}"


def stopped(manager):
    """Stops the program with the settings of its unit; its exit code."""
    manager.process.send_signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    return manager.process.wait(seconds(float(manager.only("TimeoutStopSec").removesuffix("s"))))


def test_a_cluster_as_the_units_start_it(root, environment, start):
    running = {unit: start(unit) for unit in STARTED}
    for manager in running.values():
        manager.wait_for("READY=1")
        manager.wait_for("WATCHDOG=1")
    running["canopy-broker.service"].wait_for("STATUS=4 of 4 processes ready")
    running[SHARDS[0]].wait_for("STATUS=1 of 1 partitions served")
    running[PROXIES[0]].wait_for("STATUS=ready, 0 of 2000 clients")

    def canopy(*arguments):
        return call(root / "usr/bin/canopy", *arguments, env={**os.environ, **environment})

    canopy("put", "/results/eu/42", "2:1")
    eventually(lambda: canopy("get", "/results/eu/42") == "2:1", "what was put is there")

    for manager in running.values():  # ExecReload
        assert manager.only("ExecReload") == "/bin/kill -HUP $MAINPID"
        since = len(manager.received())
        manager.process.send_signal(signal.SIGHUP)
        reloading = manager.wait_for("RELOADING=1\nMONOTONIC_USEC=", since)
        manager.wait_for("READY=1", reloading)
        manager.wait_for("WATCHDOG=1", reloading)
    assert canopy("get", "/results/eu/42") == "2:1"

    for unit in reversed(STARTED):
        assert stopped(running[unit]) == 0, running[unit].log.read_text()
    assert (root / "var/lib/canopy/results").is_dir()


def test_processes_of_a_broker_do_not_notify_its_manager(root, environment, start):
    file = environment["CANOPY_CONFIG"]
    with open(file) as opened:
        text = opened.read()
    with open(file, "w") as opened:
        # Its children get `nofile` descriptors, 1024 by default.
        opened.write(text.replace("supervise: false", "supervise: true").replace("max_clients: 2000", "max_clients: 200"))
    broker = start("canopy-broker.service")
    broker.wait_for("STATUS=4 of 4 processes ready")
    assert broker.messages.count("READY=1") == 1
    assert stopped(broker) == 0


def test_a_wrong_file_is_not_retried(root, environment, start):
    with open(environment["CANOPY_CONFIG"], "a") as file:
        file.write("nonsense: 1\n")
    broker = start("canopy-broker.service")
    assert broker.process.wait(seconds(10)) == int(broker.only("RestartPreventExitStatus"))
    assert "nonsense" in broker.log.read_text()


def test_removal_keeps_the_state_and_purge_deletes_it(packages, root):
    """The last test of this file: the tree is empty afterwards."""
    account = (root / "usr/lib/sysusers.d/canopy-server.conf").read_text()
    assert "u canopy " in account
    state = root / "var/lib/canopy/results"
    state.mkdir(parents=True, exist_ok=True)
    dpkg(root, "-r", "canopy-server")
    assert not (root / "usr/bin/canopy-proxy").exists() and not (root / UNITS / "canopy.target").exists()
    assert (root / "etc/canopy/cluster.yaml").exists() and state.exists(), "removed, not purged"
    dpkg(root, "-P", "canopy-server")
    assert not (root / "etc/canopy").exists() and not (root / "etc/default/canopy").exists()
    assert not state.parent.exists()
