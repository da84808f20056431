"""The measured servers: how each is started, its ports and its processes."""

import ctypes
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
from tests.harness.ports import Ports
from tests.harness.procfs import children

BIN = pathlib.Path(os.environ.get("CANOPY_BIN", REPOSITORY / "build/bin")).resolve()
BENCH_BIN = pathlib.Path(os.environ.get("CANOPY_BENCH_BIN", BIN)).resolve()
START_SECONDS = 30
NOFILE = 4096  # of every server alike

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)

ports = Ports()


class Failed(Exception):
    pass


def as_child(nofile):
    """A preexec_fn: the child has this descriptor limit and gets TERM when this process ends."""

    def in_child():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

    return in_child


def wait_until(met, what, process=None):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        result = met()
        if result:
            return result
        if process and process.poll() is not None:
            raise Failed(f"{what}: the process ended with {process.returncode}")
        time.sleep(0.05)
    raise Failed(f"{what}: not within {START_SECONDS} s")


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Server:
    """A started server; `with` ends it. Subclasses start it in `launch`."""

    protocol = "plain"  # of subscribers, and of publishers without publisher_protocol
    publisher_protocol = None
    zmq_socket = "-"  # socket type of a publisher
    topic = b""
    executable = None  # the system is left out when it is missing
    version_arguments = ("--version",)

    def __init__(self, subscribers, proxies):
        self.subscribers, self.proxies = subscribers, proxies
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="canopy-bench-"))
        self.process = None
        self.publish_ports = self.subscribe_ports = ()

    def __enter__(self):
        try:
            self.launch()
        except BaseException:
            tail = self.log_tail()
            self.__exit__()
            if tail:
                print(tail)
            raise
        return self

    def __exit__(self, *_):
        if self.process:
            family = children(self.process.pid)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                for each in family:
                    each.signal(signal.SIGKILL)
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def spawn(self, *command, **options):
        options.setdefault("stdout", open(self.directory / "log", "ab"))
        self.process = subprocess.Popen(
            [str(each) for each in command],
            stdin=subprocess.PIPE,
            stderr=open(self.directory / "log", "ab"),
            cwd=self.directory,
            preexec_fn=as_child(self.nofile()),
            **options,
        )

    def spawn_printing_ports(self, *command):
        """Spawns a program of this folder, which prints its ports in one line of JSON."""
        self.spawn(*command, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{command[0]} did not start")
        ready = json.loads(line)
        self.publish_ports, self.subscribe_ports = (ready["publish"],), (ready["subscribe"],)
        return ready

    def spawn_on(self, port, *command):
        self.spawn(*command)
        self.publish_ports = self.subscribe_ports = (port,)
        wait_until(lambda: accepts(port), command[0], self.process)

    def nofile(self):
        return NOFILE

    def pids(self):
        return [self.process.pid]

    def log_tail(self):
        log = self.directory / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else ""

    @classmethod
    def missing(cls):
        """The missing executable, or None."""
        return None if shutil.which(cls.executable) else cls.executable

    @classmethod
    def version(cls):
        done = subprocess.run(
            [cls.executable, *cls.version_arguments], capture_output=True, text=True
        )
        return (done.stdout + done.stderr).strip().splitlines()[0]


class OurProgram(Server):
    """One of the programs of this folder."""

    @classmethod
    def missing(cls):
        path = BENCH_BIN / cls.executable
        return None if path.exists() else str(path)

    @classmethod
    def version(cls):
        return "of this tree"

    def launch(self):
        self.spawn_printing_ports(BENCH_BIN / self.executable)


class Limit(OurProgram):
    executable = "bench-limit"


class ZmqProxy(OurProgram):
    executable = "bench-zmq-proxy"
    protocol, zmq_socket, topic = "zmq", "PUB", b"/bench/"


class Baseline(OurProgram):
    executable = "bench-clone-2015"
    protocol, zmq_socket, topic = "zmq", "PUSH", b"/bench/"

    def launch(self):
        self.pid = self.spawn_printing_ports(BENCH_BIN / self.executable, self.nofile())["pid"]

    def pids(self):
        return [self.pid]


class Nats(Server):
    executable, protocol = "nats-server", "nats"

    def launch(self):
        port = ports.claim()
        self.spawn_on(port, self.executable, "-a", "127.0.0.1", "-p", port)


class Redis(Server):
    executable, protocol = "redis-server", "redis"

    def launch(self):
        port = ports.claim()
        options = ["--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"]
        self.spawn_on(port, self.executable, *options)


class Mosquitto(Server):
    executable, protocol, version_arguments = "mosquitto", "mqtt", ("-h",)

    @classmethod
    def missing(cls):
        return None if cls.path() else cls.executable

    @staticmethod
    def path():
        return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")

    @classmethod
    def version(cls):
        return subprocess.run([cls.path(), "-h"], capture_output=True, text=True).stdout.split("\n")[0]

    def launch(self):
        port = ports.claim()
        # By default it drops messages beyond 1,000 queued ones of a client; a flood has more in flight.
        settings = (
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            "log_type error\nmax_queued_messages 5000\n"
        )
        if os.getuid() == 0:
            settings += "user root\n"
        (self.directory / "conf").write_text(settings)
        self.spawn_on(port, self.path(), "-c", self.directory / "conf")


class Canopy(Server):
    """A cluster: broker, one shard, some proxies. Clients are spread evenly."""

    publisher_protocol, zmq_socket = "zmq", "PUSH"
    native = False
    settings = ""  # of its proxies: "max_linger_ms: 10, publish_share: 5"

    @classmethod
    def missing(cls):
        path = BIN / "canopy-broker"
        return None if path.exists() else str(path)

    @classmethod
    def version(cls):
        done = subprocess.run([BIN / "canopy-broker", "--version"], capture_output=True, text=True)
        return done.stdout.strip()

    def max_clients(self):
        return max(600, -(-self.subscribers // self.proxies) + 50)

    def nofile(self):
        return max(NOFILE, 4 * self.max_clients() + 200)

    def launch(self):
        broker, self.http = ports.claim(), ports.claim()
        file = self.directory / "cluster.yaml"
        file.write_text(self.layout(broker))
        self.spawn(BIN / "canopy-broker", "--config", file)
        topology = wait_until(self.topology, "the cluster", self.process)
        proxies = topology["proxies"]
        self.publish_ports = tuple(port_of(each["kvsimple"]["collector"]) for each in proxies)
        if self.native:
            self.subscribe_ports = tuple(port_of(each["native"]) for each in proxies)
        else:
            self.subscribe_ports = tuple(port_of(each["kvsimple"]["updates"]) for each in proxies)
        self.members = [each["pid"] for each in topology["shards"] + proxies]

    def layout(self, broker):
        lines = [
            f"state_dir: {self.directory}/state",
            f"broker: {{listen: 'tcp://127.0.0.1:{broker}', http: '127.0.0.1:{self.http}'}}",
            "shards:",
            f"  - {{name: s1, partitions: [{{subtree: '*', durability: memory}}], nofile: {NOFILE}}}",
            "proxies:",
        ]
        for index in range(self.proxies):
            frontends = f"kvsimple: 'tcp://127.0.0.1:{ports.claim(3)}'"
            if self.native:
                frontends += ", native: 'tcp://127.0.0.1:*'"
            limits = f"max_clients: {self.max_clients()}, nofile: {self.nofile()}"
            more = f", {self.settings}" if self.settings else ""
            lines.append(f"  - {{name: p{index + 1}, {limits}, {frontends}{more}}}")
        return "\n".join(lines) + "\n"

    def topology(self):
        """The topology when all proxies are ready, else None."""
        try:
            base = f"http://127.0.0.1:{self.http}"
            urllib.request.urlopen(f"{base}/readyz", timeout=2).close()
            with urllib.request.urlopen(f"{base}/api/v1/topology", timeout=2) as answer:
                topology = json.load(answer)
        except OSError:
            return None
        serving = [each["state"] == "ready" for each in topology["proxies"]]
        return topology if len(serving) == self.proxies and all(serving) else None

    def pids(self):
        return [self.process.pid, *self.members]


class CanopyKvsimple(Canopy):
    protocol, topic = "zmq", b"/bench/"


class CanopyNative(Canopy):
    protocol, native, topic = "native", True, b"/bench/"


class CanopyLz4(CanopyNative):
    protocol = "native-lz4"


def port_of(endpoint):
    return int(re.search(r":(\d+)$", endpoint)[1])


# By name: the server, and the kind of its updates' bodies.
SYSTEMS = {
    "canopy-kvsimple": (CanopyKvsimple, "random"),
    "canopy-native": (CanopyNative, "random"),
    "canopy-native-alike": (CanopyNative, "alike"),
    "canopy-lz4": (CanopyLz4, "random"),
    "canopy-lz4-alike": (CanopyLz4, "alike"),
    "baseline": (Baseline, "random"),
    "zmq_proxy": (ZmqProxy, "random"),
    "nats": (Nats, "random"),
    "redis": (Redis, "random"),
    "mosquitto": (Mosquitto, "random"),
    "limit": (Limit, "random"),
}


def find(name):
    """The server and the bodies of a name; `canopy-native@max_linger_ms=10+publish_share=5` sets settings of its
    proxies. Raises KeyError when there is no such system."""
    base, _, settings = name.partition("@")
    server, bodies = SYSTEMS[base]
    if settings:
        if not issubclass(server, Canopy):
            raise KeyError(name)
        text = settings.replace("=", ": ").replace("+", ", ")
        server = type(server.__name__, (server,), {"settings": text})
    return server, bodies
