"""Which key held when: old entries stay valid because the fold remembers.

Source: design/ledger.md §3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from compliance.records.charter import CharterBody
from compliance.signing.keys import VerifierKey


@dataclass(frozen=True)
class Holder:
    """Who holds a key: role I, N, W, H, R or L (log), and the hospital of I, N and W."""

    role: str
    site: str | None = None


def holders_of(body: CharterBody) -> list[tuple[VerifierKey, Holder]]:
    """Name every key of a charter with its holder, external witnesses left out."""
    found = [
        (VerifierKey.parse(body.log_key), Holder("L")),
        (VerifierKey.parse(body.hub_key), Holder("H")),
        (VerifierKey.parse(body.researcher), Holder("R")),
    ]
    for site in body.sites:
        found.append((VerifierKey.parse(site.institution), Holder("I", site.name)))
        found.append((VerifierKey.parse(site.node), Holder("N", site.name)))
        found.append((VerifierKey.parse(site.witness), Holder("W", site.name)))
    return found


SPEAKERS = frozenset("INHR")
"""Roles whose keys sign statements; the log key and witnesses never do."""


@dataclass
class KeyRing:
    """Keys in force by name, who holds them, and every public key that was ever seen."""

    current: dict[str, VerifierKey] = field(default_factory=dict)
    holders: dict[str, Holder] = field(default_factory=dict)
    history: dict[str, list[tuple[int, VerifierKey]]] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)

    def adopt(self, pairs: Iterable[tuple[VerifierKey, Holder]], index: int) -> None:
        """Take the keys of a charter; names it no longer has lose their key."""
        self.current, self.holders = {}, {}
        for key, holder in pairs:
            self.holders[key.name] = holder
            self._take(key, index)

    def rotate(self, key: VerifierKey, index: int) -> None:
        """Let a key take the place of the one of the same name."""
        self._take(key, index)

    def admit(self, key: VerifierKey, holder: Holder, index: int) -> None:
        """Take one more key, or another one for a name, and say who holds it."""
        self.holders[key.name] = holder
        self._take(key, index)

    def drop(self, name: str) -> None:
        """Let a key fall silent and its name have no holder; the key never returns."""
        del self.current[name], self.holders[name]

    def at(self, name: str, index: int) -> VerifierKey | None:
        """The key of this name that was in force for entry `index`."""
        held = [key for since, key in self.history.get(name, []) if since < index or index == 0]
        return held[-1] if held else None

    def speaker(self, name: str, key_id: bytes) -> VerifierKey | None:
        """The key in force of one who may sign statements."""
        key = self.current.get(name)
        if key is None or key.key_id != key_id or self.holders[name].role not in SPEAKERS:
            return None
        return key

    def _take(self, key: VerifierKey, index: int) -> None:
        before = self.current.get(key.name)
        held = self.history.setdefault(key.name, [])
        if not held or held[-1][1] != key:
            held.append((index, key))
        if before != key:
            self.current[key.name] = key
        self.seen.add(key.public)
