"""The faults of a cluster, one function each. A fault reports what it does, lasts a bounded time, and restores the cluster
even when it is interrupted."""

import contextlib
import os
import signal
import subprocess
import time

from tests.faults.deployment import LEASE
from tests.faults.hosts import Unsupported
from tests.harness.cluster import BIN

FAULTS = {}  # name -> (function, features that the cluster needs)


def fault(*needs):
    def register(function):
        FAULTS[function.__name__] = (function, set(needs))
        return function

    return register


class Trouble:
    """The cluster and tools of a fault. `say` prints a line. `splits` maps a configured subtree to one that may be split
    off it. `copies` lists the possible numbers of replicas of a moved partition."""

    def __init__(
        self, deployment, random, say, splits, copies, network=None, etcd=(), small_disk=None
    ):
        self.deployment, self.random, self.say = deployment, random, say
        self.subtrees, self.splits, self.copies = list(splits), dict(splits), copies
        self.network, self.etcd, self.small_disk = network, list(etcd), small_disk
        self.has = {"hosts"} if network else set()
        self.has |= {"etcd"} if self.etcd else set()
        self.has |= {"small disk"} if small_disk else set()
        self.has |= {"lost sync"} if deployment.synced else set()

    def possible(self):
        return sorted(name for name, (_, needs) in FAULTS.items() if needs <= self.has)

    def wait(self, shortest, longest):
        time.sleep(self.random.uniform(shortest, longest))

    def pick(self, names):
        return self.random.choice(sorted(names))

    # -- parts of faults --------------------------------------------------------------------------

    def kill(self, names, down=(0, 3)):
        """kill -9 of members, which are restarted after some seconds."""
        self.say(f"kill -9 {' '.join(names)}")
        for name in names:
            self.deployment.members[name].kill()
        self.wait(*down)
        for name in names:
            self.deployment.members[name].start()

    def hold(self, name, shortest, longest):
        member = self.deployment.members[name]
        duration = self.random.uniform(shortest, longest)
        self.say(f"SIGSTOP {name} for {duration:.1f} s")
        member.signal(signal.SIGSTOP)
        try:
            time.sleep(duration)
        finally:
            member.signal(signal.SIGCONT)

    def order(self, *words):
        """Runs an operator's command; returns whether the broker has accepted it."""
        command = [BIN / "canopy", *words, "--broker", self.deployment.layout.broker["listen"]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.say(f"canopy {' '.join(words)}" + (f": {done.stderr.strip()}" if done.returncode else ""))
        return done.returncode == 0

    def two_hosts(self):
        return self.random.sample(self.network.hosts, 2)

    @contextlib.contextmanager
    def healed(self, what):
        self.say(what)
        try:
            yield
        finally:
            self.network.heal()


# -- processes -----------------------------------------------------------------------------------


@fault()
def kill_leader(trouble):
    trouble.kill([trouble.pick(trouble.deployment.leaders())])


@fault()
def kill_any_shard(trouble):
    trouble.kill([trouble.pick(trouble.deployment.shards)])


@fault()
def kill_leader_again_and_again(trouble):
    for _ in range(3):
        trouble.kill([trouble.pick(trouble.deployment.leaders())], down=(0, 0.1))
        trouble.wait(0.1, 1)


@fault()
def kill_proxy(trouble):
    trouble.kill([trouble.pick(trouble.deployment.proxies)])


@fault()
def kill_broker(trouble):
    trouble.kill(["broker"], down=(0, 2 * LEASE))


@fault()
def kill_all(trouble):
    trouble.kill(trouble.deployment.names)


@fault()
def hold_leader_past_its_lease(trouble):
    trouble.hold(trouble.pick(trouble.deployment.leaders()), 1.2 * LEASE, 3 * LEASE)


@fault()
def hold_leader_within_its_lease(trouble):
    trouble.hold(trouble.pick(trouble.deployment.leaders()), 0.2 * LEASE, 0.6 * LEASE)


@fault()
def hold_proxy(trouble):
    trouble.hold(trouble.pick(trouble.deployment.proxies), 0.5 * LEASE, 3 * LEASE)


@fault()
def hold_broker(trouble):
    trouble.hold("broker", 0.5 * LEASE, 3 * LEASE)


@fault()
def kill_leader_while_the_broker_is_held(trouble):
    broker = trouble.deployment.members["broker"]
    leader = trouble.pick(trouble.deployment.leaders())
    trouble.say("SIGSTOP broker")
    broker.signal(signal.SIGSTOP)
    try:
        trouble.kill([leader], down=(0, 1))
        trouble.wait(0, LEASE)
    finally:
        broker.signal(signal.SIGCONT)


# -- an operator's commands, which the next fault may interrupt --------------------------------------


@fault()
def move(trouble):
    shards = trouble.random.sample(trouble.deployment.shards, trouble.random.choice(trouble.copies))
    trouble.order("move", trouble.pick(trouble.subtrees), ",".join(shards))


@fault()
def move_and_kill(trouble):
    """Kills a shard, perhaps one of the move, while the partition is copied."""
    move(trouble)
    trouble.wait(0, 0.5)
    kill_any_shard(trouble)


@fault()
def split(trouble):
    """Splits each subtree once; then moves partitions."""
    if not trouble.splits:
        return move(trouble)
    subtree = trouble.pick(trouble.splits)
    if trouble.order("split", trouble.splits[subtree]):
        trouble.subtrees.append(trouble.splits.pop(subtree))
    trouble.wait(0, 0.5)
    if trouble.random.random() < 0.5:
        kill_any_shard(trouble)


# -- disks ---------------------------------------------------------------------------------------


@fault("lost sync")
def cut_power_of_all(trouble):
    seed = trouble.random.randrange(1 << 32)
    trouble.say(f"power cut of all (seed {seed})")
    trouble.deployment.cut_power(trouble.deployment.names, seed)
    trouble.wait(0, 1)
    trouble.deployment.start_missing()


@fault("lost sync")
def cut_power_of_a_shard(trouble):
    seed, name = trouble.random.randrange(1 << 32), trouble.pick(trouble.deployment.shards)
    trouble.say(f"power cut of {name} (seed {seed})")
    trouble.deployment.cut_power([name], seed)
    trouble.wait(0, 1)
    trouble.deployment.start_missing()


@fault("small disk")
def fill_disk(trouble):
    ballast = trouble.small_disk / "ballast"
    trouble.say(f"no room on the disk of {trouble.small_disk.name}")
    try:
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass
        trouble.wait(1, 5)
    finally:
        ballast.unlink()


# -- the network between hosts ---------------------------------------------------------------------


@fault("hosts")
def cut_one_way(trouble):
    sender, receiver = trouble.two_hosts()
    with trouble.healed(f"{receiver.name} receives nothing from {sender.name}"):
        trouble.network.cut(sender, receiver)
        trouble.wait(LEASE, 4 * LEASE)


@fault("hosts")
def cut_both_ways(trouble):
    one, other = trouble.two_hosts()
    with trouble.healed(f"{one.name} and {other.name} are disconnected"):
        trouble.network.cut(one, other)
        trouble.network.cut(other, one)
        trouble.wait(LEASE, 4 * LEASE)


@fault("hosts")
def isolate(trouble):
    isolated = trouble.random.choice(trouble.network.hosts)
    with trouble.healed(f"{isolated.name} is disconnected from the other hosts"):
        for other in trouble.network.hosts:
            if other is not isolated:
                trouble.network.cut(isolated, other)
                trouble.network.cut(other, isolated)
        trouble.wait(LEASE, 4 * LEASE)


@fault("hosts")
def lose_packets(trouble):
    percent = trouble.random.choice([1, 5, 20])
    with trouble.healed(f"every host loses {percent} % of its packets"):
        for host in trouble.network.hosts:
            trouble.network.lose(host, percent)
        trouble.wait(LEASE, 4 * LEASE)


@fault("hosts")
def delay_packets(trouble):
    milliseconds = trouble.random.choice([5, 50, 200])
    with trouble.healed(f"every host sends {milliseconds} ms later"):
        try:
            for host in trouble.network.hosts:
                trouble.network.delay(host, milliseconds)
        except Unsupported as reason:
            return trouble.say(f"skipped: {reason}")
        trouble.wait(LEASE, 4 * LEASE)


@fault("hosts")
def kill_host(trouble):
    host = trouble.random.choice(trouble.network.hosts)
    etcd = [each for each in trouble.etcd if each.host is host]
    for each in etcd:
        each.kill()
    members = trouble.deployment.members.values()
    try:
        trouble.kill([each.name for each in members if each.host is host], down=(0, 2 * LEASE))
    finally:
        for each in etcd:
            each.start()


# -- etcd ----------------------------------------------------------------------------------------


@fault("etcd")
def kill_etcd_member(trouble):
    member = trouble.random.choice(trouble.etcd)
    trouble.say(f"kill -9 {member.name}")
    member.kill()
    try:
        trouble.wait(0, 3 * LEASE)
    finally:
        member.start()


@fault("etcd")
def hold_most_etcd_members(trouble):
    """Without a majority, etcd does not answer."""
    held = trouble.random.sample(trouble.etcd, len(trouble.etcd) // 2 + 1)
    trouble.say(f"SIGSTOP {' '.join(each.name for each in held)}")
    try:
        for each in held:
            each.signal(signal.SIGSTOP)
        trouble.wait(0.5 * LEASE, 3 * LEASE)
    finally:
        for each in held:
            each.signal(signal.SIGCONT)


# -- a small disk of one member -------------------------------------------------------------------


DISK = "canopy-faults-"  # followed by the pid, to find the mounts of killed processes


@contextlib.contextmanager
def small_disk(path, size):
    """Mounts a file system at `path` (a Path), or yields None where mounting is not allowed."""
    path.mkdir(parents=True, exist_ok=True)
    unmount_leftovers()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", f"{DISK}{os.getpid()}", str(path)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        yield None
        return
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def unmount_leftovers():
    with open("/proc/mounts") as mounts:
        for source, path, *_ in map(str.split, mounts):
            pid = source.removeprefix(DISK)
            if source != pid and not os.path.exists(f"/proc/{pid}"):
                subprocess.run(["umount", "-l", path], capture_output=True)
