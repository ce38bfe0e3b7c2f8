"""What the pages say about the consortium: standings, keys, texts that wait, witnesses, alarms.

A closed catalogue as `words`; a test walks it.
"""

from __future__ import annotations

from compliance.records.agreement import Agreement
from compliance.rules import quorum

STANDINGS: dict[str, str] = {
    "active": "active",
    "suspended": "suspended by the others",
    "left": "has left",
    "waiting": "waits for its admission",
}
"""Where a hospital stands in the consortium."""

STANDING_MEANS: dict[str, str] = {
    "active": "It decides, offers data, trains and cosigns.",
    "suspended": "It says nothing and trains nothing until the others admit it again.",
    "left": "It went by its own statement. What it said before stays.",
    "waiting": "It has joined the hub; no entry admits it yet.",
}

HOLDERS: dict[str, str] = {
    "I": "institution: decides",
    "N": "node: reports",
    "W": "witness: cosigns",
    "H": "the hub's events",
    "L": "this log",
    "R": "researcher",
}
"""What a key is for, by the role of its holder."""

PAPERS: dict[str, str] = {
    "contract": "Contract",
    "processing": "Processing agreement",
    "joint_controllers": "Arrangement of joint controllers (GDPR Art. 26)",
    "other": "Document",
}

OFFERS: dict[str, str] = {"dataset": "data set", "model": "model", "compute": "compute"}

ANSWERS: dict[str, str] = {"granted": "granted", "refused": "refused"}

WAITING: dict[str, str] = {
    "open": "waits for signatures",
    "enough": "has enough signatures and is no entry",
    "impossible": "cannot become an entry any more",
    "carried": "became an entry",
    "unseen": "is said to be an entry that is not cosigned yet",
    "false": "contradicts the log",
    "unjudged": "cannot be judged here",
}
"""What became of a text of several, by what was checked here."""

WAITING_MEANS: dict[str, str] = {
    "open": "",
    "enough": "Every rule allows it with the signatures that hold. Ask the hub's administrator why "
    "it is not in the log.",
    "impossible": "A rule speaks against it whatever else is signed. Propose a new text.",
    "carried": "The very text stands in the log that was checked here.",
    "unseen": "Look again when the hospitals have cosigned.",
    "false": "The hub says something else than the log shows. Do not sign; call the auditor.",
    "unjudged": "Its log could not be checked, so signatures are shown as the hub tells them.",
}

MOTIONS: dict[str, str] = {
    "agreement": "The consortium begins under the agreement “{title}”.",
    "agreement.amended": "A new complete text takes the place of the agreement in force.",
    "member.admitted": "{site} ({country}) becomes a member: it decides, offers data, trains and "
    "cosigns. Compare its keys with the hospital by telephone.",
    "member.suspended": "{site} is silent from then on: it says nothing, trains nothing and is in "
    "no round, until the others admit it again. Reason: {reason}.",
    "key.rotated": "The key {name} is replaced; the old one counts for nothing afterwards. Reason: "
    "{reason}.",
    "charter.amended": "A new complete charter takes the place of the one in force. Who does not "
    "sign it is outside from then on.",
    "study.resumed": "The study goes on: the stop of entry {stopped} is lifted. All active "
    "hospitals sign.",
}
"""What a text of several would change, by its kind."""

PRINTS: dict[str, str] = {
    "institution": "Institution key",
    "node": "Node key",
    "witness": "Witness key",
    "vkey": "New key",
}
"""Fields of a text that hold a key, whose fingerprint is compared by telephone."""

NO_BUTTON = (
    "A hospital signs at the hospital, with its own key. This page has no button for it: a yes "
    "that the hub keeps would be a record, not a decision."
)

HIDDEN = (
    "Alarms reach this page through the hub. A hub that lies can leave them out: the hospital "
    "itself sees them with `consilium site doctor` and in its journal, and writes the evidence for "
    "anybody with `consilium site evidence`."
)

BEHIND = (
    "Each cosignature was verified here under the root of this dashboard's own fold. A hub cannot "
    "invent one; it can keep the newest back, so a hospital may be further than is shown."
)

REACH: dict[str, str] = {
    "even": "up to date",
    "behind": "behind",
    "never": "has cosigned nothing yet",
    "beyond": "cosigned entries that were not shown here",
    "false": "✕ the line that the hub shows does not hold here",
}
"""How far a witness has come."""

ALARM = (
    "Start no round and release nothing before people have spoken: call the auditor. The evidence "
    "lies at the hospital: `consilium site evidence --out DIR`."
)

TWO_HISTORIES = (
    "If the hospital confirms it by telephone, the hub shows two histories: call the auditor, who "
    "compares `consilium site mirror --out DIR` with a bundle."
)

AS_THE_LOG_TELLS = (
    "Everything below follows from the entries that this dashboard read and judged itself, not "
    "from what the hub says about them."
)


def terms(agreement: Agreement) -> list[str]:
    """An agreement in plain sentences: who decides what, what nobody goes below, how long."""
    floors, count = agreement.floors, len(agreement.members)
    witnesses, k = len(agreement.quorum.witnesses), agreement.quorum.k
    admission = (
        f"**Admitting or suspending a hospital**: {agreement.admit_k} of {count} members sign; "
        "who comes in signs too, who is suspended has no say."
    )
    least = (
        f"**No study** trains with fewer than {floors.min_sites} hospitals or fewer than "
        f"{floors.min_examples} cases of a hospital, or shows a count below {floors.min_cell}."
    )
    return [
        f"**Cosigning this log**: {quorum.words(witnesses, k)}",
        admission,
        f"**Changing this agreement**: {agreement.amend_k} of {count} members sign.",
        least,
        f"**Reports answer to**: {', '.join(agreement.profiles) or 'no law is named'}.",
    ]
