"""The one module of the site that opens a connection: signed requests to the hub over TLS.

What has a body is written down before it is sent: into the egress ledger, every time, and into the
journal. What cannot be written down is not sent. A question has no body; its path holds names of
logs, hashes and numbers.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from compliance.errors import ConsiliumError, Malformed, NotReady, Refused, Unreachable
from compliance.ledger.tiles import parse_entry_bundle
from compliance.protocol import HEADER, PROTOCOL, REQUIRED, RULE, spoken
from compliance.records.types import time_text
from compliance.signing.keys import SigningKey
from compliance.signing.request import authorization
from site_node.gate.egress import WAYS, Egress, Leaving
from site_node.gate.journal import Clock, Journal
from site_node.gate.line import Shut, fault

PREFIX = "/api/v1"
OPEN = "/counts/open"
MAX_ANSWER = 64 << 20
TIMEOUT = httpx.Timeout(30, connect=10)
NOT_FOUND, CONFLICT, SERVER = 404, 409, 500

KEY_FIELDS = ("log", "name", "vkey")

Nonce = Callable[[], str]


def open_http(address: str, ca_path: Path) -> httpx.Client:
    """Make a client that trusts the consortium's own authority and nobody else.

    Raises:
        NotReady: the certificate file is missing or unreadable.
    """
    try:
        trust = ssl.create_default_context(cafile=str(ca_path))
    except (OSError, ssl.SSLError) as error:
        raise NotReady(
            f"the hub's certificate file {ca_path} cannot be read ({error}).",
            "Restore it, or join again with a new code.",
        ) from None
    return httpx.Client(base_url=address, verify=trust, timeout=TIMEOUT)


def fetch_authority(address: str) -> bytes:
    """Fetch the hub's certificate before it can be trusted; nothing secret is sent.

    The caller compares its hash with the fingerprint of the invitation: until then these bytes are
    a stranger's word.
    """
    trust = ssl.create_default_context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE  # the fingerprint of the code replaces the chain, just here
    with httpx.Client(base_url=address, verify=trust, timeout=TIMEOUT) as http:
        return _exchange(http, http.build_request("GET", f"{PREFIX}/ca.pem"))


def send_join(
    http: httpx.Client, body: dict[str, Any], record: Callable[[bytes], None]
) -> dict[str, Any]:
    """Hand in the invitation's token and the public keys; returns what the hub answers.

    Args:
        http: a connection that trusts the hub's own authority.
        body: what is handed in.
        record: writes down what is about to leave; when it fails, nothing leaves.
    """
    data, way = json.dumps(body).encode(), WAYS["join"]
    record(data)
    headers = {"Content-Type": "application/json"}
    request = http.build_request(way.method, PREFIX + way.path, content=data, headers=headers)
    return dict(_json(_exchange(http, request)))


class HubClient:
    """Asks and tells the hub in the site's name.

    Args:
        http: a ready client for the hub's address.
        site: name of this site.
        key: returns the node key; called for each request.
        journal: what was said is written here first.
        egress: every body is written here first.
        clock: the time now.
        nonce: 32 hex digits, new each time.
    """

    def __init__(
        self,
        *,
        http: httpx.Client,
        site: str,
        key: Callable[[], SigningKey],
        journal: Journal,
        egress: Egress,
        clock: Clock,
        nonce: Nonce,
    ) -> None:
        self._http, self._site, self._key = http, site, key
        self._journal, self._egress = journal, egress
        self._clock, self._nonce = clock, nonce
        self._last_heartbeat = b""

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def studies(self) -> list[dict[str, Any]]:
        """Studies that name this site."""
        return list(self._ask("GET", "/studies"))

    def charter(self, charter_id: str) -> dict[str, Any]:
        """A charter's text, state and signature lines as the hub holds them."""
        return dict(self._ask("GET", f"/charters/{quote(charter_id, safe='')}"))

    def recipe(self, sha256: str) -> bytes:
        """The bytes of a recipe; the caller compares their hash."""
        return self._call("GET", f"/recipes/{quote(sha256, safe='')}")

    def sign_charter(self, charter_id: str, line: str) -> None:
        """Hand in this hospital's signature line."""
        body = json.dumps({"line": line}).encode()
        self._tell("charter.signature", body, charter=charter_id)

    def refuse_charter(self, charter_id: str, note: bytes) -> None:
        """Hand in this hospital's refusal."""
        self._tell("study.refused", note, charter=charter_id)

    def consortium(self) -> dict[str, Any]:
        """What the hub says of the consortium; a claim, the log decides."""
        return dict(self._ask("GET", "/consortium"))

    def motions(self) -> list[dict[str, Any]]:
        """Texts that wait for signatures, and those that were carried last."""
        return list(self._ask("GET", "/motions"))

    def propose_motion(self, log: str, text: bytes, line: str) -> dict[str, Any]:
        """Lay a text before the others, with this hospital's signature; returns the motion."""
        value = {"log": log, "text_base64": base64.b64encode(text).decode(), "line": line}
        return dict(_json(self._tell("motion", json.dumps(value).encode())))

    def sign_motion(self, motion: str, line: str) -> dict[str, Any]:
        """Hand in this hospital's signature under a text; returns the motion as it stands now."""
        return dict(_json(self._tell("motion.signature", line.encode(), motion=motion)))

    def takeover(self) -> list[dict[str, str]]:
        """Keys of a successor that wait for the hospitals' signatures: log, name, vkey."""
        return [{key: str(row[key]) for key in KEY_FIELDS} for row in self._ask("GET", "/takeover")]

    def follow(self, flower_public: str) -> dict[str, Any]:
        """Tell a successor this site's Flower key; returns its welcome."""
        body = json.dumps({"flower_public": flower_public}).encode()
        return dict(_json(self._tell("follow", body)))

    def append(self, study: str, note: bytes) -> int:
        """Hand a signed statement to a study's log; returns its index."""
        answer = _json(self._tell("log.entry", note, study=study, log=study))
        return int(answer["index"])

    def hand_in(self, study: str, index: int, detail: dict[str, Any]) -> None:
        """Hand in the sealed detail of an own entry: salt and payload; numbers and hashes only."""
        body = json.dumps({"index": index, **detail}, sort_keys=True).encode()
        self._tell("log.sealed", body, study=study, log=study)

    def checkpoint(self, study: str) -> bytes:
        """The newest checkpoint that the log key signed."""
        return self._call("GET", f"/logs/{study}/checkpoint", {"latest": 1})

    def witnessed(self, study: str) -> bytes:
        """The newest checkpoint that a quorum cosigned, as the hub shows it."""
        return self._call("GET", f"/logs/{study}/checkpoint")

    def entries(self, study: str, start: int, stop: int) -> list[bytes]:
        """Entries start … stop - 1, as many requests as it takes."""
        found: list[bytes] = []
        while start + len(found) < stop:
            begin = start + len(found)
            query = {"from": begin, "to": min(stop, begin + 256)}
            part = parse_entry_bundle(self._call("GET", f"/logs/{study}/entries", query))
            if not part:
                raise Malformed("answer of the hub", f"entries from {begin} on are missing")
            found += part
        return found[: stop - start]

    def consistency(self, study: str, old: int, new: int) -> list[bytes]:
        """Hashes that prove that the log only grew."""
        answer = self._ask("GET", f"/logs/{study}/consistency", {"from": old, "to": new})
        try:
            return [base64.b64decode(text, validate=True) for text in answer["hashes"]]
        except (KeyError, TypeError, ValueError):
            raise Malformed("answer of the hub", "the consistency proof is unreadable") from None

    def cosign(self, study: str, line: str) -> None:
        """Hand in this witness's cosignature."""
        self._tell("cosignature", line.encode(), study=study, log=study)

    def register_dataset(self, note: bytes) -> None:
        """Hand in the signed registration of a dataset."""
        self._tell("dataset.registered", note)

    def describe_dataset(self, dataset: str, version: str, description: bytes) -> None:
        """Hand in the description whose hash was registered: buckets and closed words only."""
        self._tell(
            "dataset.description", description, site=self._site, dataset=dataset, version=version
        )

    def questions(self) -> list[bytes]:
        """Questions how many that wait for this hospital's answer, as they were signed."""
        try:
            return [base64.b64decode(text, validate=True) for text in self._ask("GET", OPEN)]
        except (TypeError, ValueError):
            raise Malformed("answer of the hub", "the questions are unreadable") from None

    def answer_question(self, question: str, note: bytes, *, quietly: bool) -> None:
        """Hand in the signed answer to a question; one that is sent again is journalled once."""
        self._tell("counts.answer", note, quietly=quietly, question=question)

    def hub_time(self) -> str:
        """The hub's clock as its answers carry it (RFC 9110 date)."""
        _, headers = _send(self._http, self._http.build_request("GET", f"{PREFIX}/healthz"))
        told = headers.get("date")
        if told is None:
            raise Malformed("answer of the hub", "it carries no date")
        return str(told)

    def protocol(self) -> int:
        """The newest protocol that the hub speaks, as its answers carry it."""
        _, headers = _send(self._http, self._http.build_request("GET", f"{PREFIX}/healthz"))
        return spoken(headers.get(HEADER))

    def heartbeat(self, states: dict[str, Any], versions: dict[str, Any]) -> dict[str, Any]:
        """Tell the hub that this site lives; an unchanged sign of life is journalled once."""
        body = json.dumps({"states": states, "versions": versions}, sort_keys=True).encode()
        known, self._last_heartbeat = body == self._last_heartbeat, body
        return dict(_json(self._tell("heartbeat", body, quietly=known)))

    def _tell(
        self,
        purpose: str,
        body: bytes,
        *,
        study: str | None = None,
        quietly: bool = False,
        **named: str,
    ) -> bytes:
        """Send a body by the way of its purpose, after it was written down.

        Args:
            purpose: a word of the egress ledger's closed list.
            body: what leaves.
            study: the log it belongs to.
            quietly: leave the journal alone; the ledger is never left out.
            named: the values of the path.
        """
        self._egress.write(Leaving(purpose, body, study))
        if not quietly:
            self._journal.sending(purpose, body, study=study)
        way = WAYS[purpose]
        path = way.path.format(**{name: quote(value, safe="") for name, value in named.items()})
        return self._call(way.method, path, body=body)

    def _ask(self, method: str, path: str, query: dict[str, int] | None = None) -> Any:
        return _json(self._call(method, path, query))

    def _call(
        self, method: str, path: str, query: dict[str, int] | None = None, *, body: bytes = b""
    ) -> bytes:
        target = PREFIX + path + (f"?{urlencode(query)}" if query else "")
        kind = "application/json" if body[:1] in (b"{", b"[") else "application/octet-stream"
        request = self._http.build_request(
            method, target, content=body, headers={"Content-Type": kind}
        )
        sent = request.url.raw_path.decode()
        request.headers["Authorization"] = authorization(
            self._key(), self._site, method, sent, body, time_text(self._clock()), self._nonce()
        )
        return _exchange(self._http, request)


