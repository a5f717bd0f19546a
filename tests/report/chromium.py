"""Chromium without a window, driven over its DevTools protocol through a pair of pipes."""

import json
import os
import select
import shutil
import subprocess
import tempfile
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 300  # for one answer; a browser that gives none is a fault, however busy the machine is
_ALONE = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
)


def find_chromium() -> str | None:
    """Return the browser that is installed; None without one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class NoAnswerError(Exception):
    """The browser has ended, or says nothing any more."""


class Chromium:
    """One page of a browser of its own; what it logs and asks the network for is kept.

    Raises NoAnswerError where what is called so is no browser that starts here.
    """

    def __init__(self, path: str) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        script = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'  # DevTools listens at 3 and speaks at 4
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", script, str(theirs_in), str(theirs_out), path, *_ALONE,
             f"--user-data-dir={self._profile.name}", "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": self._profile.name},
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._last = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def send(self, method: str, **params: object) -> dict[str, Any]:
        """Return what the browser answers."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        try:
            os.write(self._out, json.dumps(message).encode() + b"\0")
        except BrokenPipeError as error:
            raise NoAnswerError("Chromium ended") from error
        while True:
            answer = self._receive()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, url: str) -> None:
        """Load *url*, and wait until it is loaded."""
        seen = len(self.events)
        self.send("Page.navigate", url=url)
        while not any(each.get("method") == "Page.loadEventFired" for each in self.events[seen:]):
            self.events.append(self._receive())

    def value(self, expression: str) -> Any:  # noqa: ANN401 - whatever it is
        """Return what a JavaScript *expression* of plain values comes to."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release one key, named as in KeyboardEvent.key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_CODES[key]
            )

    def said(self, *methods: str) -> list[dict[str, Any]]:
        """Return the events of these *methods* so far."""
        return [each["params"] for each in self.events if each.get("method") in methods]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], PATIENCE_S)[0]:
                raise NoAnswerError(f"Chromium said nothing for {PATIENCE_S} s")
            chunk = os.read(self._in, 65536)
            if not chunk:
                raise NoAnswerError("Chromium ended")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


_CODES = {"Tab": 9, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40}
