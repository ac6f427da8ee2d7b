"""A headless Chromium for tests of pages, driven over its DevTools pipe: no window, no network, no further package."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """A running Chromium with one page."""

    def __init__(self, profile: Path) -> None:
        command = [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        (theirs_in, self._out), (self._in, theirs_out) = os.pipe(), os.pipe()
        # Chromium reads from descriptor 3 and writes to 4; numbers above those keep one dup2 from hitting the other.
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]

        def connect() -> None:
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._process = subprocess.Popen(
            command,
            close_fds=False,
            preexec_fn=connect,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs_in, theirs_out, *high):
            os.close(end)
        self._buffer = b""
        self._count = 0
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = next(t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attach = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attach["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result; events that come meanwhile are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._count:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def wait_for(self, event: str) -> None:
        """Wait until the page has told of an event."""
        while not any(known.get("method") == event for known in self.events):
            self.events.append(self._read())

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], 60)[0]:
                raise TimeoutError("Chromium has not answered for a minute")
            read = os.read(self._in, 1 << 20)
            if not read:
                raise RuntimeError("Chromium ended")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@dataclass(frozen=True)
class BrowserResult:
    """A page as the browser shows it.

    Attributes:
        errors: What went wrong while it loaded: exceptions, console errors, refused or failed requests.
        requests: Addresses that it asked for, itself left out; data: and blob: addresses too.
        figures: Width and height in CSS pixels of the box around what each drawing of the page draws; 0 if nothing.
    """

    browser: Browser = field(repr=False)
    errors: list[str]
    requests: list[str]
    figures: list[tuple[float, float]]

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = self.browser.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def column(self, table: int, column: int) -> list[str]:
        """Return the texts of a column of a table's body, from top to bottom."""
        return self.evaluate(
            f"[...document.querySelectorAll('table')[{table}].tBodies[0].rows].map(r => r.cells[{column}].innerText)"
        )

    def click(self, selector: str) -> None:
        """Click in the middle of an element, with the mouse."""
        middle = f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{block: "center", behavior: "instant"}});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
        x, y = self.evaluate(middle)
        for kind in ("mousePressed", "mouseReleased"):
            self.browser.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, selector: str, key: str) -> None:
        """Focus an element and press a key, for example ``Enter``."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        text = {"Enter": "\r"}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            self.browser.send(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text, windowsVirtualKeyCode=13
            )

    def screenshot(self, path: Path) -> None:
        """Write a picture of the whole page as PNG."""
        picture = self.browser.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))


FIGURES = """[...document.querySelectorAll('main svg')].map(svg => {
    const drawn = [...svg.querySelectorAll('path, use, text, image')].slice(1)
        .filter(element => !element.closest('defs')).map(element => element.getBoundingClientRect());
    const extent = (low, high) => Math.max(...drawn.map(box => box[high])) - Math.min(...drawn.map(box => box[low]));
    return drawn.length ? [extent('left', 'right'), extent('top', 'bottom')] : [0, 0];
})"""
"""The first path is the background."""


def _load(browser: Browser, path: Path, width: int, height: int, dark: bool) -> BrowserResult:
    browser.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.send("Emulation.setEmulatedMedia", features=[scheme])
    browser.events.clear()
    address = path.resolve().as_uri()
    browser.send("Page.navigate", url=address)
    browser.wait_for("Page.loadEventFired")
    result = BrowserResult(browser, [], [], [])
    result.figures.extend((width, height) for width, height in result.evaluate(FIGURES))
    for event in browser.events:
        method, facts = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            result.errors.append(facts["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif method == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            result.errors.append(str([argument.get("value") for argument in facts["args"]]))
        elif method == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            result.errors.append(facts["entry"]["text"])
        elif method == "Network.requestWillBeSent" and facts["request"]["url"] != address:
            result.requests.append(facts["request"]["url"])
    return result


@pytest.fixture(scope="session")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def open_in_browser(_browser: Browser) -> Callable[..., BrowserResult]:
    """Return a function of a page's path (and ``width``, ``height``, ``dark``) that opens it in headless Chromium."""

    def open_page(path: Path, *, width: int = 1200, height: int = 900, dark: bool = False) -> BrowserResult:
        return _load(_browser, path, width, height, dark)

    return open_page
