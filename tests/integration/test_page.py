"""The status page in a real browser: it renders, follows the cluster without a reload, and asks nobody else."""

import http.server
import json
import threading

import pytest

from tests.harness import browser as browsers, scrape
from tests.harness.cluster import run_program
from tests.harness.clusterfile import proxy, shard
from tests.harness.keyring import Keyring

HOSTILE = "/<img src=x onerror=alert(1)>/"
MANY = 100


@pytest.fixture(scope="module")
def shared(start_shared_cluster):
    return start_shared_cluster(
        [shard("results", "/results/", HOSTILE), shard("rest", "*")],
        [proxy("p1"), proxy("p2", max_clients=7), proxy("a-proxy-with-a-rather-long-name")],
    )


def address(cluster):
    return f"http://{cluster.layout.broker_http}/"


def check(page, origin):
    """No complaint of the browser, and none about contrast or size."""
    assert not page.complaints
    assert not page.faults()
    assert not [url for url in page.requests if not url.startswith((origin, "data:"))]


def row_of(table, name):
    """JavaScript: the words of a table's row."""
    return (
        f"([...document.querySelectorAll('#{table} tbody tr')].map(row => row.innerText)"
        f".find(words => words.includes({json.dumps(name)})) || '')"
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", browsers.WIDTHS)
def test_renders(shared, browser, tmp_path, width, dark):
    page = browser.open(address(shared), browsers.WIDTHS[width], dark)
    page.until("document.querySelector('#health.good')", "the page says that all is well")
    assert "All 5 processes serve" in page.text("#health")
    page.until(f"/\\d+ \\/ 1,024/.test({row_of('proxies', 'p2')})", "descriptors are shown")
    for name in shared.names:
        assert name in page.text("main")
    assert HOSTILE in page.text("#partitions"), "a name from the file is text"
    assert page.evaluate("document.images.length") == 0
    assert page.evaluate("document.cookie") == ""
    label = page.evaluate("document.querySelector('#picture svg').getAttribute('aria-label')")
    assert label == "2 shards linked to 3 proxies"
    assert page.evaluate("document.querySelectorAll('#picture .line').length") >= 3
    page.screenshot(tmp_path / f"page-{width}.png")
    check(page, address(shared))


def test_policy_admits_its_own_script_alone(shared, browser):
    page = browser.open(address(shared))
    page.until("document.querySelector('#health.good')", "the page's own script runs")
    added = "document.body.appendChild(Object.assign(document.createElement('script'), {text: 'window.foreign = 1'}))"
    page.evaluate(f"{added} && 1")
    page.turn()
    assert page.evaluate("typeof foreign") == "undefined"
    assert any("Content Security Policy" in each for each in page.complaints)


def test_follows_what_happens(shared, browser, clones):
    page = browser.open(address(shared))
    page.until("document.querySelector('#health.good')", "the page is there")
    client = clones.join("kvsimple", shared.triple("p2", "kvsimple"))
    with clones.background():
        page.until(f"/1 \\/ 7/.test({row_of('proxies', 'p2')})", "the client is shown")
    for number in range(5):
        client.put(b"/results/k", b"%d" % number)
    with clones.background():
        page.until(f"/\\b5\\b/.test({row_of('partitions', '/results/')})", "its five updates are shown")
        page.until(f"/\\b1 of 3\\b/.test({row_of('partitions', '/results/')})", "the number of mirrors is shown")
    clones.leave(client)
    page.until(f"/0 \\/ 7/.test({row_of('proxies', 'p2')})", "the client is gone from the page")
    assert page.loads == 1, "without a reload"
    check(page, address(shared))


def open_clients(page, name):
    """Clicks the name of a proxy in its table."""
    button = f"[...document.querySelectorAll('#proxies button')].find(each => each.innerText === {json.dumps(name)})"
    page.until(button, "the proxy's row is there")
    page.evaluate(f"{button}.click()")


def test_a_proxys_row_opens_its_clients(shared, browser, clones):
    client = clones.join("kvsimple", shared.triple("p2", "kvsimple"), b"/results/")
    page = browser.open(address(shared))
    with clones.background():
        open_clients(page, "p2")
        page.until("document.querySelectorAll('#clients tbody tr').length === 3", "its three connections are shown")
        assert page.text("#clients-title") == "Clients of p2"
        assert page.text("#clients-note").startswith("3 connections")
        row = page.evaluate(row_of("clients", "kvsimple updates"))
        assert "127.0.0.1:" in row and "/results/" in row
        assert page.evaluate("document.querySelectorAll('#proxies [aria-expanded=true]').length") == 1
        check(page, address(shared))
    clones.leave(client)
    page.until("document.querySelector('#clients').innerText.includes('No client is connected')", "it follows them")
    open_clients(page, "p1")
    page.until("document.querySelector('#clients-title').innerText === 'Clients of p1'", "one list at a time")
    open_clients(page, "p1")
    page.until("document.querySelector('#clients-of').hidden", "the same row closes it")
    assert page.loads == 1, "without a reload"
    check(page, address(shared))


def test_a_proxy_that_does_not_list_its_clients_is_named(start_cluster, browser, tmp_path):
    keys = Keyring(tmp_path)
    cluster = start_cluster([shard("rest", "*")], [proxy("p1")], security=keys.security(ops={"admin": True}))
    page = browser.open(address(cluster))
    open_clients(page, "p1")
    page.until("document.querySelector('#clients-note').innerText.includes('canopy clients')", "it says what to use")
    assert page.evaluate("document.querySelector('#clients').hidden")
    assert not page.faults()


def test_shows_drained_and_lost_processes(start_cluster, browser):
    cluster = start_cluster([shard("rest", "*")], [proxy("p1"), proxy("p2")])
    page = browser.open(address(cluster))
    page.until("document.querySelector('#health.good')", "all is well at first")
    cluster.expect_end("p1")
    asked = run_program("canopy", "--broker", cluster.broker_endpoint, "drain", "p1")
    assert asked.returncode == 0, asked.stderr
    page.until("document.querySelector('#health').innerText.includes('p1 is drained')", "p1 is drained")
    assert page.evaluate("document.querySelectorAll('#picture .box.away').length") == 1
    assert page.evaluate("document.querySelectorAll('#picture .line.gone').length") == 1
    check(page, address(cluster))


def test_a_lost_broker_is_shown_and_found_again(start_cluster, browser):
    cluster = start_cluster([shard("rest", "*")], [proxy("p1")], broker={"supervise": False})
    page = browser.open(address(cluster))
    page.until("document.querySelector('#health.good')", "all is well at first")
    assert page.evaluate("document.querySelector('#lost').hidden")
    cluster.kill_broker()
    page.until("!document.querySelector('#lost').hidden", "the loss is told")
    page.until("/Last seen [1-9]\\d* s ago/.test(document.querySelector('#lost').innerText)", "and since when")
    assert "p1" in page.text("#proxies"), "what was last known stays"
    assert not page.faults()
    cluster.start_broker()
    page.until("document.querySelector('#lost').hidden", "the broker is found again", 20)
    page.until("document.querySelector('#health.good')", "all is well again", 20)
    assert page.loads == 1, "without a reload"
    cluster.wait_ready()


# ---- clusters that would be too large to start, or too strange


def process(name, **fields):
    received = dict.fromkeys(("updates_per_s", "deliveries_per_s", "bytes_per_s", "drops_per_s"), 1234567.8)
    return {
        "name": name, "state": "ready", "fds": 900, "max_fds": 1024, "uptime_ms": 10**9, "silent_ms": 10,
        "updates_total": 10**12, "deliveries_total": 10**12, "delivered_bytes_total": 10**15, "drops_total": 10**9,
        "flush_interval_ms": 12.3, **received, **fields,
    }  # fmt: skip


def large(number):
    revision = {"epoch": 2**24 - 1, "counter": 2**40 - 1}
    proxies = [
        process(f"proxy-{at}", clients=at % 301, max_clients=300, mirrors={"*": revision})
        for at in range(number)
    ]
    part = {"subtree": "*", "state": "serving", "durability": "disk", "revision": revision}
    replicas = [{"shard": "shard-0", "state": "serving"}, {"shard": "shard-1", "state": "following shard-0"}]
    led = {"leader": "shard-0", "epoch": 2**23 - 1, "in_sync": ["shard-0", "shard-1"], "replicas": replicas}
    return {
        "broker": process("broker", version="0.1.0"),
        "shards": [process(f"shard-{at}", proxies=number, partitions=[part]) for at in range(number // 10)],
        "proxies": proxies,
        "partitions": [{**part, **led}] if number else [],
    }


def strange():
    """Names and states that no well-behaved process would announce."""
    status = large(20)
    for each, name in zip(status["proxies"], ["<img src=x onerror=alert(1)>", "constructor", "W" * 63, "__proto__"]):
        each["name"] = name
        each["state"] = name
    status["proxies"][5].update(dict.fromkeys(("fds", "max_fds", "clients", "uptime_ms", "drops_total"), None))
    part = {"subtree": "toString", "state": "failed: " + "x" * 200, "revision": None}
    status["shards"][0]["partitions"] = [part]
    none = {"leader": None, "epoch": None, "in_sync": [], "replicas": [{"shard": "__proto__", "state": part["state"]}]}
    status["partitions"].append({**part, **none})
    return status


@pytest.fixture
def pretender(shared):
    """pretender(status) -> an address where the page's own document is served, and beside it this status and, of each
    proxy, these clients."""
    connection = scrape.http.client.HTTPConnection(shared.layout.broker_http, timeout=5)
    connection.request("GET", "/")
    answer = connection.getresponse()
    headers, document = answer.headers, answer.read()
    connection.close()
    servers = []

    def start(status, clients=()):
        class Handler(http.server.BaseHTTPRequestHandler):
            asked = 0

            def do_GET(self):
                is_page, of_clients = self.path == "/", self.path.startswith("/api/v1/clients/")
                Handler.asked += 1
                status["broker"]["uptime_ms"] = 1000 * Handler.asked
                body = document if is_page else json.dumps(list(clients) if of_clients else status).encode()
                self.send_response(200)
                self.send_header("Content-Type", headers["Content-Type"] if is_page else "application/json")
                self.send_header("Content-Security-Policy", headers["Content-Security-Policy"])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("width", browsers.WIDTHS)
@pytest.mark.parametrize("kind", ["many", "strange", "empty"])
def test_any_cluster_is_readable(pretender, browser, kind, width):
    status = {"many": lambda: large(MANY), "strange": strange, "empty": lambda: large(0)}[kind]()
    origin = pretender(status)
    page = browser.open(origin, browsers.WIDTHS[width])
    page.until("document.querySelectorAll('#tiles li').length === 6", "the page is filled")
    page.until("performance.getEntriesByType('resource').length > 2", "it has been brought up to date")
    assert page.evaluate("document.querySelectorAll('#picture .proxy').length") == len(status["proxies"])
    assert page.evaluate("document.querySelectorAll('#proxies tbody tr').length") == max(len(status["proxies"]), 1)
    assert page.evaluate("document.images.length") == 0
    check(page, origin)


def members(number):
    """Clients of a proxy, the one with most queued in the middle."""
    return [
        {
            "proxy": "proxy-1", "connection": at, "peer": f"192.0.2.{at % 256}:{10000 + at}", "protocol": "native 2, canopy 0.1",
            "name": "<img src=x>" if at % 2 else "", "queued_bytes": 10**6 - abs(number // 2 - at), "missed": at * 10**7,
            "catch_ups": at, "age_ms": 10**8 * at, "subscriptions": ["/" + "w" * 253 + "/"] * (at % 4),
        }
        for at in range(number)
    ]  # fmt: skip


@pytest.mark.parametrize("width", browsers.WIDTHS)
def test_any_list_of_clients_is_readable(pretender, browser, width):
    origin = pretender(large(20), members(345))
    page = browser.open(origin, browsers.WIDTHS[width])
    open_clients(page, "proxy-1")
    page.until("document.querySelectorAll('#clients tbody tr').length === 200", "the first 200 are shown")
    assert page.text("#clients-note") == "200 connections of 345, longest queues first"
    assert page.evaluate("document.querySelector('#clients tbody th').innerText") == "192.0.2.172:10172"
    assert page.evaluate("document.images.length") == 0
    check(page, origin)
