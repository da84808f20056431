"""The guarantees that a history must fulfil, one function each: it yields its findings as text. Pure, except
linearizable(), which runs the checker."""

import bisect
import subprocess
from collections import defaultdict

from tests.faults.history import REVISION_MISMATCH


def shown(key, revision, value):
    epoch, counter = revision >> 40, revision & (1 << 40) - 1
    return f"{key} = {value} at {epoch}:{counter}"


class Known:
    """The revisions and values of a history."""

    def __init__(self, history):
        self.history = history
        self.contents = defaultdict(set)  # (partition, revision) -> {(key, value)}
        self.first_seen = {}  # value -> when a watcher or reader first received it
        self.writer_of = {}  # value -> Operation
        self.top = {}  # key -> (revision, value): the last acknowledged or published one
        for operation in history.operations:
            for write in operation.writes:
                if write.value is not None:
                    self.writer_of[write.value] = operation
                if operation.outcome == "ok":
                    self._add(write.key, write.revision, write.value)
        for seen in history.seen:
            if seen.value is not None:
                self._add(seen.key, seen.revision, seen.value)
            self._at_least(seen.key, seen.revision, seen.value)
            self._saw(seen.value, seen.time)
        for read in history.reads:
            self._saw(read.value, read.returned)

    def _add(self, key, revision, value):
        self.contents[self.history.partition_of(key), revision].add((key, value))
        self._at_least(key, revision, value)

    def _at_least(self, key, revision, value):
        self.top[key] = max(self.top.get(key, (0, None)), (revision, value), key=lambda at: at[0])

    def _saw(self, value, time):
        if value is not None:
            self.first_seen[value] = min(time, self.first_seen.get(value, time))

    def value_at(self, key, revision):
        """[value] of the key at a revision, or [] if it is unknown."""
        contents = self.contents.get((self.history.partition_of(key), revision), ())
        return [value for at, value in contents if at == key]

    def happened(self, operation):
        """When a client first received the result of an operation of unknown outcome, or None."""
        times = [self.first_seen.get(write.value) for write in operation.writes]
        return min((time for time in times if time is not None), default=None)

    def everything_shown(self):
        """(where, key, revision, value) of every value that a client received."""
        history = self.history
        for seen in history.seen:
            yield "a watcher received", seen.key, seen.revision, seen.value
        for read in history.reads:
            yield "a reader received", read.key, read.revision, read.value
        for proxy, state in history.states.items():
            for key, held in state.items():
                yield f"proxy {proxy} holds", key, *held
        for watcher, state in history.held.items():
            for key, held in state.items():
                yield f"watcher {watcher} holds", key, *held


def recorded(known):
    """The recorder has ended and has reported no breach."""
    if not known.history.ended:
        yield "the history has no end"
    if not any(each.outcome == "ok" for each in known.history.operations):
        yield "nothing was acknowledged"
    for breach in known.history.breaches:
        yield f"a watcher: {breach}"


def applied_once(known):
    """No value has two revisions, and no revision two values."""
    revisions = defaultdict(set)
    for (partition, revision), contents in known.contents.items():
        if len(contents) > 1:
            listed = " and ".join(str(shown(key, revision, value)) for key, value in contents)
            yield f"one revision of {partition} has: {listed}"
        for _, value in contents:
            if value is not None:
                revisions[value].add(revision)
    for where, key, revision, value in known.everything_shown():
        if value is not None and revision not in revisions[value]:
            if revisions[value]:
                yield f"{where} {shown(key, revision, value)}, which was elsewhere: {revisions[value]}"
            revisions[value].add(revision)
    for value, found in revisions.items():
        if len(found) > 1:
            yield f"{value} was applied at {len(found)} revisions: {sorted(found)}"


def refused_never_shows(known):
    """No client receives a refused or unwritten value, or a value before it is written."""
    for where, key, revision, value in known.everything_shown():
        if value is None:
            continue
        operation = known.writer_of.get(value)
        if operation is None:
            # Its result may not have been recorded yet when the recorder was stopped.
            if known.history.ended:
                yield f"{where} {shown(key, revision, value)}, which no client wrote"
        elif operation.outcome == "refused":
            yield f"{where} {shown(key, revision, value)}, which was refused ({operation.fault})"
        elif known.first_seen.get(value, operation.call) < operation.call:
            yield f"{where} {shown(key, revision, value)} before it was written"


def deleted_by_nobody(known, may_delete):
    """Deletions that watchers received but no client requested."""
    revisions = defaultdict(lambda: [0])  # key -> of everything that is known to be written
    contents = defaultdict(dict)  # key -> {revision: value}
    for (_, revision), written in known.contents.items():
        for key, value in written:
            revisions[key].append(revision)
            contents[key][revision] = value
    for found in revisions.values():
        found.sort()
    for seen in known.history.seen:
        if seen.value is not None or seen.key in may_delete:
            continue
        # The last revision before: it is the deletion, or the deleted value.
        before = revisions[seen.key][bisect.bisect_right(revisions[seen.key], seen.revision) - 1]
        value = contents[seen.key].get(before)
        if value is not None:
            yield (
                f"{shown(seen.key, before, value)} was acknowledged or published; no client deleted it, "
                f"and it was deleted by {seen.revision >> 40}:{seen.revision & (1 << 40) - 1}"
            )


