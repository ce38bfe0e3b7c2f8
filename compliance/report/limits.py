"""What a bundle does not prove, in plain words; the same text in every bundle of this version."""

from __future__ import annotations

LIMITS = """# What this evidence does not prove

1. The log shows who said what, in which order, at the latest when, under which signed rules,
   and that nothing was changed or removed afterwards.
2. It does not show that a hospital trained on the data it named, that a number of cases, a
   privacy cost or a metric is true, that images were free of identifying marks, that a key
   holder is the person, or that witnesses and the hub did not agree on a false story together.
3. Times are claims of those who signed, bounded by the times of the witnesses.
4. Printed names, narratives and attached files that no entry names are covered by the manifest
   only.
5. Erasure at the source, and the influence of a case on a model that has learned from it, are
   outside.
6. Use of a model at the bedside is not recorded here.

Evidence drawn from a signed log. Not a legal determination.
"""
