"""What a person sees of the demo: steps with a clock, the table, addresses and the verdict."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class Show:
    """Prints steps while they run; remembers how long each took.

    Args:
        out: where a person reads; standard output belongs to the last JSON line when headless.
    """

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self._out = out
        self._live = out.isatty()
        self.seconds: dict[str, float] = {}

    def say(self, text: str = "") -> None:
        """One line."""
        print(text, file=self._out, flush=True)

    @contextmanager
    def step(self, name: str, words: str) -> Iterator[None]:
        """Announce a step, run it, print its time."""
        begin = time.monotonic()
        self.say(f"  …  {words}")
        yield
        self.seconds[name] = round(time.monotonic() - begin, 1)
        self.say(f"  ok {words} ({self.seconds[name]:.1f} s)")

    def table(self, result: dict[str, Any]) -> None:
        """The results per hospital, with counts."""
        self.say()
        self.say(f"  {'hospital':<18}{'training cases':>16}{'AUC alone':>12}{'AUC together':>14}")
        for site in result["sites"]:
            alone, together = (_three(site[key]) for key in ("auc_local", "auc_federated"))
            self.say(f"  {site['name']:<18}{site['n_train']:>16}{alone:>12}{together:>14}")
        self.say(
            f"  {'all test cases':<18}{'':>16}{'':>12}{_three(result['auc_test_federated']):>14}"
        )
        if "auc_test_pooled" in result:
            pooled = _three(result["auc_test_pooled"])
            self.say(f"  {'(pooled training, for comparison only)':<46}{pooled:>14}")
        self.say()


def _three(value: float | None) -> str:
    return "too few" if value is None else f"{value:.3f}"
