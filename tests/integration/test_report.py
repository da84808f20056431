"""The load test's --html report of a short real run, in a real browser."""

import subprocess

import pytest

from tests.harness import browser as browsers
from tests.harness.cluster import BIN
from tests.harness.clusterfile import proxy, shard
from tests.harness.waiting import seconds


pytestmark = pytest.mark.xdist_group("report")  # one worker: what its fixtures make takes long
def report(cluster, path, *options):
    done = subprocess.run(
        [
            BIN / "canopy-loadtest",
            *("--broker", cluster.layout.broker_http, "--duration", "2", "--period", "500"),
            *("--html", path, *options),
        ],
        capture_output=True,
        text=True,
        timeout=seconds(90),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return path


@pytest.fixture(scope="module")
def reports(start_shared_cluster, tmp_path_factory):
    """A ramp, and a single run of native clients."""
    cluster = start_shared_cluster(
        [shard("results", "/results/"), shard("rest", "*")], [proxy("p1"), proxy("p2")]
    )
    folder = tmp_path_factory.mktemp("reports")
    return {
        "ramp": report(cluster, folder / "ramp.html", "--steps", "10,20,40"),
        "single": report(cluster, folder / "single.html", "--clients", "20", "--dialect", "native"),
    }


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", browsers.WIDTHS)
@pytest.mark.parametrize("kind", ["ramp", "single"])
def test_report(reports, browser, tmp_path, kind, width, dark):
    url = reports[kind].as_uri()
    page = browser.open(url, browsers.WIDTHS[width], dark)
    assert "PASS" in page.text(".verdict")
    titles = page.evaluate("[...document.querySelectorAll('.plot .title')].map(each => each.textContent)")
    expected = {"Latency of deliveries", "CPU by process", "Descriptors by process, of its limit"}
    if kind == "ramp":
        expected |= {"Throughput", "Latency, cluster", "CPU of the servers", "Descriptors of the fullest process"}
    assert set(titles) == expected
    markers = page.evaluate("document.querySelectorAll('.series g title').length")
    assert markers == (3 * (1 + 4 + 1 + 1) if kind == "ramp" else 0), "a point for each step"
    for name in ("p1", "p2", "results", "rest"):
        assert name in page.text("main")
    assert page.evaluate("document.querySelectorAll('table').length") == 2
    page.screenshot(tmp_path / f"report-{kind}-{width}.png")
    assert not page.complaints
    assert not page.faults()
    assert set(page.requests) - {"data:,"} == {url}
