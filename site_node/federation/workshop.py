"""The workshop: keeps the warm worker alive while a study needs it, and only then.

A worker that crashed is started again with the next look; a job meanwhile waits for it. It ends
with the site: the keeper between them watches a pipe.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Mapping

from site_node.federation.surroundings import child_environment
from site_node.settings import Settings, process_environment
from site_node.training.work import SOCKET

ENDING_SECONDS = 12


class Workshop:
    """Starts and ends the warm worker of one site.

    Args:
        settings: the site's settings: home, memory, threads.
        environment: of this process; the child gets a closed list of it.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._variables = process_environment() if environment is None else environment
        self._keeper: subprocess.Popen[bytes] | None = None

    def tend(self, *, needed: bool) -> None:
        """Start the worker when it is needed and not there, end it when it is needed no more."""
        if needed and not self.running():
            self._start()
        elif not needed and self.running():
            self.stop()

    def running(self) -> bool:
        """Whether the worker's keeper lives."""
        return self._keeper is not None and self._keeper.poll() is None

    def stop(self) -> None:
        """End the worker; calling it twice does no harm."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        if keeper.stdin is not None:
            keeper.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            keeper.wait(timeout=ENDING_SECONDS)
        (self._settings.home / "run" / SOCKET).unlink(missing_ok=True)

    def _start(self) -> None:
        path = self._settings.home / "run" / SOCKET
        log = self._settings.home / "flower" / "worker.log"
        environment = child_environment(self._variables, self._settings)
        command = [
            *(sys.executable, "-m", "site_node.federation.keeper"),
            *(sys.executable, "-m", "site_node.training.confined"),
            *(str(path), str(self._settings.memory_mb), str(self._settings.threads)),
        ]
        with log.open("ab") as out:
            self._keeper = subprocess.Popen(  # noqa: S603 - our own program, argument list, no shell
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                env=environment,
                start_new_session=True,
            )
