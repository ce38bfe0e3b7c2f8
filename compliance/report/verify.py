"""Verify a bundle offline, step by numbered step; it fails in one way only per step.

Exit codes: 0 verified, 1 refuted, 2 cannot tell. Never 0 with a step left out.

Source: design/ledger.md §13; RFC 6962 §2.1, RFC 8493 §3, C2SP tlog-checkpoint, tlog-policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from compliance.errors import ConsiliumError
from compliance.report.steps import container, content, entries, outside, witnesses
from compliance.report.steps.work import ENTRIES, Asked, CannotTellError, Work

__all__ = ["ENTRIES", "STEPS", "Asked", "Report", "Step", "verify"]

Result = Literal["pass", "fail", "cannot_tell", "not_applicable"]
Check = Callable[[Work], str | None]


@dataclass(frozen=True)
class Step:
    """One step: what was compared, by which clause, and how it ended."""

    number: int
    clause: str
    subject: str
    result: Result
    detail: str


@dataclass
class Report:
    """Every step of a verification; the exit code follows."""

    steps: list[Step] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 verified, 1 refuted, 2 cannot tell."""
        results = {step.result for step in self.steps}
        return 1 if "fail" in results else 2 if "cannot_tell" in results else 0

    def plain(self) -> dict[str, Any]:
        """The report as plain data."""
        words = {0: "verified", 1: "refuted", 2: "cannot tell"}[self.exit_code]
        return {"verdict": words, "steps": [asdict(step) for step in self.steps]}


def verify(
    data: bytes,
    policy_text: str | None,
    charter_id: str | None = None,
    *,
    consortium_policy: str | None = None,
    receipt: bytes | None = None,
    tell: Callable[[Step], None] = lambda _: None,
) -> Report:
    """Verify a bundle.

    Args:
        data: the zip file.
        policy_text: whose signatures count, obtained outside the bundle; None: cannot tell.
        charter_id: the charter that is expected, if known.
        consortium_policy: the same for the consortium's log, if its proofs are to be checked.
        receipt: the receipt that lies beside the bundle, if there is one.
        tell: hears each step as it ends.
    """
    work = Work(Asked(data, policy_text, charter_id, consortium_policy, receipt))
    report = Report()
    for number, (clause, subject, check) in enumerate(STEPS, 1):
        result, detail = _run(check, work)
        report.steps.append(Step(number, clause, subject, result, detail))
        tell(report.steps[-1])
        if number == 1 and result == "fail":
            break
    return report


def _run(check: Check, work: Work) -> tuple[Result, str]:
    try:
        detail = check(work)
    except CannotTellError as error:
        return "cannot_tell", str(error)
    except ConsiliumError as error:
        return "fail", str(error)
    if detail is None:
        return "not_applicable", "nothing of the kind here"
    return "pass", detail


def _attached(work: Work) -> str | None:
    """Attached files against the study's log, and against the consortium's."""
    told = [part for part in (content.attached(work), outside.consortium(work)) if part]
    return "; ".join(told) or None


STEPS: tuple[tuple[str, str, Check], ...] = (
    ("container", "one folder, plain files", container.container),
    ("RFC 8493 §3", "manifests", container.manifests),
    ("manifest.note", "who exported", container.exporter),
    ("tlog-checkpoint", "signature of the log", witnesses.log_signature),
    ("tlog-policy", "quorum of witnesses", witnesses.quorum),
    ("RFC 6962 §2.1", "entries and root", entries.entries_and_root),
    ("tlog-tiles", "tiles", entries.tiles),
    ("charter", "charter id", entries.charter),
    ("signed-note, RFC 8785", "form and signer of every entry", entries.notes),
    ("rules", "every rule replayed", entries.rules),
    ("tlog-cosignature", "time of the witnesses", witnesses.not_after_witnesses),
    ("derived files", "made again and compared", content.derived),
    ("attached files", "hashes in the log", _attached),
    ("model files", "hashes in the log", content.models),
    ("export.created", "receipt of the export", outside.receipt),
    ("limits", "what is not attested", outside.unattested),
)
