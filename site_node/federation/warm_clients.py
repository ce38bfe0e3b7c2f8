"""Flower's SuperExec with one thing changed: its ClientApps are born warm.

Flower starts a new Python for each order and imports itself and our code in it: a second of
processor time, every round, before the first question is asked. Here one process has imported
all that once, has no other thread and holds no secret, and each ClientApp is a fork of it. What a
ClientApp may do is unchanged: a process of its own for each order, ended by its parent's end.

Run as `python -m site_node.federation.warm_clients WORDS…` by our SuperNode, with Flower's words.

Source: design/federation.md §12; flwr 1.41 (`SubprocessExecutor.launch`); Python's
multiprocessing, "Contexts and start methods: forkserver".
"""

from __future__ import annotations

import ctypes
import sys
from multiprocessing import forkserver, get_context

from flwr.supercore.cli import flower_superexec
from flwr.supercore.constant import TaskType
from flwr.supercore.superexec import run_superexec
from flwr.supercore.superexec.executor import ExecutionSpec, LaunchResult, SubprocessExecutor

from compliance.errors import NotReady

PR_SET_NAME = 15
"""A fork would bear the name of its parent (Linux, prctl(2))."""

PROGRAM = "flower-superexec"
MAKER = "get_executor"
"""The one place where Flower 1.41 chooses how its programs are started; a test looks for it."""

IMPORTED = [
    "flwr.supernode.cli",
    "site_node.federation.client_app",
    "site_node.federation.warm_clients",
]


class WarmExecutor(SubprocessExecutor):
    """Starts a ClientApp as a fork of a process that has imported it; all else as Flower does."""

    def __init__(self) -> None:
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(IMPORTED)
        forkserver.ensure_running()

    def launch(self, spec: ExecutionSpec) -> LaunchResult:
        """Start the program that Flower asks for."""
        if spec.task_type is not TaskType.CLIENT_APP:
            return super().launch(spec)
        client = self._context.Process(target=be_client, args=(words_of(spec),), daemon=True)
        try:
            client.start()
        except (OSError, EOFError) as error:  # no memory for a fork, or the process was killed
            return LaunchResult.failed(str(error))
        return LaunchResult.accepted()


def words_of(spec: ExecutionSpec) -> list[str]:
    """The command line that Flower gives to a ClientApp on this machine."""
    words = ["flwr-clientapp", "--runtime-api-address", spec.runtime_api_address]
    words += ["--token", spec.token, "--insecure"]
    return words if spec.parent_pid is None else [*words, "--parent-pid", str(spec.parent_pid)]


def be_client(words: list[str]) -> None:
    """Be Flower's ClientApp, in a process of its own."""
    from flwr.supernode.cli import flwr_clientapp  # only the fork needs it

    ctypes.CDLL(None).prctl(PR_SET_NAME, words[0].encode(), 0, 0, 0)
    sys.argv = words
    flwr_clientapp()


def main(words: list[str]) -> int:
    """Start the SuperExec.

    Raises:
        NotReady: this version of Flower starts its programs elsewhere.
    """
    if not hasattr(run_superexec, MAKER):
        raise NotReady(
            "this version of Flower starts its programs in another place.",
            "Install the locked version (flwr 1.41).",
        )
    setattr(run_superexec, MAKER, lambda *_, **__: WarmExecutor())
    sys.argv = [PROGRAM, *words]
    flower_superexec()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
