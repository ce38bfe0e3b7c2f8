"""A researcher's desk: where the hub is, who is signed in, the own key, and what is done with it.

Everything lies in one folder: `study.toml`, `study-ca.pem`, the session token and the key in 0600
files.
"""

from __future__ import annotations

import base64
import json
import os
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError, Malformed, NotProven, NotReady, Refused
from compliance.records.counts import COUNTS
from compliance.records.envelope import parse_event, write_event
from compliance.records.sealed import Sealed, seal_payload
from compliance.records.types import time_text
from compliance.rules.amending import amended
from compliance.rules.fold import replay
from compliance.signing.keyfile import read_key, read_public, write_key
from compliance.signing.keys import SigningKey
from compliance.signing.note import seal
from dashboard.hub_client import HubClient
from dashboard.narrating import narrative_from
from dashboard.starting import check_start

PREFIX = 6
TYPED = 8
Plain = dict[str, Any]


class Desk:
    """What a researcher does from the command line.

    Args:
        home: folder of this researcher.
        clock: the time now.
        nonce: 32 hex digits, new each time.
    """

    def __init__(
        self, *, home: Path, clock: Callable[[], datetime], nonce: Callable[[], str]
    ) -> None:
        self.home, self._clock, self._nonce = home, clock, nonce
        self.key_path = home / "keys" / "researcher.key"
        self._file, self._ca = home / "study.toml", home / "study-ca.pem"
        self._session = home / "study-session"

    # ------------------------------------------------------------------ signing in and out

    def open_hub(self) -> HubClient:
        """The hub, in this researcher's name.

        Raises:
            NotReady: nobody is signed in at this desk.
        """
        address = self._known().get("address")
        if not address or not self._session.is_file():
            raise NotReady(
                f"nobody is signed in at {self.home}.",
                "Run `consilium study login NAME --address URL --ca FILE`.",
            )
        ca_file = self._ca if self._ca.is_file() else None
        return HubClient(address, ca_file, lambda: self._session.read_text().strip())

    def stranger(self, address: str | None, ca_file: Path | None) -> HubClient:
        """The hub before anybody is signed in; address and certificate may be known already.

        Raises:
            NotReady: no address is known, or the certificate cannot be read.
        """
        known = address or self._known().get("address")
        if not known:
            raise NotReady("no address of the hub is known here.", "Say --address https://HUB.")
        if not known.startswith("https://"):
            raise NotReady(f"{known} is not protected.", "The address begins with https://.")
        kept = self._ca if self._ca.is_file() and address in (None, known) else None
        return HubClient(known.rstrip("/"), ca_file or kept)

    def keep(self, address: str | None, ca_file: Path | None, name: str, token: str) -> None:
        """Remember where the hub is and who signed in; files are for this person only."""
        known = address or self._known()["address"]
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if ca_file is not None:
            _write(self._ca, ca_file.read_bytes())
        lines = f"address = {json.dumps(known.rstrip('/'))}\nname = {json.dumps(name)}\n"
        _write(self._file, b"# Written by `consilium study login`.\n" + lines.encode())
        _write(self._session, token.encode() + b"\n")

    def forget(self) -> None:
        """Drop the session token."""
        self._session.unlink(missing_ok=True)

    # ------------------------------------------------------------------ studies

    def find(self, hub: HubClient, asked: str) -> Plain:
        """The one study whose id or charter id begins so.

        Raises:
            NotReady: too short, unknown, or more than one.
        """
        if len(asked.removeprefix("sha256:")) < PREFIX:
            raise NotReady(f"{asked!r} is too short.", f"Give at least {PREFIX} characters.")
        found = [
            row
            for row in hub.studies()
            if row["study"].startswith(asked)
            or row["charter_id"].removeprefix("sha256:").startswith(asked.removeprefix("sha256:"))
        ]
        if len(found) != 1:
            said = "more than one study begins" if found else "no study begins"
            raise NotReady(f"{said} with {asked}.", "Look at `consilium study list`.")
        return found[0]

    def propose(
        self, hub: HubClient, draft: Plain, passphrase: str | None, start: bytes | None = None
    ) -> Plain:
        """Propose a draft: self-signed where an own key is registered, else hub-attested.

        Args:
            hub: where to.
            draft: of the charter.
            passphrase: of the own key.
            start: the file of start weights that was handed in, to be compared with the text.

        Raises:
            NotProven: the hub wrote another start model into the charter.
        """
        key = self._own_key(hub, passphrase)
        if key is None:
            made = hub.propose(draft)
            if start is not None:
                check_start(hub.recipe, base64.b64decode(made["text_base64"]), start)
            return made | {"signed": "hub-attested"}
        text = hub.propose_dry(draft)
        if start is not None:
            check_start(hub.recipe, text, start)
        return hub.propose(text=text, signature=key.line(text)) | {"signed": "self-signed"}

    def ask(self, hub: HubClient, words: Plain, passphrase: str | None) -> Plain:
        """Ask every hospital how many: self-signed where an own key is registered.

        Raises:
            NotProven: the hub wrote another question than was asked.
        """
        key = self._own_key(hub, passphrase)
        if key is None:
            return hub.ask_counts(words) | {"signed": "hub-attested"}
        text = hub.ask_counts_dry(words)
        if parse_event(text, kinds=COUNTS).body.plain() != words:
            raise NotProven("question", "the hub wrote another question than was asked.")
        return hub.ask_counts_signed(text, key.line(text)) | {"signed": "self-signed"}

    def stop(
        self,
        hub: HubClient,
        row: Plain,
        reason: str,
        passphrase: str | None,
        remark: str | None = None,
    ) -> Plain:
        """Stop a study: an entry of its log, signed by the own key or by the hub on behalf.

        A remark is sealed: the entry commits to it, and it is handed in beside the log.

        Raises:
            NotReady: the study is stopped, but the hub did not take the remark.
        """
        study = row["study"]
        key = self._own_key(hub, passphrase)
        if key is not None:
            return self._stop_signed(hub, row, reason, key, remark)
        intent = hub.prepare("study.stop", study, {"reason": reason, "remark": remark})
        done = hub.confirm(intent["id"], None, study[:TYPED])
        return {**done["result"], "signed": "hub-attested"}

    def _stop_signed(
        self, hub: HubClient, row: Plain, reason: str, key: SigningKey, remark: str | None
    ) -> Plain:
        study, salt = row["study"], bytes.fromhex(self._nonce())
        told = seal_payload({"remark": remark}, salt) if remark else None
        text = write_event(
            "study.stopped",
            {"reason": reason, "on_behalf": None},
            time=time_text(self._clock()),
            actor=key.name,
            log=row["charter_id"],
            nonce=self._nonce(),
            sealed=told.commitment if told else None,
        )
        index = hub.append(study, seal(text, key))
        if told is not None:
            _hand_in(hub, study, index, told)
        return {
            "index": index, "sealed": told.commitment if told else None, "signed": "self-signed",
        }  # fmt: skip

    def amend(
        self, hub: HubClient, row: Plain, changes: Plain, passphrase: str | None
    ) -> Plain | None:
        """Lay a changed charter before the hospitals with the own key; None without one.

        The charter in force is that of the log, by this desk's own fold.

        Raises:
            Refused: what would change cannot, or a rule of the log says no.
        """
        key = self._own_key(hub, passphrase)
        if key is None:
            return None
        study = row["study"]
        state = replay(hub.entries(study, 0, int(hub.state(study)["size"])))
        said = {"charter": amended(state.charter, changes).plain(), "previous": state.version_id}
        text = write_event(
            "charter.amended",
            said,
            time=time_text(self._clock()),
            actor=key.name,
            log=row["charter_id"],
            nonce=self._nonce(),
        )
        told = hub.propose_motion(study, text, key.line(text))
        return {name: told[name] for name in ("id", "state", "wanting")}

    def confirmed(
        self, hub: HubClient, action: str, subject: str, body: Plain, ask: Callable[[], str]
    ) -> Plain:
        """Prepare an act and say yes to it, with the password that `ask` gives."""
        intent = hub.prepare(action, subject, body)
        password = ask() if intent["needs_step_up"] else None
        return dict(hub.confirm(intent["id"], password, intent["typed"])["result"])

    def recipe(self, hub: HubClient, row: Plain) -> bytes:
        """The recipe's document that the charter names, checked against its hash.

        Raises:
            NotProven: the hub handed out another document.
        """
        wanted = hub.charter(row["charter_id"])["body"]["recipe"]["sha256"]
        data = hub.recipe(wanted)
        if sha256_id(data) != wanted:
            raise NotProven("recipe", "the document has another hash than the charter names.")
        return data

    # ------------------------------------------------------------------ the own key

    def make_key(self, hub: HubClient, passphrase: str | None) -> str:
        """Make this researcher's own key and register its public half.

        Raises:
            Refused: another key is registered already.
        """
        told = hub.my_key()
        if not self.key_path.is_file():
            if told["vkey"]:
                raise Refused(
                    "key.registered",
                    sentence="Another key is registered for you, and its file is not here.",
                )
            write_key(self.key_path, SigningKey.generate(str(told["name"])), passphrase)
        vkey = str(read_public(self.key_path))
        if told["vkey"] != vkey:
            hub.set_key(vkey)
        return vkey

    def _own_key(self, hub: HubClient, passphrase: str | None) -> SigningKey | None:
        registered = hub.my_key()["vkey"]
        if registered is None:
            return None
        key = read_key(self.key_path, passphrase)
        if str(key.verifier) != registered:
            raise Refused(
                "key.registered", sentence=f"{self.key_path} is not the key registered for you."
            )
        return key

    def _known(self) -> dict[str, str]:
        try:
            return tomllib.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise NotReady(f"{self._file} cannot be read ({error}).", "Sign in again.") from error


