"""The doctor: one row per thing that must be well, each with its code and what to do.

A permission problem never says "bad data", and no row advises deleting anything.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from compliance.errors import ConsiliumError, NotReady, Refused, Unreachable
from compliance.protocol import REQUIRED
from compliance.rules.offences import resting
from site_node.gate import neighbours
from site_node.gate.check import Check, Patient
from site_node.gate.line import Shut, Untrusted
from site_node.policy import FILE

DISK_FLOOR = 1 << 30
SHM_FLOOR = 64 << 20
KEY_FILES = ("node.key", "witness.key", "institution.key", "flower.key")
AHEAD, BEHIND = 2.0, 240.0
CLOCK_TRIES, CLOCK_WAIT = 4, 0.7


def examine(patient: Patient) -> list[Check]:
    """Look at everything; a row that cannot be looked at says why.

    What rests on something broken is not looked at: one fault, one row.
    """
    first = (_folder, _disk, _shared_memory, _policy, _joined)
    rows = [_look(patient, question) for question in first]
    rows.append(_look(patient, _store))
    if not rows[-1].well:
        return rows
    if patient.settings.joined:
        for question in (_keys, _hub, neighbours.protocol, _clock):
            rows.append(_look(patient, question))
            if not rows[-1].well:
                break
        then = (neighbours.certificates, _consortium, _logs, neighbours.restored, _outbox)
        rows += [_look(patient, question) for question in (*then, *neighbours.LAST)]
    if patient.settings.scp_allow:
        rows.append(_look(patient, neighbours.receiver))
    if patient.settings.pacs_url or patient.settings.pacs_host:
        rows.append(_look(patient, neighbours.pacs))
    rows.append(_look(patient, neighbours.predictions))
    return [*rows, _look(patient, _datasets)]


def _look(patient: Patient, question: Callable[[Patient], Check]) -> Check:
    try:
        return question(patient)
    except ConsiliumError as error:
        code = getattr(error, "code", "") or question.__name__.strip("_")
        finding, fix = getattr(error, "finding", str(error)), getattr(error, "fix", "")
        return Check(code, well=False, finding=finding, fix=fix)


def as_plain(rows: list[Check]) -> dict[str, Any]:
    """The rows for machines."""
    return {"well": all(row.well for row in rows), "checks": [asdict(row) for row in rows]}


def _folder(patient: Patient) -> Check:
    home = patient.settings.home
    mode = home.stat().st_mode & 0o777
    if mode & 0o077:
        return Check(
            "folder_open", well=False, finding=f"{home} is open to others ({mode:o}).",
            fix=f"Run: chmod 700 {home}",
        )  # fmt: skip
    probe = home / ".doctor"
    try:
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        return Check(
            "folder_denied", well=False, finding=f"{home} cannot be written ({error.strerror}).",
            fix="Give the service user write access.",
        )  # fmt: skip
    return Check("folder", well=True, finding=f"{home} can be written and is closed to others.")


def _disk(patient: Patient) -> Check:
    free = shutil.disk_usage(patient.settings.home).free
    if free < DISK_FLOOR:
        return Check(
            "disk_low", well=False, finding=f"{free >> 20} MiB are free.",
            fix="Free at least 1 GiB on this disk.",
        )  # fmt: skip
    return Check("disk", well=True, finding=f"{free >> 30} GiB are free.")


def _shared_memory(_: Patient) -> Check:
    folder = Path("/dev/shm")  # noqa: S108 - its size is looked at, nothing is written
    if folder.exists() and shutil.disk_usage(folder).total < SHM_FLOOR:
        return Check(
            "shm_small", well=False, finding="Shared memory is smaller than 64 MiB.",
            fix="Start the container with shm_size: 1g.",
        )  # fmt: skip
    return Check("shm", well=True, finding="Shared memory is large enough.")


def _policy(patient: Patient) -> Check:
    settings = patient.settings
    if settings.unusable_policy:
        return Check(
            "policy_broken", well=False, finding=settings.unusable_policy,
            fix="Correct the file; until then nothing is trained here.",
        )  # fmt: skip
    said = settings.policy.said()
    if not said:
        return Check("policy", well=True, finding=f"No {FILE}: the settings alone count.")
    if not settings.policy.open_at(patient.now()):
        return Check(
            "policy", well=True, finding=f"{FILE} tightens {', '.join(said)}; closed at this hour."
        )  # fmt: skip
    return Check("policy", well=True, finding=f"{FILE} tightens {', '.join(said)}.")


def _joined(patient: Patient) -> Check:
    if not patient.settings.joined:
        return Check(
            "never_joined", well=False, finding="This site has not joined a consortium.",
            fix="Run `consilium site join CODE` with the code of the invitation.",
        )  # fmt: skip
    settings = patient.settings
    return Check("joined", well=True, finding=f"{settings.site} at {settings.hub_address}.")


def _store(patient: Patient) -> Check:
    try:
        patient.store()
    except NotReady as error:
        return Check("database_old", well=False, finding=error.finding, fix=error.fix)
    return Check("store", well=True, finding="The database is of this release's revision.")


def _keys(patient: Patient) -> Check:
    for name in KEY_FILES:
        path = patient.settings.keys / name
        if not path.exists():
            return Check(
                "key_missing", well=False, finding=f"The key file {path} is not there.",
                fix="Restore the keys folder from the backup.",
            )  # fmt: skip
        if path.stat().st_mode & 0o077:
            return Check(
                "key_open", well=False, finding=f"The key file {path} is open to others.",
                fix=f"Run: chmod 600 {path}",
            )  # fmt: skip
    keys = patient.keys()
    pairs = ((keys.node.verifier, keys.public.node), (keys.witness.verifier, keys.public.witness))
    if any(found != named for found, named in pairs):
        return Check(
            "key_unknown", well=False, finding="A key file's two halves do not belong together.",
            fix="Restore the keys folder from the backup.",
        )  # fmt: skip
    return Check("keys", well=True, finding="All keys are here and closed to others.")


def _hub(patient: Patient) -> Check:
    try:
        count = len(patient.hub().studies())
    except Refused as error:
        return Check(
            "key_unknown", well=False, finding=str(error),
            fix="Ask the hub's administrator whether this site is suspended or its key replaced.",
        )  # fmt: skip
    except NotReady as error:
        code = error.code if isinstance(error, Untrusted) else "key_unknown"
        return Check(code, well=False, finding=error.finding, fix=error.fix)
    except Unreachable as error:
        code = error.code if isinstance(error, Shut) else "hub_away"
        if code == REQUIRED:
            return neighbours.protocol(patient)
        return Check(code, well=False, finding=error.finding, fix=error.fix)
    return Check(
        "hub", well=True, finding=f"The hub answers; studies that name this site: {count}."
    )


def _clock(patient: Patient) -> Check:
    ahead = _ahead(patient)
    for _ in range(CLOCK_TRIES):
        if ahead <= AHEAD:
            break
        time.sleep(CLOCK_WAIT)
        ahead = min(ahead, _ahead(patient))
    if ahead > AHEAD or ahead < -BEHIND:
        return Check(
            "clock_skew", well=False,
            finding=f"This clock differs from the hub's by {ahead:+.0f} s.",
            fix="Set the clock by NTP; Flower refuses a site more than 5 s ahead of the hub.",
        )  # fmt: skip
    return Check("clock", well=True, finding=f"The clocks differ by {ahead:+.0f} s.")


def _ahead(patient: Patient) -> float:
    """Seconds that this clock is ahead of the hub's, at most.

    The hub's date is in whole seconds and what a busy hub says is older still: it is read late and
    never early, so of several readings the least is nearest to the truth (RFC 5905 §10).
    """
    asked = patient.now()
    told = parsedate_to_datetime(patient.hub().hub_time())
    return (asked - told.replace(tzinfo=UTC)).total_seconds()  # RFC 9110 §5.6.7: GMT


def _consortium(patient: Patient) -> Check:
    state = patient.mirror().consortium()
    if state is None:
        return Check(
            "consortium", well=True,
            finding="No consortium is mirrored here; see `consilium site motions`.",
        )  # fmt: skip
    mine = state.members.get(str(patient.settings.site))
    if mine is None:
        return Check(
            "member_waiting", well=False,
            finding="The members have not admitted this hospital yet.",
            fix="Ask them to run `consilium site admit NAME`; no study comes here before.",
        )  # fmt: skip
    if mine.standing != "active":
        return Check(
            "member_silent", well=False,
            finding=f"By the consortium's log this hospital is {mine.standing} since entry "
            f"{mine.since}.",
            fix="Speak with the other hospitals: they can admit it again.",
        )  # fmt: skip
    agreement = state.agreement_id.removeprefix("sha256:")[:16]
    return Check(
        "consortium", well=True,
        finding=f"Agreement {agreement}… of {len(state.active_members())} active members.",
    )  # fmt: skip


def _logs(patient: Patient) -> Check:
    alarms = patient.mirror().alarms()
    if alarms:
        first = alarms[0]
        return Check(
            "log_disagrees", well=False,
            finding=f"{len(alarms)} alarms; log {first.study}: {first.finding}",
            fix="Stop, keep this machine as it is, and call the auditor; for them run "
            "`consilium site evidence --out DIR`.",
        )  # fmt: skip
    heads = patient.mirror().all_heads()
    for head in patient.mirror().heads():
        rest = resting(patient.mirror().state(head.study)).get(str(patient.settings.site))
        if rest is not None:
            return Check(
                "study_resting", well=False,
                finding=f"In study {head.study} this hospital is not asked until round "
                f"{rest.until} is over: its last updates did not count "
                f"({', '.join(rest.reasons)}).",
                fix="Look at disk and memory of this machine and at worker.log; then it takes part "
                "again by itself.",
            )  # fmt: skip
    return Check("logs", well=True, finding=f"{len(heads)} logs mirrored, none contradicts itself.")


def _outbox(patient: Patient) -> Check:
    waiting = patient.statements().waiting()
    if waiting:
        return Check(
            "outbox_waiting", well=False, finding=f"{waiting} statements wait for the hub.",
            fix="They are sent by `consilium site serve` as soon as the hub answers.",
        )  # fmt: skip
    return Check("outbox", well=True, finding="Everything said was handed over.")


def _datasets(patient: Patient) -> Check:
    rows = patient.catalogue().datasets()
    if not rows:
        return Check(
            "dataset_none", well=False, finding="No dataset is here.",
            fix="Run `consilium site import FOLDER --dataset NAME --labels CSV`.",
        )  # fmt: skip
    for row in rows:
        if not Path(row.dir).is_dir():
            return Check(
                "folder_missing", well=False, finding=f"The folder of dataset {row.name} is away.",
                fix="Mount or restore the datasets folder.",
            )  # fmt: skip
    return Check("datasets", well=True, finding=f"Datasets that can be read: {len(rows)}.")
