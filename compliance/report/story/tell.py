"""The whole report, in the order in which readers ask (design/compliance.md §10.1)."""

from __future__ import annotations

from compliance.report.log import Files, Log
from compliance.report.manifest import root_text
from compliance.report.story import (
    checking,
    clauses,
    data,
    decided,
    entries,
    front,
    left,
    refusals,
    release,
    rounds,
)
from compliance.report.story.pieces import Section, Story


def tell(log: Log, attached: Files, controls: bytes | None = None) -> Story:
    """Tell a study's log as a report.

    Args:
        log: the study's log.
        attached: files that came along; names, cards and registrations are read from them.
        controls: `data/controls.json`, already made; without it no clause is spoken of.
    """
    charter = log.state.charter
    return Story(
        title=charter.title,
        summary=charter.summary,
        lead=front.lead(log),
        banner=front.banner(log),
        facts=front.facts(log),
        sections=_sections(log, attached, controls),
        groups=entries.groups(log),
        size=log.checkpoint.size,
        root=root_text(log.checkpoint),
        as_of=log.as_of,
        closing=checking.CLOSING,
    )


def _sections(log: Log, attached: Files, controls: bytes | None) -> tuple[Section, ...]:
    return (
        decided.section(log, attached),
        data.section(log, attached),
        left.section(log),
        left.privacy(log),
        rounds.section(log),
        refusals.section(log),
        release.section(log, attached),
        checking.section(log),
        *((clauses.section(controls),) if controls is not None else ()),
        checking.limits(),
    )