def _exchange(http: httpx.Client, request: httpx.Request) -> bytes:
    return _send(http, request)[0]


def _send(http: httpx.Client, request: httpx.Request) -> tuple[bytes, httpx.Headers]:
    request.headers[HEADER] = str(PROTOCOL)
    try:
        answer = http.send(request, stream=True)
        try:
            data = _read(answer)
        finally:
            answer.close()
    except httpx.HTTPError as error:
        raise fault(str(http.base_url), type(error).__name__, str(error)) from error
    if answer.is_success:
        return data, answer.headers
    raise _failure(answer.status_code, data)


def _read(answer: httpx.Response) -> bytes:
    data = bytearray()
    for part in answer.iter_bytes():
        data += part
        if len(data) > MAX_ANSWER:
            raise Malformed("answer of the hub", f"it is larger than {MAX_ANSWER} bytes")
    return bytes(data)


def _failure(status: int, data: bytes) -> ConsiliumError:
    try:
        said = json.loads(data)["error"]
        rule, sentence = said.get("rule"), str(said.get("sentence") or "")
        code, fix = str(said.get("code") or ""), str(said.get("fix") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Unreachable(f"the hub answered with status {status}.")
    if rule == RULE:  # nothing of what was said was heard: it waits, as for a hub that is away
        return Shut(REQUIRED, sentence, "It is sent when both speak one protocol.")
    if rule and status < SERVER:
        error = Refused(str(rule), sentence=sentence or None)
        error.found, error.agreed = said.get("found"), said.get("agreed")
        return error  # the hub's sentence says already what was found and agreed
    sentence = sentence.removeprefix("Not ready: ").removesuffix(fix).strip()
    if status >= SERVER:
        return Unreachable(f"the hub answered {status}: {sentence}", fix or "Try again later.")
    if status == NOT_FOUND:
        return Refused(code or "not.found", sentence=f"{sentence} {fix}".strip() or None)
    return NotReady(f"the hub answered: {sentence or code or status}", fix)


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise Malformed("answer of the hub", "it is not JSON") from None
