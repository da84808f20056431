"""Each validator accepts a good history and finds the fault of a bad one."""

import pytest

from tests.faults import history, validators
from tests.harness.cluster import BIN

PARTITIONS = ["*", "/a/"]
CHECKER = BIN / "faults-linear"


def revision(counter, epoch=1):
    return (epoch << 40) + counter


def parsed(lines, splits=None):
    made = history.History(PARTITIONS, splits)
    for line in lines:
        history.add(made, line)
    return made


def put(name, key, value, counter, call, returned, condition="-", outcome="ok", fault=0):
    """A line of one write, named WRITER.NUMBER; a value of - deletes."""
    writer, number = name.split(".")
    at = revision(counter) if counter else 0
    kind = "put" if value != "-" else "delete"
    return (
        f"op {writer} {number} {call} {returned} {outcome} {fault} {at} {kind} {key} {condition} {value}"
    )


def seen(time, key, counter, value, epoch=1):
    partition = "/a/" if key.startswith("/a/") else "*"
    return f"seen {time} {partition} {key} {revision(counter, epoch)} {value}"


def state(key, counter, value, proxy=0, epoch=1):
    return f"state {proxy} {key} {revision(counter, epoch)} {value}"


# Two writers and two keys of one partition, a third of another; a refused, an unknown and a conditional write.
GOOD = [
    put("1.1", "/x", "1.1.0", 1, 100, 200),
    seen(190, "/x", 1, "1.1.0"),
    put("2.1", "/x", "2.1.0", 2, 150, 300, revision(1)),
    seen(250, "/x", 2, "2.1.0"),
    put("2.2", "/x", "2.2.0", 2, 310, 330, revision(1), "refused", history.REVISION_MISMATCH),
    put("1.2", "/y", "-", 3, 310, 400),
    put("1.3", "/x", "1.3.0", 0, 410, 500, "-", "unknown", 64),
    seen(520, "/x", 4, "1.3.0"),
    f"op 2 3 600 700 ok 0 {revision(6)} batch /x - 2.3.0 /y - 2.3.1",
    seen(650, "/x", 5, "2.3.0"),
    seen(650, "/y", 6, "2.3.1"),
    put("2.4", "/a/z", "2.4.0", 1, 800, 900),
    seen(850, "/a/z", 1, "2.4.0"),
    f"read 1 905 910 /x {revision(5)} 2.3.0",
    f"hole 950 0 * {revision(3)} {revision(3)}",
    state("/x", 5, "2.3.0"),
    state("/y", 6, "2.3.1"),
    state("/a/z", 1, "2.4.0"),
    "watcher 0 5 1 0 0",
    "end",
]


def without(*words):
    """GOOD without the lines that begin with these words."""
    return [line for line in GOOD if not line.startswith(words)]


def before_end(*lines):
    return GOOD[:-1] + list(lines) + ["end"]


def findings(lines, splits=None):
    found, _ = validators.validate(parsed(lines, splits), CHECKER)
    return {name: each for name, each in found.items() if each}


@pytest.fixture(autouse=True)
def checker():
    if not CHECKER.exists():
        pytest.skip(f"no {CHECKER}: ninja -C build faults-programs")


def test_a_good_history():
    assert findings(GOOD) == {}


