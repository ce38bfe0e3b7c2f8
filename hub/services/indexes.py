"""Rows beside the logs that follow from them: hospitals, datasets, charters with their signatures.

They are written again after a rebuild; whoever decides something asks the logs.
"""

from __future__ import annotations

from collections.abc import Sequence

from compliance.canonical import sha256_id
from compliance.records.consortium import DatasetRegistered
from compliance.records.envelope import parse_event
from compliance.records.kinds import CONSORTIUM
from compliance.rules.consortium.state import ConsortiumState
from compliance.signing.note import parse
from hub.storage import members, studies
from hub.storage.database import Transaction

NOBODY = 0
"""Stands for the account of whoever proposed: accounts are not in the logs."""


def index_consortium(
    session: Transaction, entries: Sequence[bytes], state: ConsortiumState
) -> None:
    """Write a row for each hospital and each dataset that has none."""
    times = [parse_event(parse(note).text, kinds=CONSORTIUM).time for note in entries]
    for name, member in sorted(state.members.items()):
        if members.find_member(session, name) is None:
            row = members.MemberRow(
                site=name,
                title=name,
                slot=0,
                flower_public="",
                joined=times[member.since],
                suspended=False,
                health="{}",
                country=member.country,
                **{
                    role: str(state.keys.current[f"{name}/{role}"])
                    for role in ("institution", "node", "witness")
                },
            )
            members.add_member(session, row)
    for note in entries:
        _index_dataset(session, note)


def _index_dataset(session: Transaction, note: bytes) -> None:
    event = parse_event(parse(note).text, kinds=CONSORTIUM)
    body, site = event.body, (event.actor or "").partition("/")[0]
    if not isinstance(body, DatasetRegistered):
        return
    if studies.find_dataset(session, site, body.dataset, body.version) is None:
        row = studies.DatasetRow(
            site=site,
            dataset=body.dataset,
            version=body.version,
            note=note,
            registered=event.time,
            description=None,
        )
        studies.keep(session, row)


def index_charter(session: Transaction, study: str, entry0: bytes) -> None:
    """Write the charter of a launched study with its signature lines, unless it is there."""
    note = parse(entry0)
    charter_id = sha256_id(note.text)
    known = studies.find_charter(session, charter_id)
    if known is not None:
        time = parse_event(note.text).time
        known.launched = known.launched or time
        return
    time = parse_event(note.text).time
    hospitals = [line for line in note.lines if line.name.endswith("/institution")]
    others = [str(line) for line in note.lines if line not in hospitals]
    row = studies.CharterRow(
        charter_id=charter_id,
        study=study,
        text=note.text,
        researcher_line="".join(others[:1]),
        proposer=NOBODY,
        created=time,
        launched=time,
    )
    studies.keep(session, row)
    for line in hospitals:
        signature = studies.SignatureRow(
            charter_id=charter_id, key_name=line.name, line=str(line), time=time
        )
        studies.keep(session, signature)
