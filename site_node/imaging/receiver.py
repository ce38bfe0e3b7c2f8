"""Keeps the receiver of images running while the site serves; it knows no DICOM itself.

A receiver that ended is started again, not more often than every ten seconds. It ends with the
site: it watches a pipe.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable

from site_node.settings import Settings, process_environment

ENDING_SECONDS = 12
AGAIN_AFTER_SECONDS = 10.0


class Receiver:
    """Starts and ends the receiver of one site.

    Args:
        settings: the site's settings; without `scp_allow` nothing is ever started.
        clock: seconds that only grow.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._process: subprocess.Popen[bytes] | None = None
        self._started: float | None = None

    def tend(self, *, needed: bool) -> None:
        """Start it when it is needed and not there."""
        if needed and self._settings.scp_allow and not self.running() and self._may_start():
            self._start()

    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it; calling it twice does no harm."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=ENDING_SECONDS)

    def _may_start(self) -> bool:
        return self._started is None or self._clock() - self._started >= AGAIN_AFTER_SECONDS

    def _start(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._started = self._clock()
        self._process = subprocess.Popen(  # noqa: S603 - our own module, argument list, no shell
            [sys.executable, "-m", "site_node.imaging.scp", str(self._settings.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=process_environment(),
            start_new_session=True,
        )