BAD = {
    "cut off": (without("end"), "recorded"),
    "a breach of the recorder": (before_end("breach 1 7 /x 5 received twice"), "recorded"),
    "applied twice": (before_end(seen(960, "/y", 7, "1.1.0")), "applied_once"),
    "two values of one revision": (before_end(seen(960, "/x", 6, "1.1.0")), "applied_once"),
    "acknowledged as another revision": (
        before_end(put("3.1", "/x", "3.1.0", 5, 920, 930)),
        "applied_once",
    ),
    "a refused write is received": (before_end(seen(960, "/x", 7, "2.2.0")), "refused_never_shows"),
    "a refused write is held": (
        without("state 0 /x") + [state("/x", 7, "2.2.0")],
        "refused_never_shows",
    ),
    "no client wrote it": (before_end(seen(960, "/x", 7, "9.9.9")), "refused_never_shows"),
    "received before it was written": (before_end(seen(99, "/x", 1, "1.1.0")), "refused_never_shows"),
    "a key is lost": (without("state 0 /y"), "nothing_lost"),
    "an older value is back": (
        without("state 0 /x") + [state("/x", 2, "2.1.0")],
        "nothing_lost",
    ),
    "a deleted key is back": (
        before_end(put("1.4", "/y", "-", 7, 920, 930), seen(925, "/y", 7, "-")),
        "nothing_lost",
    ),
    "a key is missing without a deletion": (
        before_end(seen(960, "/y", 7, "-"), put("1.4", "/y", "1.4.0", 8, 970, 980)),
        "nothing_lost",
    ),
    "a proxy differs": (
        before_end(state("/x", 5, "2.3.0", proxy=1), state("/y", 6, "2.3.1", proxy=1)),
        "all_agree",
    ),
    "a proxy cannot be read": (before_end("unreadable 1"), "all_agree"),
    "a watcher differs": (before_end(f"held 3 /x {revision(4)} 1.3.0"), "all_agree"),
    "a watcher did not receive a value": (
        before_end(f"hole 960 4 * {revision(2)} {revision(3)}"),
        "nothing_left_out",
    ),
    "no client received a revision": (
        before_end(f"hole 960 4 * {revision(8)} {revision(9)}"),
        "nothing_left_out",
    ),
    "a later write has a lower revision": (
        before_end(put("1.4", "/y", "1.4.0", 9, 920, 930), put("1.5", "/y", "1.5.0", 8, 940, 950)),
        "in_real_time",
    ),
    "a condition was not heeded": (
        before_end(put("1.4", "/y", "1.4.0", 7, 920, 930, revision(3)), state("/y", 7, "1.4.0")),
        "linearizable",
    ),
    "a condition was refused for no reason": (
        before_end(put("1.4", "/x", "1.4.0", 2, 920, 930, revision(5), "refused", 10)),
        "linearizable",
    ),
    "an acknowledged value was not met": (
        before_end(put("1.4", "/x", "1.4.0", 0, 920, 930, revision(5), "refused", 10)),
        "linearizable",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_history(what):
    lines, validator = BAD[what]
    assert validator in findings(lines), findings(lines)


def test_an_unknown_one_may_have_been_applied_or_not():
    never = [line for line in GOOD if "1.3.0" not in line or line.startswith("op")]
    assert "nothing_lost" not in findings(never) and "linearizable" not in findings(never)
    late = without("state 0 /x") + [state("/x", 7, "1.3.0")]
    late = [line for line in late if not line.startswith("seen 520")]
    assert findings(late) == {}, "it replaced the later acknowledged value"


def test_an_unknown_deletion_may_be_why_a_key_is_gone():
    deleted = put("1.4", "/y", "-", 0, 920, 930, "-", "unknown", 64)
    assert findings([*without("state 0 /y"), deleted]) == {}


def test_a_partition_may_share_revisions_with_what_is_split_off_it():
    split = {"*": "/a/"}
    of_the_other = without("state 0 /a/z", "end") + [
        put("1.4", "/a/z", "1.4.0", 9, 920, 930),
        f"hole 960 4 * {revision(9)} {revision(9)}",
        state("/a/z", 9, "1.4.0"),
        "end",
    ]
    assert findings(of_the_other, split) == {}
    assert findings(of_the_other).keys() == {"nothing_left_out"}
    entry = before_end(f"hole 960 4 * {revision(8)} {revision(8)}")
    assert findings(entry, split) == {}, "the entry of the split"
    two = before_end(f"hole 960 4 * {revision(8)} {revision(9)}")
    assert findings(two, split).keys() == {"nothing_left_out"}


def test_lines_that_are_none():
    with pytest.raises(ValueError, match="not a line"):
        parsed(["something else"])


def test_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "history"
    path.write_text("\n".join(GOOD[:3]) + "\nop 1 2 3")
    assert len(history.load(path, PARTITIONS).operations) == 2


def test_ten_thousand_operations_are_checked_within_seconds():
    lines, states = [], {}
    for i in range(1, 10_001):
        key, time = f"/k{i % 50}", i * 100
        value = f"{i % 40}.{i}.0"
        lines.append(put(f"{i % 40}.{i}", key, value, i, time - 2000, time + 2000))
        lines.append(seen(time + 1900, key, i, value))
        states[key] = state(key, i, value)
    good = [*lines, *states.values(), "end"]
    assert findings(good) == {}
    lost = [line for line in good if line not in (states["/k7"],)]
    assert findings([state("/k7", 9_907, "27.9907.0"), *lost]).keys() == {
        "nothing_lost",
        "linearizable",
    }
