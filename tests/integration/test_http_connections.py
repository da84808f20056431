"""Idle HTTP connections do not keep other requests from being
answered, by the broker, a shard and a proxy."""

import contextlib
import socket

import pytest

from tests.harness.clusterfile import proxy, shard
from tests.harness.scrape import get


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster([shard("s1", "*")], [proxy("p1", ["native"])])


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
@pytest.mark.parametrize("name", ["broker", "s1", "p1"])
def test_many_idle_connections(cluster, name, sent):
    address = cluster.http(name)
    host, port = address.rsplit(":", 1)
    with contextlib.ExitStack() as held:
        for _ in range(300):
            peer = held.enter_context(socket.create_connection((host, int(port)), timeout=10))
            if sent:
                peer.send(sent)
        for path in ("/livez", "/metrics", "/livez"):
            assert get(address, path)[0] == 200
