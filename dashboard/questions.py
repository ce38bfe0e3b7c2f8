"""All that a person may ask or tell the hub, one method each; how it travels is elsewhere."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import quote

from compliance.canonical import sha256_id
from compliance.errors import Malformed
from compliance.ledger.tiles import WIDTH, parse_entry_bundle
from dashboard.answers import decoded, read_json

PREFIX = "/api/v1"
PIECE = 1 << 20

Plain = dict[str, Any]


class Questions(ABC):
    """The hub's routes by their meaning; each raises errors of the family."""

    # ------------------------------------------------------------------ people and sessions

    def sign_in(self, name: str, password: str) -> Plain:
        """Begin a session: `{token, expires, user}`."""
        return self._post("/auth/session", {"name": name, "password": password})

    def sign_out(self) -> None:
        """End this session at the hub."""
        self._call("DELETE", "/auth/session")

    def enrolment(self, code: str) -> Plain:
        """Whose one-time code this is: `{name, roles}`."""
        return dict(self._get(f"/auth/enrol/{safe(code)}"))

    def enrol(self, code: str, password: str) -> Plain:
        """Choose a password with a one-time code: `{name}`."""
        return self._post("/auth/enrol", {"code": code, "password": password})

    def me(self) -> Plain:
        """Who I am: `{id, name, roles, site, consortium, hub}`."""
        return dict(self._get("/me"))

    def my_sessions(self) -> list[Plain]:
        """My open sessions: `[{id, created, seen}]`."""
        return list(self._get("/me/sessions"))

    def end_session(self, short: str) -> None:
        """End one of my sessions."""
        self._call("DELETE", f"/me/sessions/{safe(short)}")

    def my_key(self) -> Plain:
        """My own public key, if any, and the name that a key of mine must have."""
        return dict(self._get("/me/key"))

    def set_key(self, vkey: str) -> None:
        """Register my own public key."""
        self._call("PUT", "/me/key", {"vkey": vkey})

    def users(self) -> list[Plain]:
        """Every account with its roles; for admins."""
        return list(self._get("/admin/users"))

    # ------------------------------------------------------------------ what there is

    def studies(self) -> list[Plain]:
        """Every study, proposals included, newest first."""
        return list(self._get("/studies"))

    def study(self, study: str) -> Plain:
        """One study as in the list."""
        return dict(self._get(f"/studies/{safe(study)}"))

    def live(self, study: str) -> Plain:
        """Who answered in the open round, who we wait for, every closed round."""
        return dict(self._get(f"/studies/{safe(study)}/live"))

    def metrics(self, study: str) -> list[Plain]:
        """What the hospitals reported, with counts and the entry of each."""
        return list(self._get(f"/studies/{safe(study)}/metrics"))

    def models(self) -> list[Plain]:
        """Every model of the registry."""
        return list(self._get("/models"))

    def sites(self) -> list[Plain]:
        """Every hospital with its state."""
        return list(self._get("/sites"))

    def ready(self) -> Plain:
        """Whether studies can run, and how long the hub's own certificate counts."""
        return dict(self._get("/readyz"))

    def datasets(self) -> list[Plain]:
        """The newest version of every data set."""
        return list(self._get("/datasets"))

    def recipes(self) -> list[Plain]:
        """Every recipe with its document."""
        return list(self._get("/recipes"))

    def bring_recipe(self, document: bytes) -> Plain:
        """Bring a whole recipe: `{sha256, document}` as the hub keeps it."""
        return dict(read_json(self._call("POST", "/recipes/brought", raw=document)))

    def recipe(self, sha256: str) -> bytes:
        """The bytes of a recipe; the caller compares their hash."""
        return self._call("GET", f"/recipes/{safe(sha256)}")

    def charter(self, charter_id: str) -> Plain:
        """A charter with its text, signatures and refusals."""
        return dict(self._get(f"/charters/{safe(charter_id)}"))

    def consortium(self) -> Plain:
        """The consortium as the hub tells it; the log is what counts."""
        return dict(self._get("/consortium"))

    def motions(self) -> list[Plain]:
        """Texts that wait for signatures, and the last that were carried."""
        return list(self._get("/motions"))

    def propose_motion(self, log: str, text: bytes, line: str) -> Plain:
        """Lay a text before the hospitals with the first signature; the motion."""
        encoded = base64.b64encode(text).decode()
        return self._post("/motions", {"log": log, "text_base64": encoded, "line": line})

    # ------------------------------------------------------------------ how many

    def counts(self) -> list[Plain]:
        """The newest questions how many, and what each hospital told."""
        return list(self._get("/counts"))

    def count_words(self) -> dict[str, list[str]]:
        """Words that a question can have: those of the data sets on offer."""
        return dict(self._get("/counts/words"))

    def ask_counts(self, words: Plain) -> Plain:
        """Ask every hospital (hub-attested); returns the question as in the list."""
        return self._post("/counts", {"words": words})

    def ask_counts_dry(self, words: Plain) -> bytes:
        """The text of a question, which an own key signs."""
        answer = self._post("/counts", {"words": words, "dry": True})
        return decoded(answer.get("text_base64"), "the question's text")

    def ask_counts_signed(self, text: bytes, line: str) -> Plain:
        """Ask every hospital (self-signed)."""
        encoded = base64.b64encode(text).decode()
        return self._post("/counts", {"text_base64": encoded, "line": line})

    # ------------------------------------------------------------------ charters

    def check(self, draft: Plain) -> list[Plain]:
        """What every rule says to a draft: `[{rule, sentence, found, agreed, allowed}]`."""
        answer = self._call("POST", "/charters/check", {"draft": draft})
        return list(read_json(answer))

    def propose_dry(self, draft: Plain) -> bytes:
        """The charter's text, which an own key signs before it is proposed."""
        answer = self._post("/charters", {"draft": draft, "dry": True})
        return decoded(answer.get("text_base64"), "the charter's text")

    def propose(
        self,
        draft: Plain | None = None,
        *,
        text: bytes | None = None,
        signature: str | None = None,
    ) -> Plain:
        """Propose a draft (hub-attested), or a text with its signature line (self-signed)."""
        if text is not None:
            encoded = base64.b64encode(text).decode()
            return self._post("/charters", {"text_base64": encoded, "signature": signature})
        return self._post("/charters", {"draft": draft or {}})

    def hand_in_start(self, data: bytes) -> str:
        """Hand in start weights, in pieces; returns the name by which a draft names them."""
        name = sha256_id(data)
        for at in range(0, len(data), PIECE):
            query = {"at": at, "of": len(data)}
            piece = data[at : at + PIECE]
            told = read_json(self._call("POST", f"/starts/{safe(name)}", query=query, raw=piece))
            if dict(told).get("whole"):
                break
        return name

    def launch(self, charter_id: str) -> Plain:
        """Write entry 0 and let the study run: `{study, log, charter_id}`."""
        return self._post(f"/charters/{safe(charter_id)}/launch", {})

    def release(
        self, study: str, model: str | None = None, narrative: dict[str, Any] | None = None
    ) -> Plain:
        """Release a model to which enough hospitals agreed: `{model_sha256, card_sha256, …}`."""
        body = {"model": model, "narrative": narrative or {}}
        return self._post(f"/studies/{safe(study)}/release", body)

    def card(self, study: str) -> bytes:
        """The card of the released model; its hash stands in the log."""
        return self._call("GET", f"/studies/{safe(study)}/card")

    def statement(self, study: str, site: str | None = None) -> bytes:
        """The statement of contributions as PDF, of one hospital or of all."""
        path = f"/studies/{safe(study)}/statement"
        return self._call("GET", f"{path}/{safe(site)}" if site else path)

    def papers(self, study: str) -> list[Plain]:
        """The papers of the released model: `[{name, text, sha256}]`."""
        return list(self._get(f"/studies/{safe(study)}/papers"))

    # ------------------------------------------------------------------ logs

    def state(self, log: str) -> Plain:
        """The fold result of the hub, with the size and root it belongs to."""
        return dict(self._get(f"/logs/{safe(log)}/state"))

    def checkpoint(self, log: str, *, latest: bool = False) -> bytes:
        """The newest checkpoint with quorum; with `latest`, the newest that the log signed."""
        return self._call("GET", f"/logs/{safe(log)}/checkpoint", query={"latest": int(latest)})

    def entries(self, log: str, start: int, stop: int) -> list[bytes]:
        """Entries start … stop - 1, in pages of 256."""
        found: list[bytes] = []
        while start + len(found) < stop:
            begin = start + len(found)
            query = {"from": begin, "to": min(stop, begin + WIDTH)}
            part = parse_entry_bundle(self._call("GET", f"/logs/{safe(log)}/entries", query=query))
            if not part:
                raise Malformed("answer of the hub", f"entries from {begin} on are missing")
            found += part
        return found[: max(0, stop - start)]

    def consistency(self, log: str, old: int, new: int) -> list[bytes]:
        """Hashes that prove that the log only grew (RFC 6962, 2.1.2)."""
        query = {"from": old, "to": new}
        answer = read_json(self._call("GET", f"/logs/{safe(log)}/consistency", query=query))
        return [decoded(text, "a consistency proof") for text in dict(answer).get("hashes", [])]

    def cosignatures(self, log: str) -> list[Plain]:
        """The newest cosignature of each witness: `[{name, size, line}]`."""
        return list(self._get(f"/logs/{safe(log)}/cosignatures"))

    def proof(self, log: str, index: int) -> bytes:
        """A tlog-proof of one entry."""
        return self._call("GET", f"/logs/{safe(log)}/proof/{index}")

    def policy(self, log: str) -> str:
        """The policy that follows from the charter; the hub's copy, never trust."""
        return self._call("GET", f"/logs/{safe(log)}/policy").decode()

    def attachments(self, log: str) -> Plain:
        """What a bundle would hold besides what is made from the log: `{files, people, pdf}`."""
        return dict(self._get(f"/logs/{safe(log)}/attachments"))

    def sealed(self, log: str) -> list[Plain]:
        """Which entries commit to a sealed detail, and whether it is still there."""
        return list(self._get(f"/logs/{safe(log)}/sealed"))

    def sealed_detail(self, log: str, index: int) -> Plain:
        """A sealed detail with its salt: `{index, commitment, salt, payload, …}`."""
        return dict(self._get(f"/logs/{safe(log)}/sealed/{index}"))

    def hand_in(self, log: str, index: int, salt: bytes, payload: Plain) -> None:
        """Hand in the sealed detail that an own entry commits to."""
        body = {"index": index, "salt": salt.hex(), "payload": payload}
        self._post(f"/logs/{safe(log)}/sealed", body)

    def retention(self) -> list[Plain]:
        """Until when each study's records are kept, and what holds them; admins and auditors."""
        return list(self._get("/retention"))

    def may(self, log: str, kind: str, body: Plain, *, site: str = "", actor: str = "") -> Plain:
        """Would this be allowed now? `{allowed, rule, sentence, found, agreed, body, …}`."""
        asked = {"type": kind, "body": body, "site": site or None, "actor": actor or None}
        return self._post(f"/logs/{safe(log)}/may", asked)

    def append(self, log: str, note: bytes) -> int:
        """Hand a signed statement to a log; returns its index."""
        answer = read_json(self._call("POST", f"/logs/{safe(log)}/entries", raw=note))
        return int(dict(answer)["index"])

    # ------------------------------------------------------------------ acts that wait for a yes

    def prepare(self, action: str, subject: str, body: Plain | None = None) -> Plain:
        """Prepare an act; the person confirms it at `/confirm?intent=<id>`."""
        return self._post("/intents", {"action": action, "object": subject, "body": body or {}})

    def intent(self, number: str) -> Plain:
        """What the confirm page says."""
        return dict(self._get(f"/intents/{safe(number)}"))

    def confirm(self, number: str, password: str | None, typed: str | None) -> Plain:
        """Do the act, once; the first result again when it was done already."""
        body = {"password": password, "typed": typed}
        return self._post(f"/intents/{safe(number)}/confirm", body)

    def ticket(self, number: str) -> bytes:
        """The file of a one-time ticket."""
        return self._call("GET", f"/tickets/{safe(number)}")

    # ------------------------------------------------------------------ one way out

    def _get(self, path: str) -> Any:
        return read_json(self._call("GET", path))

    def _post(self, path: str, body: Plain) -> Plain:
        return dict(read_json(self._call("POST", path, body)))

    @abstractmethod
    def _call(
        self,
        method: str,
        path: str,
        body: Plain | None = None,
        *,
        query: dict[str, int] | None = None,
        raw: bytes | None = None,
    ) -> bytes:
        """Carry one request to the hub and return the bytes of its answer."""


def safe(word: str) -> str:
    """A word as one part of a path."""
    return quote(word, safe=":")
