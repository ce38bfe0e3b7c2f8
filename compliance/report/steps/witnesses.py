"""Steps 4, 5 and 11: who signed the checkpoint, how many cosigned it, and when."""

from __future__ import annotations

from datetime import UTC, datetime

from compliance.errors import NotProven
from compliance.ledger.policy import Policy
from compliance.records.types import seconds_of
from compliance.report.steps.work import CHECKPOINT, CannotTellError, Work, policy_given
from compliance.signing.keys import VerifierKey
from compliance.signing.note import parse

LATE_SECONDS = 600


def log_signature(work: Work) -> str:
    """The checkpoint is signed by the log that the policy names."""
    note, checkpoint = parse(work.file(CHECKPOINT)), work.checkpoint
    policy = policy_given(work.asked.policy)
    if policy.log is None or checkpoint.origin != policy.log.name:
        raise CannotTellError(f"the policy is about another log than {checkpoint.origin}")
    key = policy.log
    for line in note.lines:
        if (line.name, line.key_id) == (key.name, key.key_id):
            if not key.verifies(note.text, line.signature):
                raise NotProven("checkpoint.key", "the signature of the log does not verify")
            return f"{checkpoint.origin}, {checkpoint.size} entries, signed by {key.name}"
    _told_if_changed(work, key)
    raise NotProven("checkpoint.key", "the log that the policy names has not signed it")


def quorum(work: Work) -> str:
    """Enough witnesses have cosigned, by the policy that was given and by the one in force."""
    policy = policy_given(work.asked.policy)
    try:
        work.quorum = policy.judge(work.file(CHECKPOINT))
    except NotProven:
        for key in (policy.log, *policy.witnesses.values()):
            if key is not None:
                _told_if_changed(work, key)
        raise
    _known_policy(work, policy)
    named = (f"{name} {_moment(at)}" for name, at in sorted(work.quorum.times.items()))
    return f"cosigned by {', '.join(named)}; asked for {policy.words()}"


def not_after_witnesses(work: Work) -> str:
    """The newest entry is not younger than the newest cosignature."""
    if work.quorum is None:
        raise CannotTellError("no quorum, see step 5")
    newest = work.state.newest_time
    if seconds_of(newest).timestamp() > max(work.quorum.times.values()) + LATE_SECONDS:
        raise NotProven("cosign.older", "the newest entry is younger than every cosignature")
    return f"newest entry {newest}, newest cosignature {_moment(max(work.quorum.times.values()))}"


def _known_policy(work: Work, policy: Policy) -> None:
    """The policy is one that this log has had; the one in force is satisfied too."""
    known = work.reading.policies
    if known and all(policy != item.policy for item in known):
        raise CannotTellError("the policy given does not follow from any charter of this log")
    if not known or policy == known[-1].policy:
        return
    try:
        known[-1].policy.judge(work.file(CHECKPOINT))
    except NotProven as error:
        since = known[-1].since
        words = f"entry {since} changed who must cosign, and by that: {error.finding}"
        raise NotProven("quorum", words) from None


def _told_if_changed(work: Work, key: VerifierKey) -> None:
    """Say which entry replaced a key of the policy, if one did.

    Raises:
        CannotTellError: the key was replaced; the policy is too old.
    """
    state = work.reading.state
    held = state.keys.history.get(key.name, []) if state else []
    places = [place for place, (_, known) in enumerate(held) if known == key]
    if places and places[-1] + 1 < len(held):
        since = held[places[-1] + 1][0]
        raise CannotTellError(
            f"entry {since} changed the key of {key.name}: this policy is older; get the new one "
            "from a member you trust, not from the bundle"
        )


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
