"""README.html: one page for a human; no script, nothing from elsewhere, claims link entries."""

from __future__ import annotations

from compliance.report.html import write_html
from compliance.report.log import Files, Log
from compliance.report.story.tell import tell


def page(log: Log, attached: Files, controls: bytes | None = None) -> bytes:
    """Write the page from the log and the files that came along.

    Args:
        log: the study's log.
        attached: names, cards and registrations are read from here.
        controls: `data/controls.json`, already made, if it is.
    """
    return write_html(tell(log, attached, controls))
