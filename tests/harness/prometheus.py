"""A real Prometheus under test."""

import json
import subprocess
import urllib.parse

from tests.harness.cluster import die_with_parent
from tests.harness.scrape import get
from tests.harness.waiting import eventually, seconds


class Prometheus:
    """Runs the configuration `config`, a file in `directory`, which also takes its data."""

    def __init__(self, directory, config, ports):
        self.address = f"127.0.0.1:{ports.claim()}"
        with open(directory / "prometheus.log", "wb") as log:
            self._running = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={directory}/tsdb",
                    f"--web.listen-address={self.address}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        eventually(lambda: get(self.address, "/-/ready")[0] == 200, "Prometheus is ready", 30)

    def get(self, path, **parameters):
        """The data of its answer; AssertionError when it does not understand the question."""
        status, body = get(self.address, f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        assert status == 200, f"{path} {parameters}: {body}"
        return json.loads(body)["data"]

    def ask(self, query):
        """The series that answer a query now."""
        return self.get("query", query=query)["result"]

    def alerts(self, name):
        """The alerts of this name that are pending or firing: {process or partition: state}."""
        return {
            each["labels"].get("name") or each["labels"].get("partition"): each["state"]
            for each in self.get("alerts")["alerts"]
            if each["labels"]["alertname"] == name
        }

    def stop(self):
        self._running.terminate()
        self._running.wait(seconds(20))
