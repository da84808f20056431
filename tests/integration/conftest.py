"""Fixtures of the tests that run Canopy's real programs. The programs are taken from $CANOPY_BIN,
by default build/bin of the repository."""

import pytest
import zmq

from tests.harness import browser as browsers, cluster as clusters
from tests.harness.clones import Clones
from tests.harness.ports import Ports

_live = []  # clusters that a failing test may want to show the logs of


def pytest_sessionstart(session):
    if not (clusters.BIN / "canopy-broker").exists():
        pytest.exit(f"no canopy-broker in {clusters.BIN}: build first, or set CANOPY_BIN", 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for each in _live:
            report.sections.append(("cluster file", each.file.read_text()))
            for path, text in each.logs():
                report.sections.append((str(path), text[-8000:]))
    if report.when == "teardown":
        _live[:] = [each for each in _live if each.broker]


@pytest.fixture(scope="session")
def ports():
    return Ports()


def _clusters(tmp_path_factory, ports):
    mine = []

    def start(shards, proxies, ready=True, **settings):
        directory = tmp_path_factory.mktemp("cluster")
        made = clusters.Cluster(directory, ports, shards, proxies, **settings)
        mine.append(made)
        _live.append(made)
        return made.start(ready)

    yield start
    failures = []
    for each in mine:
        try:
            each.stop()
        except AssertionError as failure:
            failures.append(failure)
    if failures:
        raise failures[0]


@pytest.fixture
def start_cluster(tmp_path_factory, ports):
    """start_cluster(shards, proxies, …) -> a running Cluster, stopped and checked afterwards."""
    yield from _clusters(tmp_path_factory, ports)


@pytest.fixture(scope="module")
def start_shared_cluster(tmp_path_factory, ports):
    """The same for a cluster that all tests of a file share."""
    yield from _clusters(tmp_path_factory, ports)


@pytest.fixture
def context():
    made = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def clones(context):
    """The Clone clients of a test."""
    made = Clones(context)
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not browsers.find():
        pytest.skip("no Chromium: apt-get install chromium-headless-shell")
    made = browsers.Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()
