"""What a bundle does not prove, in plain words; the same text in every bundle of this version.

Source: design/compliance.md §12; design/ledger.md §16.
"""

from __future__ import annotations

LIMITS = """# What this evidence does not prove

1. **What the log shows.** Who said what, in which order, at the latest when, under which signed
   rules, and that nothing was changed, removed or hidden afterwards.
2. **What it does not show.** That a hospital trained on the data it named; that a number of cases,
   a privacy cost or a metric is true; that noise, which is made of floating-point numbers, hides a
   patient to the last bit as real numbers would; that images were free of identifying marks; that a
   key holder is the person; that enough witnesses and the hub did not agree on a false story
   together.
3. **Times.** Times are claims of those who signed, bounded by the times at which the witnesses
   cosigned.
4. **Masked studies.** Where updates are masked, the log shows that a masked update was included,
   not what was in it.
5. **Names, narratives, PDF.** They are not attested by the log. Printed names come from a directory
   that can be erased; narratives are what the developer wrote; the PDF is drawn from the same log
   as the page, and the page is what is compared.
6. **Erasure.** What happens at the source is outside: the log shows that a dataset was reduced, not
   that records are gone. So is the influence of a case on a model that has learned from it.
7. **Use at the bedside.** The use of a model is not recorded here.
8. **Files without a check.** The verifier lists them in its last step, each time.
9. **Evidence, not a legal determination.** Whether a duty is met is for people to judge.

Evidence drawn from a signed log. Not a legal determination.
"""
