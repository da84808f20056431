"""canopy-loadtest --curve: the same load on a cluster of its own without CURVE, then with it."""

import json
import subprocess

import pytest

from tests.harness.cluster import BIN, die_with_parent
from tests.harness.clusterfile import DIALECTS, Layout, proxy, shard
from tests.harness.waiting import seconds


@pytest.mark.parametrize("dialect", (*DIALECTS, "native"))
def test_each_dialect_is_served_with_and_without_curve(ports, tmp_path, dialect):
    layout = Layout(ports, [shard("s1", "*")], [proxy("p1"), proxy("p2")])
    config, result = tmp_path / "cluster.yaml", tmp_path / "result.json"
    config.write_text(layout.text())
    done = subprocess.run(
        [BIN / "canopy-loadtest", "--curve", "--config", config, "--broker", layout.broker_http]
        + ["--dialect", dialect, "-c", "6", "--period", "200", "--duration", "1", "--json", result],
        capture_output=True,
        text=True,
        timeout=seconds(90),
        preexec_fn=die_with_parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    steps = json.loads(result.read_text())["steps"]
    assert [(step["target"], step["served"]) for step in steps] == [("plain", 6), ("curve", 6)]
