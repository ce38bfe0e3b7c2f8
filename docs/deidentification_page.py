"""The page of de-identification, printed from the rules that run: one line per attribute."""

from __future__ import annotations

from pydicom.datadict import dictionary_VR

from site_node.imaging.deid import actions as do
from site_node.imaging.deid.profiles import MEANINGS, REFUSED, STRICT, TRAINING
from site_node.imaging.deid.rules import RULES, plan
from site_node.imaging.deid.table import EDITION, Row, table
from site_node.imaging.deid.words import code_strings

ACTIONS = (
    do.REMOVE, do.EMPTY, do.DUMMY, do.REMAP, do.MOVE, do.TIME, do.AGE, do.NUMBER, do.WORDS,
    do.CODES, do.TERM, do.ENTER, do.VERBATIM, do.OURS,
)  # fmt: skip

HEAD = "| tag | attribute | type | E.1-1 | training | strict |\n|---|---|---|---|---|---|"

INTRO = f"""# What happens to each attribute

For a data protection officer: this page is printed from the rules that
`consilium site import` and `consilium site deidentify` run. A copy begins empty; only what a rule
lets through is written into it, and what no rule speaks of is not there. An import keeps no copy:
it reads its few closed words from the cleaned header, and forgets that too. The table is DICOM
PS3.15 Table E.1-1, edition {EDITION}.

## The rules, first match decides
"""

AROUND = """
## Around the elements

- Preamble zeros; file meta made new; what stands behind the pixels is not read.
- Pixels are written native in little endian: comments of codestreams, bytes behind the last pixel
  and unused bits are gone. A picture that was compressed with loss says so.
- Name and number of the patient become one keyed pseudonym; a copy's file name is a hash of its new
  UID.
- Second look: names of 3 letters or more, numbers, birth date and UIDs of the original are searched
  in every text of the copy. A hit: `residual_identifier`, and nothing is written or imported.
- The age is reckoned from birth and study date when it is missing, if the profile keeps ages.
- Text drawn into the pixels is looked for with `--find-text` only, in pictures of a plane and in
  what admits writing (Burned In Annotation YES): text of 4 or more letters or digits is blanked in
  every frame, 113101 is claimed and Burned In Annotation becomes NO. More than a fifth blanked:
  refused. This is help, not proof. Without it ultrasound and screen captures are refused
  (`burned_in_text`) unless a person says `--accept-burned-in`.
- Not seen: faces in head CT and MR.
- Numbers stay, also where somebody might have hidden a number of a patient; look-up tables are cut
  to their length, segmented ones are not.
"""


def deidentification_page() -> str:
    """Rules, actions, profiles, and every row of the table."""
    rules = [f"| {rule.number} | {rule.sentence} |" for rule in RULES]
    deeds = [f"| `{action.word}` | {action.sentence} |" for action in ACTIONS]
    parts = [
        INTRO,
        "| rule | speaks of |\n|---|---|\n" + "\n".join(rules),
        AROUND,
        f"## What can happen\n\nThe list of code strings has {len(code_strings())} words.\n\n"
        "| word | means |\n|---|---|\n" + "\n".join(deeds),
        _profiles(),
        f"\n## Every attribute of the table\n\n{HEAD}\n"
        + "\n".join(_row(row) for row in table().values()),
    ]
    return "\n".join(parts) + "\n"


def _profiles() -> str:
    offered = "\n".join(f"| {code} | {words} |" for code, words in sorted(MEANINGS.items()))
    refused = "\n".join(f"| {code} | {words} |" for code, words in sorted(REFUSED.items()))
    return (
        f"\n## Profiles\n\n`training`: {', '.join(sorted(TRAINING.codes))}. "
        f"`strict`: {', '.join(sorted(STRICT.codes))}. A hospital's own file has a name and codes. "
        "A copy carries only the codes that are true of it.\n\n"
        f"| code | offered |\n|---|---|\n{offered}\n\n"
        f"| code | refused because |\n|---|---|\n{refused}"
    )


def _row(row: Row) -> str:
    vr = dictionary_VR(row.tag).split(" or ")[0]
    steps = [plan(row.tag, vr, profile) for profile in (TRAINING, STRICT)]
    cells = [f"`{step.action.word}` ({step.rule})" for step in steps]
    tag = f"({row.tag >> 16:04X},{row.tag & 0xFFFF:04X})"
    return f"| {tag} | {row.name} | {vr} | {row.basic} | {cells[0]} | {cells[1]} |"
