"""Peers that keep HTTP connections open, and say nothing or very little, keep nobody from being
answered: of the broker, a shard and a proxy."""

import contextlib
import socket

import pytest

from tests.harness.clusterfile import proxy, shard
from tests.harness.scrape import get


@pytest.fixture(scope="module")
def cluster(start_shared_cluster):
    return start_shared_cluster([shard("s1", "*")], [proxy("p1", ["native"])])


@pytest.mark.parametrize("said", [b"", b"G", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
@pytest.mark.parametrize("name", ["broker", "s1", "p1"])
def test_a_crowd_of_silent_connections(cluster, name, said):
    address = cluster.http(name)
    host, port = address.rsplit(":", 1)
    with contextlib.ExitStack() as held:
        for _ in range(300):
            peer = held.enter_context(socket.create_connection((host, int(port)), timeout=10))
            if said:
                peer.send(said)
        for path in ("/livez", "/metrics", "/livez"):
            assert get(address, path)[0] == 200
