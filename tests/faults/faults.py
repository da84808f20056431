"""What can go wrong with a cluster, a function a fault: each says what it does, lasts a bounded time and
leaves everything as it was, also when it is interrupted."""

import contextlib
import os
import signal
import subprocess
import time

from tests.faults.deployment import LEASE
from tests.faults.hosts import Unsupported
from tests.harness.cluster import BIN

FAULTS = {}  # name -> (function, what the cluster must have)


def fault(*needs):
    def register(function):
        FAULTS[function.__name__] = (function, set(needs))
        return function

    return register


class Trouble:
    """What a fault works with. `say` is told what happens; `splits` are configured subtrees, each with
    one that may be split off it; a partition is moved to so many shards as `copies` lists."""

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

    def wait(self, least, most):
        time.sleep(self.random.uniform(least, most))

    def pick(self, names):
        return self.random.choice(sorted(names))

    # -- what faults are made of -----------------------------------------------------------------

    def kill(self, names, down=(0, 3)):
        """kill -9 of members, which come back after some seconds."""
        self.say(f"kill -9 {' '.join(names)}")
        for name in names:
            self.deployment.members[name].kill()
        self.wait(*down)
        for name in names:
            self.deployment.members[name].start()

    def hold(self, name, least, most):
        member = self.deployment.members[name]
        duration = self.random.uniform(least, most)
        self.say(f"SIGSTOP {name} for {duration:.1f} s")
        member.signal(signal.SIGSTOP)
        try:
            time.sleep(duration)
        finally:
            member.signal(signal.SIGCONT)

    def order(self, *words):
        """An operator's command, which the broker takes or refuses with a reason; whether it did."""
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


# -- an operator's orders, which the next fault may meet half done -----------------------------------


@fault()
def move(trouble):
    shards = trouble.random.sample(trouble.deployment.shards, trouble.random.choice(trouble.copies))
    trouble.order("move", trouble.pick(trouble.subtrees), ",".join(shards))


@fault()
def move_and_kill(trouble):
    """One of the shards that take part, perhaps, while the partition is copied."""
    move(trouble)
    trouble.wait(0, 0.5)
    kill_any_shard(trouble)


@fault()
def split(trouble):
    """Once for each subtree; then partitions are moved."""
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
    with trouble.healed(f"{receiver.name} hears nothing of {sender.name}"):
        trouble.network.cut(sender, receiver)
        trouble.wait(LEASE, 4 * LEASE)


@fault("hosts")
def cut_both_ways(trouble):
    one, other = trouble.two_hosts()
    with trouble.healed(f"{one.name} and {other.name} are apart"):
        trouble.network.cut(one, other)
        trouble.network.cut(other, one)
        trouble.wait(LEASE, 4 * LEASE)


@fault("hosts")
def isolate(trouble):
    lonely = trouble.random.choice(trouble.network.hosts)
    with trouble.healed(f"{lonely.name} is apart from the other hosts"):
        for other in trouble.network.hosts:
            if other is not lonely:
                trouble.network.cut(lonely, other)
                trouble.network.cut(other, lonely)
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
    """Without a majority etcd answers nothing."""
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


DISK = "canopy-faults-"  # and the number of the process, so that what a killed one left is found


@contextlib.contextmanager
def small_disk(path, size):
    """A file system of its own at `path` (a Path), or nothing (None) where mounting is not allowed."""
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
