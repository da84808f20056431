"""A headless Chromium, spoken to over its DevTools protocol on a pair of pipes: no port, no driver, no library."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time

from tests.harness.cluster import die_with_parent
from tests.harness.waiting import eventually, seconds

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
WIDTHS = {"desktop": 1280, "phone": 390}


def find():
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One process for many pages. Only what its pages ask for goes over the network."""

    def __init__(self, directory):
        ours, theirs = zip(os.pipe(), os.pipe()[::-1])  # (read, write) of each side
        self._answers, self._requests = ours
        # 3 and 4 are what it reads and writes; both must be free of each other first.
        read, write = (fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (theirs[1], theirs[0]))
        options = [
            "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--no-first-run",
            f"--user-data-dir={directory}", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "-c", 'exec "$@" 3<&"$0" 4>&"$WRITE"', str(read), find(), *options],
            env={**os.environ, "WRITE": str(write), "HOME": str(directory)},
            pass_fds=(read, write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=open(f"{directory}/chromium.log", "wb"),
            preexec_fn=die_with_parent,
        )
        for each in (read, write, *theirs):
            os.close(each)
        self._number = 0
        self._received = b""
        self._replies = {}
        self._pages = {}

    def open(self, url, width=WIDTHS["desktop"], dark=False):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        page.start(url, width, dark)
        return page

    def call(self, method, session=None, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds(30)
        number = self._number
        while number not in self._replies:
            self.read(deadline - time.monotonic())
            assert time.monotonic() < deadline, f"Chromium does not answer {method}"
        reply = self._replies.pop(number)
        assert "error" not in reply, f"{method}: {reply['error']}"
        return reply["result"]

    def read(self, timeout):
        """Takes in what has come, or comes within `timeout` seconds."""
        if not select.select([self._answers], [], [], max(timeout, 0))[0]:
            return
        piece = os.read(self._answers, 1 << 20)
        assert piece, "Chromium is gone"
        *whole, self._received = (self._received + piece).split(b"\0")
        for each in whole:
            message = json.loads(each)
            if "id" in message:
                self._replies[message["id"]] = message
            elif page := self._pages.get(message.get("sessionId")):
                page.note(message["method"], message["params"])

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._answers)
        os.close(self._requests)


class Page:
    """What it asked for is in `requests`, what the console complained of in `complaints`."""

    def __init__(self, browser, session):
        self.browser, self.session = browser, session
        self.requests, self.complaints = [], []
        self.loads = 0

    def start(self, url, width, dark):
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width)
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self.call("Page.navigate", url=url)
        eventually(lambda: self.turn() or self.loads, f"{url} is loaded", 20)

    def resize(self, width):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def turn(self):
        self.browser.read(0.02)

    def note(self, method, parameters):
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.loadEventFired":
            self.loads += 1
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.complaints.append(str(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            entry = parameters["entry"]
            self.complaints.append(f"{entry['text']} ({entry.get('url')})")

    def evaluate(self, expression):
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def until(self, expression, what, timeout=15):
        return eventually(lambda: self.evaluate(f"!!({expression})"), what, timeout, turn=self.turn)

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def screenshot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def faults(self):
        """What a reader would stumble over, as phrases: see LAYOUT."""
        return self.evaluate(LAYOUT)


# Looks at every text on the page: whether it is wider than the page or the box around it, meets another text of its
# picture, or has less contrast than WCAG AA asks for (4.5, or 3 for large text).
LAYOUT = r"""
(() => {
  const faults = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push(`the page is ${root.scrollWidth} wide`);
  const channels = colour => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const groundOf = element => {
    const box = element.closest('.box');
    if (box) return channels(getComputedStyle(box.querySelector('.body')).fill);
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.5) return colour;
    }
    return [255, 255, 255];
  };
  const shown = element => element.checkVisibility() && element.getClientRects().length && !element.closest('.unseen, title');
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pictures = new Map();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || ['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(element.tagName) || !shown(element)) continue;
    const words = JSON.stringify(node.data.trim().slice(0, 40));
    const range = document.createRange();
    range.selectNodeContents(node);
    const place = range.getBoundingClientRect();
    const style = getComputedStyle(element);
    const svg = element.closest('svg');
    const around = (svg || element.closest('td, th, li, p, h1, h2, h3, dd, dt, pre, body')).getBoundingClientRect();
    if (place.left < around.left - 1 || place.right > around.right + 1 || place.bottom > around.bottom + 1 && svg) {
      faults.push(`${words} leaves its box`);
    }
    const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.7 && style.fontWeight >= 700;
    const contrast = ratio(channels(svg ? style.fill : style.color), groundOf(element));
    if (contrast < (large ? 3 : 4.5)) faults.push(`${words} has a contrast of ${contrast.toFixed(1)}`);
    if (parseFloat(style.fontSize) < 11 && !svg) faults.push(`${words} is ${style.fontSize} high`);
    if (!svg) continue;
    const others = pictures.get(svg) || pictures.set(svg, []).get(svg);
    const meets = other => place.left < other.right - 1 && other.left < place.right - 1
      && place.top < other.bottom - 3 && other.top < place.bottom - 3;
    if (others.some(meets)) faults.push(`${words} covers another text`);
    others.push(place);
  }
  return faults;
})()
"""
