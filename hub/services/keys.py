"""The hub's own keys: events, one per log, and one per researcher who brings none."""

from __future__ import annotations

from pathlib import Path

from compliance.canonical import sha256_id
from compliance.errors import NotReady
from compliance.signing.keyfile import read_key, write_key
from compliance.signing.keys import NOTE, SigningKey
from hub.services.clock import Random

STUDY_BYTES = 8
COMING = "events.coming.key"


class KeyStore:
    """Key files below `<home>/keys`, mode 0600, made at first use.

    Args:
        folder: where they lie.
        hub_name: first part of every key name.
        random: source of keys and study ids.
    """

    def __init__(self, *, folder: Path, hub_name: str, random: Random) -> None:
        self._folder, self.hub_name, self._random = folder, hub_name, random
        self._known: dict[str, SigningKey] = {}

    @property
    def events(self) -> SigningKey:
        """The key by which the hub makes statements."""
        return self._get("events.key", f"{self.hub_name}/events")

    def events_are_coming(self) -> bool:
        """Whether a successor of the events key was prepared."""
        return (self._folder / COMING).exists()

    def coming_events(self) -> SigningKey:
        """The prepared successor of the events key; made when there is none."""
        return self._get(COMING, f"{self.hub_name}/events")

    def take_over_events(self) -> None:
        """Speak by the coming key from now on; the old one is kept beside, silent."""
        old = self._folder / f"events-{sha256_id(str(self.events.verifier).encode())[7:23]}.key"
        if not old.exists():
            write_key(old, self.events)
        (self._folder / COMING).replace(self._folder / "events.key")
        self._known.clear()

    def new_study(self) -> str:
        """16 hex digits for a new study; random, because the charter names its own log."""
        return self._random(STUDY_BYTES).hex()

    def log(self, log: str) -> SigningKey:
        """The first key of a log: of a study, or of the consortium's own."""
        return self._get(f"{log}.key", self._origin(log))

    def log_in_force(self, log: str, vkey: str) -> SigningKey:
        """The key of a log whose public half is named; after a rotation that is a later one.

        Raises:
            NotReady: its file is not here.
        """
        first = self.log(log)
        if str(first.verifier) == vkey:
            return first
        found = self._get(_later(log, vkey), self._origin(log), make=False)
        if str(found.verifier) != vkey:
            raise NotReady(f"the key file of {found.name} holds another key.", "Restore it.")
        return found

    def new_log_key(self, log: str) -> SigningKey:
        """One more key for a log; it counts after a `key.rotated` that names it."""
        key = SigningKey.generate(self._origin(log), NOTE, self._random)
        write_key(self._folder / _later(log, str(key.verifier)), key)
        return key

    def destroy_log_keys(self, study: str) -> None:
        """Delete every key of a study's log: a log that is gone is signed by nobody."""
        for name in [file for file in self._known if file.startswith(study)]:
            self._known.pop(name)
        for path in [self._folder / f"{study}.key", *self._folder.glob(f"{study}-*.key")]:
            path.unlink(missing_ok=True)

    def _origin(self, log: str) -> str:
        part = log if log == "consortium" else f"study/{log}"
        return f"{self.hub_name}/{part}"

    def researcher(self, account: int) -> SigningKey:
        """The key that the hub keeps for a researcher without an own one: hub-attested."""
        return self._get(f"researcher-{account}.key", self.researcher_name(account))

    def researcher_name(self, account: int) -> str:
        """Name of the key that speaks for a researcher, whoever keeps it."""
        return f"{self.hub_name}/r-{account}"

    def _get(self, file: str, name: str, *, make: bool = True) -> SigningKey:
        if file not in self._known:
            path = self._folder / file
            if make and not path.exists():
                try:
                    write_key(path, SigningKey.generate(name, NOTE, self._random))
                except NotReady:
                    if not path.exists():
                        raise
            self._known[file] = read_key(path)
        return self._known[file]


def _later(log: str, vkey: str) -> str:
    return f"{log}-{sha256_id(vkey.encode())[7:23]}.key"
