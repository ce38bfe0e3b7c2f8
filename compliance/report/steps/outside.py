"""Steps 15 and 16, and the proofs against the consortium's log: what lies outside this log."""

from __future__ import annotations

from collections.abc import Iterator

from compliance.errors import NotProven
from compliance.report import bag
from compliance.report.consortium import check_consortium
from compliance.report.kinds import CONSORTIUM, DEID, kind_of
from compliance.report.receipt import check_receipt
from compliance.report.registered import reports_of
from compliance.report.steps.work import CannotTellError, Work, policy_given

UNPROVABLE = (
    "that a hospital used the data it named",
    "that numbers of cases, privacy costs and metrics are true",
    "that images were free of identifying marks",
    "that a key holder is the person",
    "that hub and witnesses did not agree on a false story together",
)
"""What no log can show, as LIMITS.md says; told in every run."""


def consortium(work: Work) -> str | None:
    """Proofs against the consortium's log, where its policy is given.

    Raises:
        CannotTellError: a policy was given, and the bundle holds no such proof.
    """
    here = any(path.startswith(CONSORTIUM) for path in work.files)
    if work.asked.consortium_policy is None:
        return None
    if not here:
        raise CannotTellError("the bundle holds no proof against the consortium's log")
    policy = policy_given(work.asked.consortium_policy, "--consortium-policy")
    return check_consortium(work.log, work.files, policy)


def receipt(work: Work) -> str | None:
    """The log itself says that this bundle was exported."""
    if work.asked.receipt is None:
        return None
    policy = policy_given(work.asked.policy)
    try:
        return check_receipt(work.asked.receipt, work.log, work.file(bag.MANIFEST), policy)
    except NotProven as error:
        changed = work.reading.policies[-1].policy
        if policy != changed:
            raise CannotTellError(f"by this older policy: {error.finding}") from None
        raise


def unattested(work: Work) -> str:
    """Exactly what nothing attests: files under the manifest only, and what no log can show."""
    files = ", ".join(_loose(work))
    words = f"by the manifest only: {files}. " if files else "every file was compared. "
    return f"{words}{_not_recomputed(work)}No log shows: {'; '.join(UNPROVABLE)}"


def _not_recomputed(work: Work) -> str:
    """That models follow from updates is another check, for it needs the updates' values."""
    state = work.reading.state
    if state is None or not state.rounds_closed:
        return ""
    kept = state.charter.aggregator.params.get("keep_updates", "0") != "0"
    where = "say `consilium audit recompute BUNDLE`" if kept else "the charter keeps no updates"
    return f"Models were not made again from the updates: {where}. "


def _loose(work: Work) -> Iterator[str]:
    """What only the manifest covers; what a second policy would open is counted, not listed."""
    apart = [path for path in sorted(work.files) if _needs_the_consortium(path)]
    asked = work.asked.consortium_policy is not None
    if asked and not reports_of(work.files):
        yield from (path for path in apart if path.startswith(DEID))
    yield from (path for path in sorted(work.files) if kind_of(path) == "unattested")
    if apart and not asked:
        yield f"{len(apart)} files of the consortium's log (need --consortium-policy)"


def _needs_the_consortium(path: str) -> bool:
    return kind_of(path) == "consortium" or path.startswith(DEID)
