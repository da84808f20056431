"""Keys, and clients that hold them: pyzmq's own certificates and CURVE."""

import zmq
import zmq.auth


class Keys:
    """A directory of key pairs, as zmq.auth writes them."""

    def __init__(self, directory):
        self.directory = directory
        self.pairs = {}  # name -> (public, secret)

    def make(self, name):
        _, secret = zmq.auth.create_certificates(self.directory, name)
        (self.directory / f"{name}.key_secret").chmod(0o600)
        self.pairs[name] = zmq.auth.load_certificate(secret)
        return self.pairs[name]

    def public_file(self, name):
        return str(self.directory / f"{name}.key")

    def secret_file(self, name):
        return str(self.directory / f"{name}.key_secret")

    def public(self, name):
        return self.pairs[name][0].decode()


def curve_context(pair, server_public):
    """A context all of whose sockets connect as the holder of `pair` to the holder of the other."""
    made = zmq.Context()
    made.linger = 0
    made.curve_serverkey = server_public
    made.curve_publickey, made.curve_secretkey = pair
    return made
