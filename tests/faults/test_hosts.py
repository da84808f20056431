"""Hosts reach each other unless they are cut off, separately in each direction."""

import subprocess

import pytest

from tests.faults import hosts


@pytest.fixture(scope="module")
def net():
    try:
        with hosts.network(3) as made:
            yield made
    except hosts.Unsupported as reason:
        pytest.skip(str(reason))


@pytest.fixture(autouse=True)
def whole_again(net):
    yield
    net.heal()


# Prints how many datagrams it has received. It answers none, so that a test sees one direction.
LISTEN = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7000))
print("ready", flush=True)
input()
s.setblocking(False)
got = 0
try:
    while s.recv(100):
        got += 1
except BlockingIOError:
    print(got)
"""
SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[2])):
    s.sendto(b"x", (sys.argv[1], 7000))
    time.sleep(0.0005)
"""


def received(sender, receiver, count=20):
    """How many of `count` datagrams arrive."""
    command = [*receiver.prefix, "python3", "-c", LISTEN]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as listening:
        assert listening.stdout.readline() == "ready\n"
        sender.run("python3", "-c", SEND, receiver.address, str(count))
        return int(listening.communicate("\n")[0])


def test_every_host_hears_every_other(net):
    one, two, three = net.hosts
    assert received(one, two) == received(two, three) == received(three, one) == 20


def test_a_cut_has_a_direction(net):
    one, two, three = net.hosts
    net.cut(one, two)
    assert (received(one, two), received(two, one)) == (0, 20)
    assert (received(one, three), received(three, two)) == (20, 20), "the others are not affected"
    net.cut(two, one)
    assert (received(one, two), received(two, one)) == (0, 0)
    net.heal()
    assert (received(one, two), received(two, one)) == (20, 20)


CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 7001), 1)"
ACCEPT = """
import socket
s = socket.create_server(("", 7001))
s.settimeout(3)
print("ready", flush=True)
s.accept()
"""


def connects(client, server):
    with subprocess.Popen(
        [*server.prefix, "python3", "-c", ACCEPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as listening:
        try:
            assert listening.stdout.readline() == "ready\n"
            client.run("python3", "-c", CONNECT, server.address)
            return True
        except hosts.Unsupported:
            return False
        finally:
            listening.kill()


def test_a_connection_needs_both_directions(net):
    one, two, _ = net.hosts
    assert connects(one, two)
    net.cut(two, one)
    assert not connects(one, two)
    net.heal()
    net.cut(one, two)
    assert not connects(one, two)


def test_some_packets_are_lost(net):
    one, two, _ = net.hosts
    net.lose(two, 30)
    assert 100 < received(one, two, 300) < 290
    net.heal()
    assert received(one, two) == 20


def test_packets_are_late(net):
    one, two, _ = net.hosts
    try:
        net.delay(one, 100)
    except hosts.Unsupported as reason:
        pytest.skip(str(reason))
    output = one.run("ping", "-c", "3", "-i", "0.2", two.address)
    assert float(output.split("= ")[1].split("/")[0]) > 95, output
