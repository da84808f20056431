"""A partition that reaches `max_state_bytes`, or the end of the disk, refuses what would make it
larger and serves everything else; it goes on by itself when there is room."""

import pytest

from tests.harness import native
from tests.harness.clusterfile import partition, proxy, shard
from tests.harness.smalldisk import mounted, mounted_image, remount
from tests.harness.waiting import eventually

VALUE = b"x" * 20_000
SYNCS = ({"sync": "always"}, {"sync": "interval", "sync_interval_ms": 50})


def start(start_cluster, *parts, **settings):
    return start_cluster(
        [shard("s1", *parts), shard("rest", "*")],
        [proxy("p1", ["native", "kvmsg"]), proxy("p2", ["native"])],
        **settings,
    )


@pytest.fixture
def open_writer(context):
    made = []

    def make(cluster, name="p1"):
        made.append(native.Writer(context, cluster.native(name)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def fill(writer, prefix=b"/full/", limit=400):
    """How many values fit, each under a key of its own; the next one is refused."""
    for count in range(limit):
        try:
            writer.put(prefix + b"%d" % count, VALUE)
        except native.Refused as refused:
            assert refused.fault == "full", refused
            return count
    raise AssertionError(f"{limit} values of {len(VALUE)} bytes are taken")


def is_refused(writer, key, value):
    try:
        writer.put(key, value)
    except native.Refused as refused:
        assert refused.fault == "full", refused
        return True
    return False


def full_gauge(cluster):
    return cluster.metrics("s1").sum("canopy_partition_full", partition="/full/")


def read(context, cluster, proxy_name, subtree):
    requests = native.Requests(context, cluster.native(proxy_name))
    chunks = requests.read(subtree)
    requests.close()
    return {entry.key: entry.value for chunk in chunks for entry in chunk.entries}


def check_says_so(cluster):
    eventually(lambda: full_gauge(cluster) == 1, "the gauge says so")
    eventually(lambda: cluster.readyz("s1")[0] == 503, "and /readyz does")
    status, body = cluster.readyz("s1")
    assert status == 503 and "/full/" in body and "full: " in body, body
    eventually(lambda: cluster.partition("s1", "/full/")["state"].startswith("full: "), "the broker")
    status, body = cluster.readyz("broker")
    assert status == 503 and "/full/" in body, body


def check_goes_on(cluster):
    eventually(lambda: full_gauge(cluster) == 0, "there is room again", 15)
    eventually(lambda: cluster.readyz("s1")[0] == 200, "and the shard says so")


def check_full(cluster, context, clones, writer, count, other=b"/other/"):
    """/full/ holds `count` values and no more."""
    pid = cluster.process("s1").pid
    check_says_so(cluster)
    assert is_refused(writer, b"/full/new", VALUE), "again"
    # A fresh proxy gets everything.
    expected = {b"/full/%d" % i: VALUE for i in range(count)}
    assert read(context, cluster, "p2", b"/full/") == expected
    # What does not make it larger is taken, in the midst of what is refused.
    refusals = cluster.metrics("s1").sum("canopy_rejected_total", reason="full")
    clone = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/full/")
    assert clone.map == expected
    for i in range(20):
        clone.put(b"/full/clone/%d" % i, VALUE)
        clone.put(b"/full/0", b"%02d" % i)
    clones.run(lambda: clone.map[b"/full/0"] == b"19", "overwrites are taken")
    eventually(
        lambda: cluster.metrics("s1").sum("canopy_rejected_total", reason="full") > refusals,
        "what Clone clients write in vain is counted",
    )
    clones.leave(clone)
    # The shard's other partitions do not notice.
    writer.put(other + b"1", b"v")
    assert cluster.process("s1").pid == pid


@pytest.mark.parametrize("sync", SYNCS, ids=lambda sync: sync["sync"])
def test_a_partition_that_reaches_its_size(start_cluster, context, clones, open_writer, sync):
    cluster = start(
        start_cluster,
        partition("/full/", durability="disk", max_state_bytes=1 << 20, **sync),
        "/other/",
    )
    writer = open_writer(cluster)
    count = fill(writer)
    assert 30 < count < 53, f"{count} values of 20 kB in 1 MiB"
    check_full(cluster, context, clones, writer, count)
    for i in range(count):
        writer.delete(b"/full/%d" % i)
        if i == 0:
            for key in range(20):
                writer.delete(b"/full/clone/%d" % key)
    assert fill(writer, b"/full/again/") >= count - 1
    check_says_so(cluster)
    for i in range(3):
        writer.delete(b"/full/again/%d" % i)
    check_goes_on(cluster)
    writer.put(b"/full/last", VALUE)


def test_a_writer_that_repeats_what_does_not_fit_is_answered_after_a_restart(
    start_cluster, context, open_writer
):
    cluster = start(
        start_cluster, partition("/full/", durability="disk", max_state_bytes=1 << 20), "/other/"
    )
    writer = open_writer(cluster)
    count = fill(writer)
    before = cluster.process("s1")
    cluster.kill("s1")
    eventually(lambda: cluster.restarted("s1", before), "s1 is back", 15)
    for _ in range(3):
        assert is_refused(writer, b"/full/new", VALUE)
    assert read(context, cluster, "p2", b"/full/").keys() == {
        b"/full/%d" % i for i in range(count)
    }


@pytest.fixture
def small_disk(tmp_path):
    with mounted(tmp_path / "disk", "64m"):
        yield tmp_path / "disk"


def use_up(directory):
    """Leaves not a byte of the file system to anybody."""
    with open(directory / "filler", "ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"f" * size)
            except OSError:
                pass


@pytest.mark.parametrize("sync", SYNCS, ids=lambda sync: sync["sync"])
def test_a_full_disk(small_disk, start_cluster, context, clones, open_writer, sync):
    cluster = start(
        start_cluster,
        partition("/full/", durability="disk", **sync),
        "/other/",
        state_dir=small_disk,
    )
    writer = open_writer(cluster)
    writer.put(b"/full/0", VALUE)
    for i in range(1, 20):
        writer.put(b"/full/%d" % i, VALUE)
    use_up(small_disk)
    count = 20
    while not is_refused(writer, b"/full/%d" % count, VALUE):
        count += 1
        assert count < 400
    check_full(cluster, context, clones, writer, count)
    # Deletions need no byte of the disk.
    for i in range(count):
        writer.delete(b"/full/%d" % i)
    eventually(lambda: read(context, cluster, "p2", b"/full/") == {}, "the other proxy has caught up")
    (small_disk / "filler").unlink()
    check_goes_on(cluster)
    assert not is_refused(writer, b"/full/last", VALUE)
    cluster.stop()
    cluster.start()
    assert read(context, cluster, "p2", b"/full/") == {b"/full/last": VALUE}


def full_again(cluster, before):
    member = cluster.member("s1")
    part = cluster.partition("s1", "/full/")
    return member and member["pid"] != before.pid and part["state"].startswith("full: ")


def test_a_start_on_a_full_disk(small_disk, start_cluster, context, open_writer):
    cluster = start(
        start_cluster, partition("/full/", durability="disk"), "/other/", state_dir=small_disk
    )
    writer = open_writer(cluster)
    for i in range(20):
        writer.put(b"/full/%d" % i, VALUE)
    use_up(small_disk)
    before = cluster.process("s1")
    cluster.kill("s1")
    eventually(lambda: full_again(cluster, before), "s1 is back, and full", 15)
    assert len(read(context, cluster, "p1", b"/full/")) == 20
    assert is_refused(writer, b"/full/new", VALUE)
    for i in range(20):
        writer.delete(b"/full/%d" % i)
    remount(small_disk, "size=128m")
    eventually(lambda: not is_refused(writer, b"/full/last", VALUE), "there is room", 15)


@pytest.fixture
def small_image(tmp_path):
    with mounted_image(tmp_path / "image", 64):
        yield tmp_path / "image"


@pytest.mark.parametrize("sync", SYNCS, ids=lambda sync: sync["sync"])
def test_a_full_disk_that_sets_no_blocks_aside(
    small_image, start_cluster, context, clones, open_writer, sync
):
    """What is taken and finds no room waits for it; the shard serves everything else meanwhile."""
    cluster = start(
        start_cluster,
        partition("/full/", durability="disk", **sync),
        "/other/",
        state_dir=small_image,
    )
    writer = open_writer(cluster)
    for i in range(20):
        writer.put(b"/full/%d" % i, VALUE)
    pid = cluster.process("s1").pid
    clone = clones.join("kvmsg", cluster.triple("p1", "kvmsg"), b"/full/")
    use_up(small_image)
    check_says_so(cluster)
    assert is_refused(writer, b"/full/new", VALUE)
    for i in range(20):
        clone.put(b"/full/%d" % i, b"%02d" % i + VALUE[100:])  # a Clone client adds a uuid
    eventually(
        lambda: "no room to open it" in cluster.log.read_text(), "an overwrite finds no room", 15
    )
    check_says_so(cluster)
    assert is_refused(writer, b"/full/new", VALUE)
    assert len(read(context, cluster, "p2", b"/full/")) == 20
    writer.put(b"/other/1", b"v")
    (small_image / "filler").unlink()
    check_goes_on(cluster)
    expected = {b"/full/%d" % i: b"%02d" % i + VALUE[100:] for i in range(20)}
    clones.agree(expected, [clone])
    assert not is_refused(writer, b"/full/last", VALUE)
    assert cluster.process("s1").pid == pid
    cluster.stop()
    cluster.start()
    assert read(context, cluster, "p2", b"/full/") == {**expected, b"/full/last": VALUE}


def test_a_start_without_any_room(small_image, start_cluster, context, open_writer):
    """The store is not opened, and says so; by the next start with room it is."""
    cluster = start(
        start_cluster, partition("/full/", durability="disk"), "/other/", state_dir=small_image
    )
    writer = open_writer(cluster)
    writer.put(b"/full/0", VALUE)
    cluster.stop()
    use_up(small_image)
    cluster.start(ready=False)
    eventually(
        lambda: "no room to open it" in cluster.readyz("s1")[1], "the shard says what is wrong", 15
    )
    pid = cluster.process("s1").pid
    assert cluster.partition("s1", "/full/")["state"].startswith("failed: ")
    assert cluster.process("s1").pid == pid, "the shard does not restart over and over"
    cluster.stop()
    (small_image / "filler").unlink()
    cluster.start()
    assert read(context, cluster, "p2", b"/full/") == {b"/full/0": VALUE}
