"""A round's new model from files: the same for the director and for whoever makes it again."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import numpy as np

from compliance.records.charter import AggregatorRef
from hub.federation.aggregation.catalogue import aggregator
from hub.federation.aggregation.rule import Update
from hub.federation.aggregation.vectors import FileVector


def aggregated(
    agreed: AggregatorRef, base: Path, updates: Mapping[str, tuple[Path, int]]
) -> tuple[bytes, dict[str, Decimal]]:
    """The new model by the charter's rule, in site order: equal inputs give equal bytes.

    Args:
        agreed: the rule and its parameters.
        base: file of the model from which the round went on, float32, little-endian.
        updates: file and number of examples of each update that counts, by hospital.

    Returns:
        The values, float32, little-endian, and the share of each hospital.

    Raises:
        Refused: the rule is not in the catalogue.
        Malformed: a file has another length.
    """
    rule = aggregator(agreed.name, {k: Decimal(v) for k, v in agreed.params.items()})
    start = FileVector(base)
    found = {site: Update(FileVector(path), n) for site, (path, n) in sorted(updates.items())}
    out = np.empty(start.count, dtype=np.float32)
    _, outcome = rule.apply(rule.init(start.count), base=start, updates=found, out=out)
    return out.astype("<f4", copy=False).tobytes(), dict(outcome.weights)
