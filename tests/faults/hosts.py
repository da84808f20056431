"""Three hosts on one machine, as network namespaces on a bridge, and network faults between them.

Needs root, iproute2 and nftables. All names hold the pid of this process. Each process removes the leftovers of earlier
processes that were killed.

    with network(3) as net:
        subprocess.Popen([*net.hosts[0].prefix, "program", …])
        net.cut(net.hosts[0], net.hosts[1])   # the second receives nothing from the first
        net.heal()
"""

import contextlib
import os
import re
import shutil
import subprocess
from typing import NamedTuple


class Unsupported(Exception):
    """The machine lacks a needed feature."""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Unsupported(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Host(NamedTuple):
    name: str
    address: str
    namespace: str

    @property
    def prefix(self):
        """Prefix of a command that is to run on this host."""
        return ["ip", "netns", "exec", self.namespace]

    def run(self, *command, **options):
        return run(*self.prefix, *command, **options)


# Drops all packets of the hosts in `cut`; `loss` drops some of the others.
RULES = """
table inet faults {
  set cut { type ipv4_addr; }
  chain loss { }
  chain input {
    type filter hook input priority 0;
    ip saddr @cut drop
    jump loss
  }
}
"""


class Network:
    def __init__(self, hosts, gateway):
        self.hosts, self.gateway = hosts, gateway

    def cut(self, sender, receiver):
        """Drops all packets from `sender` to `receiver`."""
        receiver.run("nft", "add", "element", "inet", "faults", "cut", f"{{ {sender.address} }}")

    def lose(self, host, percent):
        """`host` drops this share of the packets from other hosts."""
        rule = f"iif != lo numgen random mod 100 < {percent} drop"
        host.run("nft", "add", "rule", "inet", "faults", "loss", *rule.split())

    def delay(self, host, milliseconds, jitter=0):
        """Delays the packets that `host` sends. Raises Unsupported where the kernel has no netem."""
        netem = f"netem delay {milliseconds}ms {jitter}ms".split()
        host.run("tc", "qdisc", "replace", "dev", "eth0", "root", *netem)

    def heal(self):
        for host in self.hosts:
            host.run("nft", "flush", "set", "inet", "faults", "cut")
            host.run("nft", "flush", "chain", "inet", "faults", "loss")
            with contextlib.suppress(Unsupported):  # no delay is set
                host.run("tc", "qdisc", "delete", "dev", "eth0", "root")


def remove(pid):
    # The kernel removes what a namespace holds some time after the namespace: the next network of this process would
    # find its interface in use.
    with contextlib.suppress(Unsupported):
        run("ip", "link", "delete", f"canopy{pid}")
    for namespace in re.findall(rf"^canopy-{pid}-\w+", run("ip", "netns", "list"), re.M):
        run("ip", "netns", "delete", namespace)


def remove_leftovers():
    for pid in set(re.findall(r"^canopy-(\d+)-", run("ip", "netns", "list"), re.M)):
        if not os.path.exists(f"/proc/{pid}"):
            remove(pid)


def free_subnet():
    """10.N.0: a subnet that no interface of this machine uses."""
    taken = set(re.findall(r"inet 10\.(\d+)\.", run("ip", "-4", "address")))
    return next(f"10.{n}.0" for n in range(77, 250) if str(n) not in taken)


def missing():
    """Why this machine cannot have hosts, or None."""
    if os.getuid() != 0:
        return "network namespaces need root"
    programs = [name for name in ("ip", "nft") if not shutil.which(name)]
    return f"no {' and no '.join(programs)}: deploy/setup.sh --test" if programs else None


@contextlib.contextmanager
def network(count=3):
    """Raises Unsupported when the machine cannot have hosts."""
    if reason := missing():
        raise Unsupported(reason)
    remove_leftovers()
    pid, subnet = os.getpid(), free_subnet()
    switch = Host("switch", "", f"canopy-{pid}-switch")
    hosts = [Host(f"h{i}", f"{subnet}.{i}", f"canopy-{pid}-h{i}") for i in range(1, count + 1)]
    try:
        # The bridge has its own namespace: a firewall of this machine, such as Docker's, may drop the
        # packets of its bridges.
        run("ip", "netns", "add", switch.namespace)
        switch.run("ip", "link", "add", "bridge", "type", "bridge")
        switch.run("ip", "link", "set", "bridge", "up")
        plug(switch, "driver", f"canopy{pid}", None, f"{subnet}.254")
        for host in hosts:
            run("ip", "netns", "add", host.namespace)
            plug(switch, host.name, "eth0", host, host.address)
            host.run("ip", "link", "set", "lo", "up")
            host.run("nft", "-f", "-", input=RULES)
        yield Network(hosts, f"{subnet}.254")
    finally:
        remove(pid)


def plug(switch, port, interface, host, address):
    """Connects the switch to an interface of a host; None: of this machine."""
    inside = host.run if host else run
    there = ["netns", host.namespace if host else str(os.getpid())]
    switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", interface)
    switch.run("ip", "link", "set", interface, *there)
    switch.run("ip", "link", "set", port, "master", "bridge", "up")
    inside("ip", "address", "add", f"{address}/24", "dev", interface)
    inside("ip", "link", "set", interface, "up")
