"""Would this be allowed? Asked of this hospital's own copy of a log; the hub is not needed.

A copy that is not believed answers nothing: its verdict would be the liar's.
"""

from __future__ import annotations

from datetime import datetime

from compliance.errors import Refused
from compliance.records.types import time_text
from compliance.rules.questions import Question, Reply, ask
from site_node.gate.mirror import Mirror, find_mirrored


def ask_mirror(mirror: Mirror, study: str, question: Question, now: datetime) -> Reply:
    """The verdict of the rules over the own copy of a study's log.

    Args:
        mirror: the own copies.
        study: first characters of the study's or charter's id.
        question: what would be said.
        now: the time at which it would be said.

    Raises:
        NotReady: no such study is mirrored here.
        Refused: this hospital does not believe its copy; the rule of the alarm.
    """
    found = find_mirrored(mirror, study)
    for alarm in mirror.alarms(found):
        raise Refused(alarm.rule, sentence=f"The log is not believed: {alarm.finding}")
    return ask(found, mirror.state(found), question, time_text(now))
