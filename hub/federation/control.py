"""What the hub asks of Flower's Control API: register nodes, start runs. Nobody else reaches it.

Source: design/federation.md §2.1; each command line is tested against the locked flwr.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from hub.federation.bundle import APP
from hub.federation.commands import ask_flower
from hub.federation.superlink import CONNECTION


class Control:
    """Speaks to one SuperLink through Flower's own commands.

    Args:
        environment: returns the variables by which `flwr` finds the SuperLink.
    """

    def __init__(self, environment: Callable[[], Mapping[str, str]]) -> None:
        self._environment = environment

    def register_node(self, public: str) -> str:
        """Register a node's key and return its node id, a decimal number as text.

        Args:
            public: EC P-384 public key, OpenSSH text.

        Raises:
            NotReady: Flower refused, for example because it knows the key already.
        """
        with tempfile.TemporaryDirectory(prefix="consilium-key-") as name:
            path = Path(name) / "node.pub"
            path.write_text(public.strip() + "\n", encoding="ascii")
            told = ask_flower(["supernode", "register", str(path), CONNECTION], self._environment())
        return str(told["node-id"])

    def start_run(self, study: str) -> str:
        """Start the ServerApp of a study and return Flower's run id.

        Raises:
            NotReady: Flower refused.
        """
        words = ["run", APP, CONNECTION, "--run-config", f'study="{study}"']
        return str(ask_flower(words, self._environment())["run-id"])
