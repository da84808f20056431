"""A HAProxy in front of a proxy's ports, as an operator would configure it."""

import os
import shutil
import socket
import subprocess

from tests.harness.cluster import die_with_parent
from tests.harness.waiting import eventually, seconds
from tests.harness.zmtp import port_of

CONFIGURATION = """\
global
    maxconn 8000
    log stdout format raw local0 warning
defaults
    mode tcp
    option httpchk GET /readyz
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""


def find():
    return os.environ.get("CANOPY_HAPROXY") or shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")


class Balancer:
    """Each of the endpoints behind a port of its own: through() gives that. `http` is that of the
    proxy, whose readiness is checked."""

    def __init__(self, directory, ports, endpoints, http, send_proxy="send-proxy-v2"):
        self._behind = {}
        sections = [CONFIGURATION]
        # The ports of a Clone server are consecutive here as well.
        first = ports.claim(len(endpoints))
        for offset, endpoint in enumerate(endpoints):
            self._behind[endpoint] = f"tcp://127.0.0.1:{first + offset}"
            sections.append(
                f"listen l{offset}\n    bind 127.0.0.1:{first + offset}\n"
                f"    server s1 127.0.0.1:{port_of(endpoint)} {send_proxy}"
                f" check inter 300ms port {port_of(http)}\n"
            )
        file = directory / "haproxy.cfg"
        file.write_text("".join(sections))
        self.log = directory / "haproxy.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [find(), "-db", "-f", file], stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        for endpoint in self._behind.values():  # one connection each: the proxy counts them as failed handshakes
            eventually(lambda: self._listens(endpoint), f"HAProxy listens at {endpoint}")

    def through(self, endpoints):
        if isinstance(endpoints, str):
            return self._behind[endpoints]
        return tuple(self._behind[each] for each in endpoints)

    def _listens(self, endpoint):
        assert self.process.poll() is None, self.log.read_text()
        socket.create_connection(("127.0.0.1", port_of(endpoint)), timeout=1).close()
        return True

    def stop(self):
        self.process.terminate()
        self.process.wait(seconds(10))
