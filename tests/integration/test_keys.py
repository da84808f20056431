"""`canopy keygen`, and the users of keys: the command line and the example, beside pyzmq's zmq.auth."""

import os
import re
import stat

import pytest
import zmq.auth

from tests.harness.cluster import run_program
from tests.harness.clusterfile import proxy, shard
from tests.harness.keyring import SERVER, Keyring

OK, REFUSED, NO_ANSWER, WRONG_USAGE, BROKEN = 0, 3, 4, 2, 5
EVERYTHING = {"read": ["*"], "write": ["*"], "admin": True}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return Keyring(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def cluster(start_shared_cluster, keys):
    return start_shared_cluster(
        [shard("s1", "*")],
        [proxy("p1"), proxy("p2")],
        security=keys.security(alice=EVERYTHING, bob={"read": ["/news/"], "write": ["/news/bob/"]}),
    )


@pytest.fixture(scope="module")
def open_cluster(start_shared_cluster):
    return start_shared_cluster([shard("s1", "*")], [proxy("p1")])


def canopy(cluster, *words, timeout="10s", **variables):
    return run_program(
        "canopy",
        *(*words, "--broker", cluster.broker_endpoint, "--timeout", timeout),
        env={**os.environ, **variables},
    )


def succeed(cluster, *words, **variables):
    done = canopy(cluster, *words, **variables)
    assert (done.returncode, done.stderr) == (OK, ""), done
    return done.stdout


def fail(done, code):
    """The one line on stderr, without the program's name; nothing is on stdout."""
    assert (done.returncode, done.stdout) == (code, ""), done
    assert re.fullmatch(r"canopy: [^\n]+\n", done.stderr), done.stderr
    return done.stderr.removeprefix("canopy: ").removesuffix("\n")


# -- the files -----------------------------------------------------------------------------------


def test_keygen_makes_a_pair_that_zmq_auth_reads(tmp_path):
    done = run_program("canopy", "keygen", "alice", "--directory", tmp_path / "new" / "keys")
    assert (done.returncode, done.stderr) == (OK, "")
    public, secret = (tmp_path / "new/keys" / name for name in ("alice.key", "alice.key_secret"))
    assert str(public) in done.stdout and str(secret) in done.stdout
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    ours, own = zmq.auth.load_certificate(secret)
    assert zmq.auth.load_certificate(public) == (ours, None)
    assert zmq.curve_public(own) == ours, "they belong together"
    assert own.decode() not in public.read_text() and own.decode() not in done.stdout
    again = run_program("canopy", "keygen", "alice", cwd=tmp_path / "new/keys")
    assert "alice.key" in fail(again, BROKEN) and "File exists" in again.stderr
    assert zmq.auth.load_certificate(secret) == (ours, own), "nothing is overwritten"


def test_no_two_pairs_are_alike(tmp_path):
    for name in ("a", "b"):
        assert run_program("canopy", "keygen", name, cwd=tmp_path).returncode == OK
    a, b = (zmq.auth.load_certificate(tmp_path / f"{name}.key_secret") for name in ("a", "b"))
    assert not set(a) & set(b)


def test_keygen_says_where_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    done = run_program("canopy", "keygen", "a", "--directory", tmp_path / "file")
    assert str(tmp_path / "file") in fail(done, BROKEN)


# -- the command line ----------------------------------------------------------------------------


def test_every_command_speaks_curve(cluster, keys):
    alice = keys.environment("alice")
    revision = succeed(cluster, "put", "/a", "v", **alice).strip()
    assert succeed(cluster, "get", "/a", **alice) == "v"
    assert succeed(cluster, "list", "/a", **alice) == f"/a\t{revision}\tv\n"
    assert succeed(cluster, "status", **alice).count("ready") == 3
    assert int(succeed(cluster, "delete", "/a", **alice)) > int(revision)
    refused = canopy(cluster, "drain", "p9", **alice)
    assert "p9" in fail(refused, REFUSED), "asked as one who may, there is none"


def test_keys_are_given_as_files_or_text(cluster, keys):
    text = zmq.auth.load_certificate(keys.public(SERVER))[0].decode()
    for server in (keys.public(SERVER), keys.secret(SERVER), text):
        words = ("--key", keys.secret("alice"), "--server-key", server)
        assert int(succeed(cluster, "put", "/a", "v", *words))


def test_pairs_made_by_zmq_auth_are_taken(start_cluster, tmp_path):
    for name in ("server", "alice"):
        _, secret = zmq.auth.create_certificates(tmp_path, name)
        os.chmod(secret, 0o600)
    secret = str(tmp_path / "alice.key_secret")
    known = {"name": "alice", "public_key": str(tmp_path / "alice.key"), **EVERYTHING}
    cluster = start_cluster(
        [shard("s1", "*")],
        [proxy("p1", ["native"])],
        security={"server_key": str(tmp_path / "server.key_secret"), "clients": [known]},
    )
    words = ("--key", secret, "--server-key", str(tmp_path / "server.key"))
    assert int(succeed(cluster, "put", "/a", "v", *words))
    os.chmod(secret, 0o644)
    refused = canopy(cluster, "get", "/a", *words)
    assert fail(refused, WRONG_USAGE) == f"{secret}: is open to others than its owner: chmod 600"


def test_what_is_no_key_is_named(cluster, keys, tmp_path):
    none = str(tmp_path / "none")
    for words in (
        ("--key", none, "--server-key", keys.public(SERVER)),
        ("--key", keys.secret("alice"), "--server-key", none),
        ("--key", keys.public("alice"), "--server-key", keys.public(SERVER)),
    ):
        path = none if none in words else words[1]
        assert path in fail(canopy(cluster, "get", "/a", *words), WRONG_USAGE)


@pytest.mark.parametrize("words", [["put", "/a", "v"], ["watch", "*"], ["status"]], ids=" ".join)
def test_a_timeout_names_the_keys(cluster, open_cluster, keys, words):
    def timeout(of, **variables):
        return fail(canopy(of, *words, timeout="1s", **variables), NO_ANSWER)

    assert "give --key and --server-key" in timeout(cluster), "no key"
    assert "know these keys?" in timeout(cluster, **keys.environment("mallory")), "an unknown key"
    swapped = {**keys.environment("alice"), "CANOPY_SERVER_KEY": keys.public("bob")}
    assert "know these keys?" in timeout(cluster, **swapped), "the wrong server key"
    assert "know these keys?" in timeout(open_cluster, **keys.environment("alice")), "no CURVE"


def test_what_is_forbidden_is_refused(cluster, keys):
    bob, alice = keys.environment("bob"), keys.environment("alice")
    succeed(cluster, "put", "/news/bob/1", "b", **bob)
    succeed(cluster, "put", "/news/1", "a", **alice)
    assert len(succeed(cluster, "list", "/news/", **bob).splitlines()) == 2
    assert fail(canopy(cluster, "put", "/news/1", "x", **bob), REFUSED) == (
        "/news/1: forbidden: this key may not write it"
    )
    assert fail(canopy(cluster, "delete", "/news/1", **bob), REFUSED) == (
        "/news/1: forbidden: this key may not write it"
    )
    for command in ("get", "watch", "list"):
        assert fail(canopy(cluster, command, "/secret", **bob), REFUSED) == (
            "/secret: forbidden: this key may not read it"
        )
    assert fail(canopy(cluster, "watch", "*", **bob), REFUSED) == (
        "*: forbidden: this key may not read it"
    )
    assert fail(canopy(cluster, "drain", "p1", **bob), REFUSED) == (
        "forbidden: this key is not an admin's"
    )
    assert succeed(cluster, "get", "/news/1", **bob) == "a", "nothing of it was done"
