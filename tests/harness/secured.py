"""A cluster with security, its keys, and clients that have them."""

import contextlib

import pytest

from tests.harness import native
from tests.harness.clones import Clones
from tests.harness.clusterfile import proxy, shard
from tests.harness.keyring import Keyring
from tests.harness.waiting import eventually

NAMES = ("cluster", "dashboard", "feeder", "ops", "temp")
FORBIDDEN_PREFIXES = (b"", b"/", b"/res", b"/results", b"/other/", b"/results-2/")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return Keyring(tmp_path_factory.mktemp("keys"))


def settings(keys, **changed):
    """The security section; `changed` gives clients other rights, or None."""
    clients = {
        "dashboard": {"read": ["/results/"]},
        "feeder": {"read": ["*"], "write": ["/results/eu/"]},
        "ops": {"read": ["*"], "write": ["*"], "admin": True},
        "temp": {"read": ["/results/", "/other/"]},
    }
    for name, rights in changed.items():
        clients[name] = rights and {**clients[name], **rights}
    section = keys.security(**{name: rights for name, rights in clients.items() if rights})
    for client in section["clients"]:
        if client["name"] == "feeder":  # the key itself, not the file that holds it
            client["public_key"] = keys.pair("feeder")[0].decode()
    return section


def parts():
    return [shard("s1", "/results/"), shard("rest", "*")], [proxy("p1"), proxy("p2", ["native"])]


@pytest.fixture(scope="module")
def cluster(start_shared_cluster, keys):
    return start_shared_cluster(*parts(), security=settings(keys))


@pytest.fixture
def clients(keys):
    """clients(name) -> a context whose sockets are that client's."""
    made = {}

    def context(name, server="cluster"):
        if (name, server) not in made:
            made[name, server] = keys.context(name, server)
        return made[name, server]

    yield context
    for each in made.values():
        each.destroy(linger=0)


@pytest.fixture
def clones_of(clients):
    """clones_of(name) -> a Clones of that client's."""
    made = {}

    def clones(name):
        return made.setdefault(name, Clones(clients(name)))

    yield clones
    for each in made.values():
        each.close()


@pytest.fixture
def ops(cluster, clients):
    """A client that may write everywhere."""
    made = native.Writer(clients("ops"), cluster.native("p1"))
    yield made
    made.close()


def refused(cluster, name, reason):
    metrics = cluster.metrics(name)
    return metrics.sum("canopy_handshakes_refused_total", reason=reason)


def forbidden(cluster, name="p1"):
    return cluster.metrics(name).sum("canopy_rejected_total", reason="forbidden")


@contextlib.contextmanager
def forbidding(cluster, times, name="p1"):
    """What happens inside is forbidden so many times, and counted."""
    before = forbidden(cluster, name)
    yield
    eventually(lambda: forbidden(cluster, name) - before >= times, f"{times} refusals are counted")
    assert forbidden(cluster, name) - before == times
