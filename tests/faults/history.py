"""The output of faults-recorder as values (load.h and recorder.cc describe the lines)."""

from typing import NamedTuple

REVISION_MISMATCH = 10


class Write(NamedTuple):
    key: str
    value: str  # None: a deletion
    revision: int = 0  # 0: not known
    if_revision: int = None  # 0: only if the key is missing


class Operation(NamedTuple):
    writer: int
    number: int
    call: int  # ns
    returned: int
    outcome: str  # ok, refused, unknown
    writes: list
    fault: int = 0
    revision: int = 0  # revision_mismatch: of the current entry

    @property
    def name(self):
        return f"{self.writer}.{self.number}"


class Read(NamedTuple):
    call: int
    returned: int
    key: str
    revision: int  # 0: no such key
    value: str


class Seen(NamedTuple):
    time: int
    partition: str
    key: str
    revision: int
    value: str  # None: deleted, at this revision or before


class Hole(NamedTuple):
    time: int
    watcher: int
    partition: str
    first: int
    last: int


class Held(NamedTuple):
    revision: int
    value: str


class Counts(NamedTuple):
    live: int
    syncs: int
    gaps: int
    takeovers: int  # changes around a new epoch that were out of order


class History:
    """`partitions` are subtrees as in the configuration: the root is "*". `splits` maps a partition to one that may be
    split off it during the history. Until then, both share revisions."""

    def __init__(self, partitions, splits=None):
        self.partitions, self.splits = partitions, splits or {}
        self.operations, self.reads, self.seen, self.holes, self.breaches = [], [], [], [], []
        self.states = {}  # proxy -> {key: Held} at the end
        self.unreadable = []  # proxies
        self.watchers = {}  # number -> Counts
        self.held = {}  # watcher whose state differs from that of proxy 0 -> {key: Held}
        self.ended = False

    def partition_of(self, key):
        fitting = [each for each in self.partitions if each == "*" or key.startswith(each)]
        return max(fitting, key=lambda each: 0 if each == "*" else len(each))

    def family_of(self, partition):
        """The partitions that may have shared revisions with it; the split one comes first."""
        whole = next((each for each, part in self.splits.items() if part == partition), partition)
        return [whole, self.splits[whole]] if whole in self.splits else [whole]


def value_of(word):
    return None if word == "-" else word


def read_operation(words):
    writer, number, call, returned, outcome, fault, revision, _kind, *rest = words
    writes = []
    count = len(rest) // 3
    for i in range(count):
        key, condition, value = rest[3 * i : 3 * i + 3]
        mine = int(revision) - (count - 1 - i) if outcome == "ok" else 0
        condition = None if condition == "-" else int(condition)
        writes.append(Write(key, value_of(value), mine, condition))
    numbers = map(int, (writer, number, call, returned))
    return Operation(*numbers, outcome, writes, int(fault), int(revision))


def add(history, line):
    kind, *words = line.split()
    if kind == "op":
        history.operations.append(read_operation(words))
    elif kind == "seen":
        time, partition, key, revision, value = words
        history.seen.append(Seen(int(time), partition, key, int(revision), value_of(value)))
    elif kind == "read":
        _, call, returned, key, revision, value = words
        found = Read(int(call), int(returned), key, int(revision), value_of(value))
        history.reads.append(found)
    elif kind == "hole":
        time, watcher, partition, first, last = words
        history.holes.append(Hole(int(time), int(watcher), partition, int(first), int(last)))
    elif kind == "breach":
        history.breaches.append(" ".join(words))
    elif kind == "state":
        proxy, key, revision, value = words
        history.states.setdefault(int(proxy), {})[key] = Held(int(revision), value)
    elif kind == "unreadable":
        history.unreadable.append(int(words[0]))
    elif kind == "watcher":
        number, *counts = map(int, words)
        history.watchers[number] = Counts(*counts)
    elif kind == "held":
        watcher, key, revision, value = words
        history.held.setdefault(int(watcher), {})[key] = Held(int(revision), value)
    elif kind == "end":
        history.ended = True
    else:
        raise ValueError(f"not a line of a history: {line!r:.200}")


def load(path, partitions, splits=None):
    history = History(partitions, splits)
    with open(path) as lines:
        for line in lines:
            if line.endswith("\n"):  # else the recorder was killed while it wrote the line
                add(history, line)
    return history
