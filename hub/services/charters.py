"""Charters: proposed by a researcher, signed or refused at each hospital, launched into a log.

Nothing in these tables is an approval: launching folds the signatures themselves.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.records.charter import CharterBody
from compliance.records.consortium import StudyRefusal
from compliance.records.envelope import parse_event, write_event
from compliance.records.kinds import CONSORTIUM as CONSORTIUM_KINDS
from compliance.rules.check import Finding, check_charter
from compliance.signing.keys import NOTE, SigningKey, VerifierKey
from compliance.signing.note import assemble, parse, parse_line
from hub.services.abilities import fits_recipe, masks_that_fit
from hub.services.clock import Clock, text_of
from hub.services.drafts import Drafter, Frame
from hub.services.keys import STUDY_BYTES, KeyStore
from hub.services.ledger import LedgerService
from hub.services.logbook import CONSORTIUM
from hub.services.proposals import ProposalService, Who
from hub.services.registry import ModelRegistry
from hub.services.starts import StartService
from hub.storage import studies as rows
from hub.storage.database import Database


class CharterService:
    """Drafts, proposals, signatures, launch.

    Args:
        database: where charters lie.
        drafter: completes drafts.
        ledger: opens the study's log, and lists it in the consortium's.
        proposals: what the consortium says to a charter, and what is put on its record.
        registry: keeps the start model.
        starts: where the start model comes from.
        keys: the hub's keys.
        frame: makes what a charter takes from the hub; given the log key and a researcher key.
        clock: the time now.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        database: Database,
        drafter: Drafter,
        ledger: LedgerService,
        proposals: ProposalService,
        registry: ModelRegistry,
        starts: StartService,
        keys: KeyStore,
        frame: Callable[[SigningKey, str], Frame],
        clock: Clock,
    ) -> None:
        self._database, self._drafter, self._ledger = database, drafter, ledger
        self._registry, self._keys, self._frame = registry, keys, frame
        self._proposals, self._starts = proposals, starts
        self._clock = clock

    def check(self, draft: Mapping[str, Any], researcher_vkey: str) -> list[Finding]:
        """What every charter rule says to a draft; nothing is stored."""
        study = "0" * 2 * STUDY_BYTES
        try:
            recipe = self._drafter.recipe(draft)
            trial = SigningKey(f"{self._keys.hub_name}/study/{study}", NOTE, bytes(32))
            frame = self._frame(trial, researcher_vkey)
            body = self._drafter.complete(draft, frame, recipe, "sha256:" + "0" * 64)
            if draft.get("start_model") is not None:  # a drawn one cannot be wrong
                self._starts.find(draft["start_model"], recipe, study)
        except ConsiliumError as error:
            rule = error.rule if isinstance(error, Refused) else "charter.form"
            return [Finding(rule, str(error), None, None, allowed=False)]
        unfit = [*fits_recipe(body, recipe), *masks_that_fit(body, recipe)]
        return [*self._findings(body, ahead=True), *unfit]

    def prepare(
        self, draft: Mapping[str, Any], researcher_vkey: str, *, by: Who | None = None
    ) -> bytes:
        """The text that the researcher signs; the start model is written beside.

        Recipe and researcher are put on the consortium's record, if they are new there; `by` is
        the person of the dashboard for whom the hub says so.

        Raises:
            Refused: a charter rule says no.
            NotReady, Malformed: the draft cannot be completed, or there is no consortium yet.
            NotProven: the start model has another hash than its file names.
        """
        self._ledger.consortium()
        study = self._keys.new_study()
        recipe = self._drafter.recipe(draft)
        frame = self._frame(self._keys.log(study), researcher_vkey)
        layout, values, start = self._starts.find(draft.get("start_model"), recipe, study)
        initial = self._registry.write(study, layout, values)
        body = self._drafter.complete(draft, frame, recipe, initial, start)
        self._must_hold(body, ahead=True)
        for finding in (*fits_recipe(body, recipe), *masks_that_fit(body, recipe)):
            raise Refused(finding.rule, finding.found, finding.agreed, finding.sentence)
        self._proposals.introduce(recipe, researcher_vkey, by)
        return write_event("charter", body, time=text_of(self._clock))

    def propose(
        self,
        text: bytes,
        line: str,
        proposer: int,
        researcher_vkey: str,
        announcement: bytes | None = None,
    ) -> dict[str, Any]:
        """Keep a proposal that the researcher signed; `study.proposed` goes on record with it.

        Args:
            text: the charter.
            line: the researcher's signature line under it.
            proposer: number of the account.
            researcher_vkey: the researcher's key.
            announcement: `study.proposed` signed by the researcher; without it the hub says so on
                the researcher's behalf.

        Raises:
            Refused: not the researcher's signature, or a charter rule says no.
            NotReady: the start model is not here, or the study has another charter already.
            Malformed: not a charter.
        """
        body = _charter(text)
        key = VerifierKey.parse(researcher_vkey)
        parsed = parse_line(line)
        if body.researcher != researcher_vkey or not key.verifies(text, parsed.signature):
            raise Refused("charter.signatures", sentence="The researcher's signature is missing.")
        self._check_frame(body)
        charter_id, study = sha256_id(text), body.origin.rsplit("/", 1)[-1]
        self._registry.read(study, body.initial_model_sha256)
        self._starts.must_be_honest(study, body)
        with self._ledger.writing(CONSORTIUM, before=("charters",)) as session:
            known = rows.charter_of_study(session, study)
            if known is not None and known.charter_id != charter_id:
                raise NotReady("this study has another charter already.", "Prepare a new draft.")
            if known is None:
                row = rows.CharterRow(
                    charter_id=charter_id,
                    study=study,
                    text=text,
                    researcher_line=line.strip(),
                    proposer=proposer,
                    created=text_of(self._clock),
                )
                rows.keep(session, row)
                self._proposals.announce(session, charter_id, proposer, announcement)
        return {"charter_id": charter_id, "study": study, "text_base64": _b64(text)}

    def _check_frame(self, body: CharterBody) -> None:
        """A text that came back signed must be one that this hub could have made."""
        study = body.origin.rsplit("/", 1)[-1]
        frame = self._frame(self._keys.log(study), body.researcher)
        given = (body.origin, body.log_key, body.hub_key, body.consortium, body.bundle_sha256)
        made = (
            frame.origin,
            str(frame.log_key.verifier),
            frame.hub_vkey,
            frame.consortium,
            frame.bundle_sha256,
        )
        if given != made:
            raise Refused("charter.keys", sentence="The text was not prepared by this hub.")
        self._must_hold(body.plain())

    def _must_hold(self, body: dict[str, Any], *, ahead: bool = False) -> None:
        for finding in self._findings(body, ahead=ahead):
            if not finding.allowed:
                raise Refused(finding.rule, finding.found, finding.agreed, finding.sentence)

    def _findings(self, body: dict[str, Any], *, ahead: bool = False) -> list[Finding]:
        """Every charter rule, and what the consortium has against the charter.

        With `ahead`, what the hub puts on record with the proposal counts as being there.
        """
        found = check_charter(body, text_of(self._clock))
        return found + self._proposals.findings(body, ahead=ahead)

    def get(self, charter_id: str) -> dict[str, Any]:
        """A charter with its signatures, refusals and what is missing.

        Raises:
            NotReady: unknown.
        """
        with self._database.reading() as session:
            row = self._row(rows.find_charter(session, charter_id), charter_id)
            signed = rows.signatures(session, charter_id)
            refused = rows.refusals(session, charter_id)
        body = _charter(row.text)
        names = {item.key_name.split("/", 1)[0] for item in signed}
        return {
            "charter_id": charter_id,
            "study": row.study,
            "state": _state(row, names, refused, body),
            "title": body.title,
            "text_base64": _b64(row.text),
            "body": body.plain(),
            "proposer": row.proposer,
            "created": row.created,
            "researcher_line": row.researcher_line,
            "signatures": [
                {"name": item.key_name, "line": item.line, "time": item.time} for item in signed
            ],
            "refusals": [
                {"site": item.site, "reason": item.reason, "time": item.time} for item in refused
            ],
            "required": body.signatures_required,
            "missing": sorted(set(body.site_names()) - names),
        }

    def of_study(self, study: str) -> dict[str, Any]:
        """A charter by its study.

        Raises:
            NotReady: unknown.
        """
        with self._database.reading() as session:
            row = self._row(rows.charter_of_study(session, study), study)
        return self.get(row.charter_id)

    def all(self) -> list[dict[str, Any]]:
        """Every charter, newest first."""
        with self._database.reading() as session:
            names = [row.charter_id for row in rows.all_charters(session)]
        return [self.get(name) for name in names]

    def sign(self, site: str, charter_id: str, line: str) -> None:
        """Keep a hospital's signature line; before the launch it waits, afterwards it is too late.

        Raises:
            Refused: not this hospital's institution key, or the signature does not verify.
            NotReady: the study is launched.
        """
        parsed = parse_line(line)
        with self._database.transaction("charters") as session:
            row = self._row(rows.find_charter(session, charter_id), charter_id)
            mine = _charter(row.text).site(site)
            key = VerifierKey.parse(mine.institution) if mine else None
            if key is None or (parsed.name, parsed.key_id) != (key.name, key.key_id):
                raise Refused("event.signer", parsed.name, f"{site}/institution")
            if not key.verifies(row.text, parsed.signature):
                raise Refused("event.signer", sentence="The signature does not verify.")
            if row.launched:
                raise NotReady(
                    "the study is launched.", "Join it by an entry `site.joined` in its log."
                )
            signature = rows.SignatureRow(
                charter_id=charter_id,
                key_name=key.name,
                line=line.strip(),
                time=text_of(self._clock),
            )
            rows.keep(session, signature)

    def refuse(self, site: str, charter_id: str, note: bytes) -> None:
        """Put a hospital's signed refusal on record; a signature given before counts no more.

        Raises:
            Refused: not signed by this hospital's institution key.
            Malformed: no refusal of this charter.
            NotReady: the study is launched, or there is no consortium.
        """
        parsed = parse(note)
        event = parse_event(parsed.text, kinds=CONSORTIUM_KINDS)
        body = event.body
        if not isinstance(body, StudyRefusal) or body.charter != charter_id:
            raise Malformed("refusal", "it is no refusal of this charter")
        self._ledger.consortium()
        with self._ledger.writing(CONSORTIUM, before=("charters",)) as session:
            row = self._row(rows.find_charter(session, charter_id), charter_id)
            mine = _charter(row.text).site(site)
            key = VerifierKey.parse(mine.institution) if mine else None
            if key is None or not any(
                line.name == key.name and key.verifies(parsed.text, line.signature)
                for line in parsed.lines
            ):
                raise Refused("event.signer", event.actor, f"{site}/institution")
            if row.launched:
                raise NotReady(
                    "the study is launched.", "Leave it: `consilium site withdraw STUDY`."
                )
            self._ledger.append_in(session, CONSORTIUM, note)
            rows.drop_signature(session, charter_id, key.name)
            refusal = rows.RefusalRow(
                charter_id=charter_id,
                site=site,
                note=note,
                reason=str(body.reason),
                time=text_of(self._clock),
            )
            rows.keep(session, refusal)

    def launch(self, charter_id: str, *, by: Who | None = None) -> dict[str, Any]:
        """Fold the signatures; write entry 0 of the study's log and list it in the consortium's.

        Args:
            charter_id: which charter.
            by: the person of the dashboard who launches it.

        Raises:
            Refused: too few signatures, another charter rule, or the consortium says no.
            NotReady: launched already, or its start model is gone.
        """
        study = self._start_model(charter_id)
        with self._ledger.writing(study, CONSORTIUM, before=("charters",)) as session:
            row = self._row(rows.find_charter(session, charter_id), charter_id)
            if row.launched:
                raise NotReady("the study is launched already.", "Watch it.")
            lines = [item.line for item in rows.signatures(session, charter_id)]
            note = assemble(row.text, [row.researcher_line, *lines])
            body = _charter(row.text)
            self._proposals.must_hold(body)
            self._ledger.begin(session, study, note)
            self._ledger.list_study(session, study, note, by)
            row.launched = text_of(self._clock)
            self._registry.enter(session, study, body.initial_model_sha256, "initial")
        return {"study": study, "log": body.origin, "charter_id": charter_id}

    def _start_model(self, charter_id: str) -> str:
        with self._database.reading() as session:
            row = self._row(rows.find_charter(session, charter_id), charter_id)
        self._registry.read(row.study, _charter(row.text).initial_model_sha256)
        return row.study

    def _row(self, row: rows.CharterRow | None, asked: str) -> rows.CharterRow:
        if row is None:
            raise NotReady(f"there is no charter or study {asked}.", "List them: GET /studies.")
        return row


def _charter(text: bytes) -> CharterBody:
    body = parse_event(text).body
    if not isinstance(body, CharterBody):
        raise Malformed("charter", "it is another kind of statement")
    return body


def _state(
    row: rows.CharterRow, names: set[str], refused: list[rows.RefusalRow], body: CharterBody
) -> str:
    if row.launched:
        return "launched"
    unwilling = {item.site for item in refused} - names
    if len(body.sites) - len(unwilling) < body.signatures_required:
        return "refused"
    return "signed" if len(names) >= body.signatures_required else "proposed"


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
