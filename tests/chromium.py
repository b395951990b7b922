"""A real browser for tests: Chromium without a window, driven by its debugging protocol over two pipes."""

import json
import os
import select
import shutil
import subprocess
import time

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")

PATIENCE = 60  # s, of a browser on a machine that is busy

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--remote-debugging-pipe", "--window-size=1200,900"),
)


class Page:
    """One page of one browser."""

    def __init__(self, folder):
        """Start the browser with an empty profile; what it downloads goes to ``folder / "downloads"``."""
        self.downloads = folder / "downloads"
        self.problems = []  # what the page could not load, and errors of its scripts
        self.loaded = []  # kind and bytes of what came
        self._kinds, self._waiting = {}, set()
        self._buffer, self._last = b"", 0
        hears, self._speak = os.pipe()
        self._hear, speaks = os.pipe()
        profile = f"--user-data-dir={folder / 'profile'}"

        def pipes():
            # The browser takes 3 and 4; its ends may have these numbers or each other's.
            ends = os.dup(hears), os.dup(speaks)
            for end, number in zip(ends, (3, 4), strict=True):
                os.dup2(end, number)

        self._process = subprocess.Popen(
            [BROWSER, *_FLAGS, profile, "about:blank"],
            preexec_fn=pipes,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (hears, speaks):
            os.close(end)
        self._session = None
        target = next(one for one in self.send("Target.getTargets")["targetInfos"] if one["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def close(self):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._speak)
        os.close(self._hear)

    def send(self, method, **parameters):
        """Give a command and wait for its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._speak, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._last:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']['message']}")
                return found["result"]
            self._notice(found)

    def _next(self):
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            if not select.select([self._hear], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError(f"{BROWSER} said nothing for {PATIENCE} s.")
            part = os.read(self._hear, 1 << 20)
            if not part:
                raise RuntimeError(f"{BROWSER} has ended.")
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _notice(self, event):
        if event.get("method") == "Runtime.exceptionThrown":
            details = event["params"]["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        if event.get("method", "").startswith("Network."):
            self._notice_load(event["method"].partition(".")[2], event["params"])

    def _notice_load(self, event, told):
        name = told.get("requestId")
        if event == "requestWillBeSent":
            self._kinds[name] = told.get("type", "Other")
            self._waiting.add(name)
            url = told["request"]["url"]
            if not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1")):
                self.problems.append(f"asked for {url}")
        elif event in ("loadingFinished", "loadingFailed"):
            self._waiting.discard(name)
            self.loaded.append((self._kinds.pop(name, "Other"), round(told.get("encodedDataLength", 0))))

    def run(self, script):
        """Value of an expression in the page."""
        found = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", script))
        return found["result"].get("value")

    def until(self, script):
        """Wait for an expression to be true."""
        end = time.monotonic() + PATIENCE
        while not self.run(f"Boolean({script})"):
            if time.monotonic() > end:
                raise TimeoutError(f"Never true: {script}\n{self.run('document.body.innerText')}")
            time.sleep(0.02)

    def quiet(self, seconds):
        """Wait until nothing was asked for during so many seconds."""
        end, since, before = time.monotonic() + PATIENCE, time.monotonic(), None
        while time.monotonic() - since < seconds:
            if time.monotonic() > end:
                raise TimeoutError(f"Never quiet; waiting for {len(self._waiting)} files.")
            self.run("0")  # hears what has happened
            now = len(self.loaded), len(self._waiting)
            if now != before or self._waiting:
                since, before = time.monotonic(), now
            time.sleep(0.02)

    def open(self, address):
        """Load a page from the start."""
        self.send("Page.navigate", url="about:blank")
        self._waiting.clear()
        self.send("Page.navigate", url=address)
        self.until(f"location.href === {json.dumps(address)} && document.readyState === 'complete'")

    def size(self, width, height=900, dark=False, medium=""):
        """Set the size of the window, the colours asked for, and the medium (``print``)."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=medium, features=[scheme])

    def type(self, text):
        self.send("Input.insertText", text=text)

    def key(self, name, code):
        """Press a key, such as ``Tab`` (9) or ``Enter`` (13)."""
        text = {"Enter": "\r"}.get(name, "")
        shared = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **shared)
        self.send("Input.dispatchKeyEvent", type="keyUp", **shared)

    def downloaded(self, name):
        """Text of a file that the page let one download, once it is there."""
        end = time.monotonic() + PATIENCE
        path = self.downloads / name
        while not path.exists() or list(self.downloads.glob("*.crdownload")):
            if time.monotonic() > end:
                raise TimeoutError(f"{name} never came.")
            time.sleep(0.02)
        return path.read_bytes().decode()