def _hand_in(hub: HubClient, study: str, index: int, told: Sealed) -> None:
    try:
        hub.hand_in(study, index, told.salt, told.payload)
    except ConsiliumError as error:
        raise NotReady(
            f"the study is stopped (entry {index}), but the hub did not take the remark: {error}",
            "Say it in a review: consilium study review.",
        ) from error


def read_draft(path: Path) -> Plain:
    """Read a charter's draft; dates stay text, as the charter wants them.

    Raises:
        NotReady: unreadable, no YAML, or no fields.
    """
    try:
        draft = yaml.load(path.read_text(encoding="utf-8"), _Plain)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise NotReady(f"{path} cannot be read ({error.strerror}).", "Check the name.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = " ".join(str(error).split())
        raise NotReady(f"{path} is no YAML: {where}.", "Correct that line.") from None
    if not isinstance(draft, dict):
        raise NotReady(f"{path} holds no fields.", "Write lines such as `title: …`.")
    return draft


def read_narrative(path: Path) -> Plain:
    """Read what a card says in words; lines of one text are joined, a card holds no line break.

    Raises:
        NotReady: not readable, a field that the card does not have, or a text that is too long.
    """
    try:
        return narrative_from(read_draft(path)).plain()
    except Malformed as error:
        finding = f"{path} is no narrative of a card: {error.rule}."
        raise NotReady(finding, "Correct that field, then try again.") from None


class _Plain(yaml.SafeLoader):
    """YAML without dates."""


_Plain.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    part.replace(path)
