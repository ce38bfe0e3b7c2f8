"""What left each hospital, to whom and what for: one table a hospital.

Whether an update is a disclosure in the sense of a law is the hospital's call; the table lists what
went out. It names no patient, because the log knows none.

Source: design/compliance.md §5 (164.528), §1.2 (`sites/<site>/disclosures.csv`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compliance.records.releases import ModelReleased
from compliance.records.rounds import MetricReported, RoundClosed, UpdateSubmitted
from compliance.report.log import Files, Log
from compliance.report.write import write_csv

HEAD = ["date", "what", "dataset", "sha256", "bytes", "recipient", "purpose", "entry"]


def files(log: Log, _: Files) -> dict[str, bytes]:
    """One table for each hospital that a version of the charter names, empty or not."""
    table: dict[str, list[list[Any]]] = {
        site: [] for _, body in log.charters() for site in body.site_names()
    }
    for site, row in rows(log):
        table[site].append(row)
    return {
        f"data/sites/{site}/disclosures.csv": write_csv(HEAD, table[site]) for site in sorted(table)
    }


def rows(log: Log) -> Iterator[tuple[str, list[Any]]]:
    """Hospital and row, in the order of the log."""
    taught: dict[str, set[str]] = {}
    so_far: set[str] = set()
    purpose = " ".join(str(item) for item in log.state.charter.legal.purposes)
    for index, event in enumerate(log.events):
        body, site = event.body, (event.actor or "").rpartition("/")[0]
        if isinstance(body, UpdateSubmitted):
            what = "masked model update" if body.masked else "model update"
            yield site, [event.time, what, body.dataset, body.update_sha256, body.bytes,
                         log.hub, purpose, index]  # fmt: skip
        elif isinstance(body, MetricReported):
            what = f"measured values ({body.phase}, {body.split})"
            yield site, [event.time, what, body.dataset, "", "", log.hub, purpose, index]
        elif isinstance(body, RoundClosed):
            so_far |= set(body.used)
            taught[body.model_sha256] = set(so_far)
        elif isinstance(body, ModelReleased):
            what = f"released model ({body.form})"
            for learned in sorted(taught.get(body.model_sha256, set())):
                yield learned, [event.time, what, "", body.model_sha256, "",
                                "holders of the released model", purpose, index]  # fmt: skip
