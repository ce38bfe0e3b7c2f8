"""Results into the hospital's own PACS: only files of a result folder, only where settings say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from site_node.imaging.pacs_client import check_named, open_pacs
from site_node.imaging.sources import Progress
from site_node.settings import Settings


def address_of(settings: Settings) -> str:
    """Where results would go, for the person who says yes.

    Raises:
        NotReady: the settings name no PACS.
    """
    check_named(settings)
    if settings.pacs_url:
        return settings.pacs_url
    return f"{settings.pacs_aet}@{settings.pacs_host}:{settings.pacs_port}"


def send(paths: Sequence[Path], settings: Settings, progress: Progress) -> dict[str, Any]:
    """Send files; a file that the PACS has already is taken again under the same number.

    Returns:
        `sent`, and `not_taken` by the PACS's status.

    Raises:
        NotReady: the PACS does not let us in, or took nothing.
        Unreachable: it does not answer.
    """
    check_named(settings)
    statuses: Counter[str] = Counter()
    pacs = open_pacs(settings, settings.home)
    try:
        for done, (_, why) in enumerate(pacs.store(paths), start=1):
            statuses[why] += 1
            progress(f"sent {done} of {len(paths)}", done / len(paths))
    finally:
        pacs.close()
    sent = statuses.pop("", 0)
    if not sent and paths:
        why = ", ".join(f"{status} {n}" for status, n in sorted(statuses.items()))
        raise NotReady(
            f"the PACS took none of {len(paths)} results ({why}).",
            "Ask its administrator whether it stores reports and segmentations of this site.",
        )
    return {"sent": sent, "not_taken": dict(sorted(statuses.items()))}
