"""A round's new model from files: the same for the director and for whoever makes it again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from compliance.records.charter import AggregatorRef, CharterBody
from compliance.records.layout import Layout
from compliance.rules.methods import reference_of
from hub.federation.aggregation.aggregator import Aggregator, Inputs, Outcome
from hub.federation.aggregation.catalogue import aggregator
from hub.federation.aggregation.moments import FileMoments, FileMomentSink, Moments, NoMoments
from hub.federation.aggregation.rule import Plan, Sections, Update, sections_of
from hub.federation.aggregation.vectors import ArrayVector, FileSink, FileVector

Files = Mapping[str, tuple[Path, int]]
"""File and number of examples of each update that counts, by hospital."""


@dataclass(frozen=True)
class Method:
    """How a study's rounds become models.

    Args:
        agreed: rule and parameters.
        sections: what lies where in its vectors.
        reference: the reference site, for a rule that needs one.
    """

    agreed: AggregatorRef
    sections: Sections
    reference: str | None = None

    @classmethod
    def of(cls, charter: CharterBody, layout: Layout) -> Method:
        """What a charter says."""
        return cls(charter.aggregator, sections_of(layout), reference_of(charter))

    def aggregator(self) -> Aggregator:
        """The rule itself.

        Raises:
            Refused: the rule is not in the catalogue.
        """
        params = {name: Decimal(value) for name, value in self.agreed.params.items()}
        return aggregator(self.agreed.name, params)

    def inputs(self, base: Path, updates: Files, before: Path | None = None) -> Inputs:
        """A round from its files; `before` holds the server step's state, None: all zero.

        Raises:
            NotReady: the state is missing or damaged.
        """
        names, found = self.aggregator().moments, {}
        for site, (path, n) in sorted(updates.items()):
            found[site] = Update(FileVector(path), n)
        moments: Moments = NoMoments()
        if names and before is not None:
            moments = FileMoments(before, names, self.sections.params)
        return Inputs(FileVector(base), found, self.sections, self.reference, moments)

    def write(
        self, inputs: Inputs, out: Path, after: Path | None = None, given: Plan | None = None
    ) -> Outcome:
        """Write the new model into a file, and the server step's state into another.

        Args:
            inputs: of the round.
            out: new file of the model.
            after: new file of the state; nothing is written where the rule has none.
            given: scalars on record, to compute by.

        Raises:
            Undecided, Malformed: as `Aggregator.apply`.
        """
        made = self.aggregator()
        with ExitStack() as stack:
            sink = stack.enter_context(FileSink(out, inputs.parts.count))
            state = None
            if made.moments and after is not None:
                moments = FileMomentSink(after, made.moments, inputs.parts.params)
                state = stack.enter_context(moments)
            return made.apply(inputs, sink, state, given)


def aggregated(
    charter: CharterBody, layout: Layout, base: Path, updates: Files
) -> tuple[bytes, dict[str, Decimal]]:
    """The new model in memory, by the charter's rule; a server step begins with no memory.

    Returns:
        The values, float32, little-endian, and the share of each hospital.

    Raises:
        Refused: the rule is not in the catalogue.
        Undecided, Malformed: as `Aggregator.apply`.
    """
    recipe = Method.of(charter, layout)
    inputs = recipe.inputs(base, updates)
    out = np.empty(inputs.parts.count, dtype=np.float32)
    outcome = recipe.aggregator().apply(inputs, ArrayVector(out))
    return out.astype("<f4", copy=False).tobytes(), dict(outcome.weights)
