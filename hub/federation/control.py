"""What the hub asks of Flower's Control API: register nodes, start runs. Nobody else reaches it.

Source: design/federation.md §2.1; each command line is tested against the locked flwr.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hub.federation.bundle import APP
from hub.federation.commands import ask_flower, ask_flower_in_turn
from hub.federation.superlink import CONNECTION


class Control:
    """Speaks to one SuperLink through Flower's own commands.

    Args:
        environment: returns the variables by which `flwr` finds the SuperLink.
    """

    def __init__(self, environment: Callable[[], Mapping[str, str]]) -> None:
        self._environment = environment

    def register_nodes(self, publics: Sequence[str]) -> list[str]:
        """Register nodes' keys; returns their node ids, decimal numbers as text.

        One process registers many: with one for each, a hub of a hundred hospitals would need
        minutes after each start of its SuperLink. The first that Flower refuses ends it; those
        before it are returned.

        Args:
            publics: EC P-384 public keys, OpenSSH text.

        Raises:
            NotReady: Flower refused the first, for example because it knows the key already.
        """
        with tempfile.TemporaryDirectory(prefix="consilium-key-") as name:
            turns = []
            for place, public in enumerate(publics):
                path = Path(name) / f"{place}.pub"
                path.write_text(public.strip() + "\n", encoding="ascii")
                turns.append(["supernode", "register", str(path), CONNECTION])
            told = ask_flower_in_turn(turns, self._environment())
        return [str(answer["node-id"]) for answer in told]

    def start_run(self, study: str) -> str:
        """Start the ServerApp of a study and return Flower's run id.

        Raises:
            NotReady: Flower refused.
        """
        words = ["run", APP, CONNECTION, "--run-config", f'study="{study}"']
        return str(ask_flower(words, self._environment())["run-id"])
