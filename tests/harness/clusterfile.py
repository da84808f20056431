"""The YAML file of a cluster under test, from short descriptions of its shards and proxies."""

import yaml

from tests.harness.waiting import SLOW

DIALECTS = ("kvsimple", "kvmsg", "chp")
# What a proxy may speak, and how many consecutive ports that takes.
FRONTENDS = {"native": 1, **dict.fromkeys(DIALECTS, 3)}
HOST = "127.0.0.1"


def partition(subtree, **settings):
    return {"subtree": subtree, **settings}


def shard(name, *partitions, **settings):
    """`partitions` are subtrees ("*" is the root), or what partition() returns."""
    listed = [part if isinstance(part, dict) else partition(part) for part in partitions]
    return {"name": name, "partitions": listed, **settings}


def proxy(name, frontends=FRONTENDS, **settings):
    """The ports of its frontends are filled in by Layout."""
    return {"name": name, "frontends": tuple(frontends), **settings}


def triple_at(port):
    """The endpoints of a Clone server whose first port is `port`."""
    return tuple(f"tcp://{HOST}:{port + i}" for i in range(3))


class Layout:
    """A description with every port decided."""

    def __init__(self, ports, shards, proxies, broker=None, coordination=None, **top):
        first = ports.claim(2)
        self.broker_http = f"{HOST}:{first + 1}"
        self.broker = {
            "listen": f"tcp://{HOST}:{first}",
            "http": self.broker_http,
            **(broker or {}),
        }
        self.coordination = {"lease_ms": int(3000 * SLOW), **(coordination or {})}
        self.top = top
        self.shards = shards
        self.proxies = []
        self.first_port = {}  # (proxy, frontend) -> port of its first socket
        for described in proxies:
            settings = dict(described)
            for frontend in settings.pop("frontends"):
                port = ports.claim(FRONTENDS[frontend])
                self.first_port[settings["name"], frontend] = port
                settings[frontend] = f"tcp://{HOST}:{port}"
            self.proxies.append(settings)

    def native(self, proxy_name):
        """The endpoint of a proxy's native frontend."""
        return f"tcp://{HOST}:{self.first_port[proxy_name, 'native']}"

    def triple(self, proxy_name, dialect):
        return triple_at(self.first_port[proxy_name, dialect])

    def text(self, **top):
        document = {
            **self.top,
            **top,
            "coordination": self.coordination,
            "broker": self.broker,
            "shards": self.shards,
            "proxies": self.proxies,
        }
        return yaml.safe_dump(document, sort_keys=False)
