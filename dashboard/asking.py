"""Questions of a form whose answers survive leaving the page: widgets around one table of answers.

Streamlit forgets the state of widgets that a draw leaves out. The answers live under one name, and
each widget is filled from there when it appears again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard.drafting import Answers

KEPT, TURN = "draft answers", "draft turn"


class Asking:
    """Asks and keeps; `restart` begins again with other answers."""

    def __init__(self) -> None:
        self.answers: Answers = st.session_state.setdefault(KEPT, {})

    def restart(self, answers: Answers) -> None:
        """Forget all widgets and draw again with these answers."""
        st.session_state[KEPT] = answers
        st.session_state[TURN] = self._turn() + 1
        st.rerun()

    def text(
        self, name: str, label: str, *, placeholder: str = "", area: bool = False,
        help_: str | None = None,
    ) -> str:  # fmt: skip
        """A line or a few lines of text."""
        key = self._key(name, "")
        if area:
            given = st.text_area(label, key=key, placeholder=placeholder, height=110, help=help_)
        else:
            given = st.text_input(label, key=key, placeholder=placeholder, help=help_)
        return str(self._keep(name, given))

    def yes(self, name: str, label: str, *, default: bool = False) -> bool:
        """Yes or no."""
        return bool(self._keep(name, st.checkbox(label, key=self._key(name, default))))

    def count(self, name: str, label: str, low: int, high: int, default: int) -> int:
        """A whole number within bounds."""
        known = self.answers.get(name)
        self.answers[name] = min(max(int(default if known is None else known), low), high)
        key = self._key(name, default)
        st.session_state[key] = min(max(int(st.session_state[key]), low), high)
        return int(self._keep(name, st.number_input(label, low, high, key=key, step=1)))

    def slide(self, name: str, label: str, low: int, high: int, default: int, help_: str) -> int:
        """A whole number on a slider; without a choice there is none to move."""
        if low >= high:
            return int(self._keep(name, low))
        key = self._key(name, default)
        st.session_state[key] = min(max(int(st.session_state[key]), low), high)
        return int(self._keep(name, st.slider(label, low, high, key=key, help=help_)))

    def follow(self, name: str, of: int | str) -> None:
        """Let an answer start from its default again when what it counts has another number."""
        if self.answers.get(f"{name}|of", of) != of:
            self.answers[name] = None
            st.session_state.pop(f"draft {self._turn()} {name}", None)
        self.answers[f"{name}|of"] = of

    def number(
        self, name: str, label: str, form: str, bounds: tuple[float, float], default: float
    ) -> float:
        """A number within bounds."""
        low, high = bounds
        key = self._key(name, default)
        given = st.number_input(label, low, high, key=key, format=form, step=10 ** -int(form[2]))
        return float(self._keep(name, given))

    def choice(
        self, name: str, label: str, options: Mapping[str, str], default: str | None
    ) -> str | None:
        """One of these; nothing is chosen where there is no default."""
        key = self._key(name, default if default in options else None)
        if st.session_state[key] not in options:
            st.session_state[key] = None
        given = st.selectbox(
            label, list(options), key=key, index=None, format_func=lambda item: options[item],
            placeholder="Choose",
        )  # fmt: skip
        return str(self._keep(name, given)) if given is not None else self._keep(name, None)

    def several(
        self, name: str, label: str, options: Mapping[str, str], default: Sequence[str] = ()
    ) -> list[str]:
        """Any of these."""
        key = self._key(name, list(default))
        st.session_state[key] = [item for item in st.session_state[key] if item in options]
        given = st.multiselect(
            label, list(options), key=key, format_func=lambda item: options[item],
            placeholder="Choose one or more",
        )  # fmt: skip
        return list(self._keep(name, list(given)))

    def day(self, name: str, label: str) -> Any:
        """A date, or none."""
        key = self._key(name, None)
        return self._keep(name, st.date_input(label, key=key, value=None, format="YYYY-MM-DD"))

    def _turn(self) -> int:
        return int(st.session_state.get(TURN, 0))

    def _key(self, name: str, default: Any) -> str:
        key = f"draft {self._turn()} {name}"
        if key not in st.session_state:
            known = self.answers.get(name)
            st.session_state[key] = default if known is None else known
        return key

    def _keep(self, name: str, value: Any) -> Any:
        self.answers[name] = value
        return value
