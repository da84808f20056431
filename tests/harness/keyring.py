"""The keys of a cluster under test and of its clients, made by `canopy keygen`."""

import zmq
import zmq.auth

from tests.harness.cluster import run_program

SERVER = "cluster"  # the name of the cluster's own pair


class Keyring:
    def __init__(self, directory):
        self.directory = directory
        self._made = set()

    def secret(self, name):
        """The path of NAME.key_secret, made when it is first asked for."""
        if name not in self._made:
            done = run_program("canopy", "keygen", name, "--directory", self.directory)
            assert done.returncode == 0, done.stderr
            self._made.add(name)
        return str(self.directory / f"{name}.key_secret")

    def public(self, name):
        return self.secret(name).removesuffix("_secret")

    def pair(self, name):
        """(public, secret), as pyzmq reads and wants them."""
        return zmq.auth.load_certificate(self.secret(name))

    def context(self, name, server=SERVER):
        """A zmq.Context all of whose sockets connect as `name` to the holder of `server`."""
        made = zmq.Context()
        made.linger = 0
        made.curve_serverkey = self.pair(server)[0]
        made.curve_publickey, made.curve_secretkey = self.pair(name)
        return made

    def security(self, **clients):
        """The section of a cluster's file; name={"read": […], "write": […], …} for each client."""
        known = [{"name": name, "public_key": self.public(name), **grants} for name, grants in clients.items()]
        return {"server_key": self.secret(SERVER), "clients": known}

    def environment(self, name):
        """What makes `canopy` and the example speak as this client."""
        return {"CANOPY_KEY": self.secret(name), "CANOPY_SERVER_KEY": self.public(SERVER)}