def nothing_lost(known):
    """The last acknowledged or published value of a key is its state, unless an operation of unknown
    outcome replaced it. A missing key has been deleted."""
    history = known.history
    may_delete = {
        write.key
        for operation in history.operations
        if operation.outcome == "unknown"
        for write in operation.writes
        if write.value is None
    }
    yield from deleted_by_nobody(known, may_delete)
    for proxy, state in history.states.items():
        for key, (revision, value) in known.top.items():
            held = state.get(key)
            expected = f"{shown(key, revision, value)} was acknowledged or published"
            if held is None:
                if value is not None and key not in may_delete:
                    yield f"{expected}; proxy {proxy} has no such key"
            elif held.revision < revision:
                yield f"{expected}; proxy {proxy} has {shown(key, *held)}"
            elif held.revision == revision and held.value != value:
                yield f"{expected}; proxy {proxy} has {shown(key, *held)}"
            elif held.revision > revision:
                operation = known.writer_of.get(held.value)
                if operation is not None and operation.outcome != "unknown":
                    yield f"{expected}; proxy {proxy} has {shown(key, *held)}, which no client received"


def all_agree(known):
    """All proxies and watchers end with the same state."""
    history = known.history
    for proxy in history.unreadable:
        yield f"proxy {proxy} cannot be read"
    states = dict(history.states)
    first = states.get(0, {})
    for name, state in [(f"proxy {proxy}", state) for proxy, state in states.items()] + [
        (f"watcher {watcher}", state) for watcher, state in history.held.items()
    ]:
        different = {
            key for key in first.keys() | state.keys() if first.get(key) != state.get(key)
        }
        if different:
            key = min(different)
            yield f"{name} differs in {len(different)} keys: {key} {state.get(key)} {first.get(key)}"


def nothing_left_out(known):
    """A live watcher receives every revision, except deletions of missing keys."""
    history = known.history
    unknown_deletes = any(
        write.value is None
        for operation in history.operations
        if operation.outcome == "unknown"
        for write in operation.writes
    )
    unexplained = defaultdict(dict)  # the first of a family -> {revision: Hole}
    for hole in history.holes:
        family = history.family_of(hole.partition)
        for revision in range(hole.first, hole.last + 1):
            contents = known.contents.get((hole.partition, revision), ())
            if any(value is not None for _, value in contents):
                what = [shown(key, revision, value) for key, value in contents]
                yield f"watcher {hole.watcher} did not receive {what}"
            elif not any(known.contents.get((each, revision)) for each in family):
                unexplained[family[0]][revision] = hole
    for first, holes in unexplained.items():
        # The entry that splits a partition has a revision and reaches no client.
        splits = len(history.family_of(first)) - 1
        if len(holes) <= splits or unknown_deletes:
            continue
        for revision, hole in holes.items():
            yield f"watcher {hole.watcher}: no client received revision {revision} of {hole.partition}"


def in_real_time(known):
    """An operation that begins after another has ended has the greater revision."""
    history = known.history
    ended, began = defaultdict(list), defaultdict(list)  # by partition: (time, revision)
    for operation in history.operations:
        if operation.outcome == "ok":
            partition = history.partition_of(operation.writes[0].key)
            first = operation.writes[0].revision
            began[partition].append((operation.call, first, operation))
            ended[partition].append((operation.returned, operation.revision))
    for seen in history.seen:
        ended[seen.partition].append((seen.time, seen.revision))
    for partition, starts in began.items():
        ends, at, highest = sorted(ended[partition]), 0, 0
        for call, revision, operation in sorted(starts, key=lambda each: each[0]):
            while at < len(ends) and ends[at][0] < call:
                highest = max(highest, ends[at][1])
                at += 1
            if revision <= highest:
                before = shown("a write", highest, "…")
                yield f"{operation.name} has {revision}, not above {before} that had ended before"


# -- linearizability -----------------------------------------------------------------------------


def register_lines(known):
    """The operations on each key, in the format of linear_main.cc."""
    numbers = {None: 0}
    history = known.history

    def number(value):
        return numbers.setdefault(value, len(numbers))

    def line(key, call, returned, kind, expected, value, hint):
        return f"{key} {call} {returned} {kind} {expected} {value} {hint}"

    def met(key, call, returned, revision):
        values = [None] if revision == 0 else known.value_at(key, revision)
        if values:
            yield line(key, call, returned, "is", number(values[0]), 0, 2 * revision + 1)

    for operation in history.operations:
        returned = operation.returned
        if operation.outcome == "refused":
            if operation.fault == REVISION_MISMATCH:
                key = operation.writes[0].key
                yield from met(key, operation.call, returned, operation.revision)
            continue
        if operation.outcome == "unknown":
            happened = known.happened(operation)
            returned = "-" if happened is None else max(happened, operation.call)
        for write in operation.writes:
            kind, expected = "set", 0
            if write.if_revision is not None:
                values = [None]
                if write.if_revision:
                    values = known.value_at(write.key, write.if_revision)
                if values:  # else the expected value is unknown: any value matches
                    kind, expected = "swap", number(values[0])
            yield line(
                write.key, operation.call, returned, kind, expected, number(write.value), 2 * write.revision
            )
    end = max((each.returned for each in history.operations), default=0) + 1
    for key in {write.key for each in history.operations for write in each.writes}:
        for state in history.states.values():
            held = state.get(key)
            value = number(held.value if held else None)
            yield line(key, end, end, "is", value, 0, 0)


def linearizable(known, checker):
    """The operations on each key are linearizable."""
    run = subprocess.run(
        [checker], input="\n".join(register_lines(known)), capture_output=True, text=True
    )
    if run.returncode not in (0, 1):
        yield f"the checker failed: {run.stderr}"
    *found, known.linear_summary = run.stdout.splitlines() or [""]
    yield from found


PURE = [
    recorded,
    applied_once,
    refused_never_shows,
    nothing_lost,
    all_agree,
    nothing_left_out,
    in_real_time,
]


def validate(history, checker):
    """{name of a validator: its findings}"""
    known = Known(history)
    found = {each.__name__: list(each(known)) for each in PURE}
    found["linearizable"] = list(linearizable(known, checker))
    return found, known.linear_summary
