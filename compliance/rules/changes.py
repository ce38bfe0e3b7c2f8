"""What to change in a draft that a rule refuses: one sentence for each rule that judges drafts."""

from __future__ import annotations

CHANGES: dict[str, str] = {
    "charter.form": "Fill in or correct this field.",
    "charter.keys": "Ask the hub's administrator which keys are registered; nothing in the draft "
    "mends this.",
    "charter.terms": "Choose a number or a method within what can be agreed.",
    "charter.quorum": "Choose as many cosigners as there are witnesses, or fewer, and only "
    "hospitals of the study.",
    "charter.legal": "Complete this part of the legal block.",
    "charter.duo": "Choose a purpose within the terms or leave this data set out; where only the "
    "decision is missing, name the data access committee's.",
    "charter.expired": "Choose a later end.",
    "legal.expired": "Name the renewed document with its new date.",
    "charter.members": "Leave this hospital out until it is a member with these keys, or wait for "
    "the founding.",
    "charter.recipe": "Choose a recipe that is registered and not retired.",
    "charter.floors": "Raise this number to the agreement's floor.",
    "site.suspended": "Leave this hospital out until the others have lifted the suspension.",
}
"""By rule; the sentence of the rule itself says why."""
