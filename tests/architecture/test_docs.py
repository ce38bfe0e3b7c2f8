"""What the pages say is what the program does: commands, settings, rules, reasons, links."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from compliance.records.reasons import Quarantine
from compliance.rules.words import SENTENCES
from dashboard.desk import read_draft
from dashboard.settings import Settings as DashboardSettings
from docs.commands import Command, commands
from docs.generate import PAGES
from hub.services.drafts import KEYS
from hub.settings import Settings as HubSettings
from site_node.gate import doctor, line, neighbours
from site_node.settings import Settings as SiteSettings
from tests.factories import DATASET, RESEARCHER
from tests.hub.house import NAMES, House, key_of

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
SPOKEN = [ROOT / "README.md", *GUIDES]
WRITTEN = [
    *SPOKEN,
    ROOT / "docker" / "README.md",
    *(ROOT / name for name in ("CHANGELOG.md", "GLOSSARY.md")),
]
WRITTEN += sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "docs" / "decisions").glob("*.md"))
IT_GUIDE = (ROOT / "docs" / "guides" / "hospital-it.md").read_text()
EXAMPLE_FILE = ROOT / "docs" / "examples" / "charter.yaml"
RESEARCHERS = ROOT / "docs" / "guides" / "researcher.md"

PACKAGES = ("compliance", "site_node", "hub", "dashboard")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
WITHOUT_WORDS = 3

GROUPS = "site|hub|study|recipe|dashboard|audit"
LINE = re.compile(rf"(?:^|[\s`/])consilium ((?:{GROUPS})\b[^`\n#…|]*)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"```.*?```", re.DOTALL)
ALL = {row.name.removeprefix("consilium "): row for row in commands()}


def problems(line: str, known: dict[str, Command]) -> list[str]:
    """What is wrong with a command line: an unknown command, or an option it does not have."""
    said = shlex.split(line.split(" > ")[0].rstrip(" .,;:()").replace("'", ""))
    name = next((n for n in (" ".join(said[:3]), " ".join(said[:2])) if n in known), None)
    if name is None and said[1:] in ([], ["--help"]):  # a group as a whole
        return []
    if name is None:
        return [f"there is no `consilium {' '.join(said[:2])}`"]
    used = {word.split("=")[0] for word in said if word.startswith("--")} - {"--help"}
    return [f"`consilium {name}` has no {flag}" for flag in sorted(used - known[name].flags)]


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    kept = (re.sub(r"[^\w\- ]", "", head.lower()) for head in HEADING.findall(page.read_text()))
    return {head.strip().replace(" ", "-") for head in kept}


@pytest.mark.parametrize("page", SPOKEN, ids=lambda page: page.name)
def test_every_command_line_in_the_guides_can_be_typed(page: Path) -> None:
    """A tired technician copies a line and it exists, with its options."""
    lines = LINE.findall(page.read_text())

    wrong = [f"{line.strip()}: {why}" for line in lines for why in problems(line, ALL)]

    assert lines, f"{page.name} names no command"
    assert not wrong, "\n".join(wrong)


def test_a_command_that_does_not_exist_is_named() -> None:
    """The check above can fail: an invented command and an invented option are found."""
    assert problems("site fly STUDY", ALL) == ["there is no `consilium site fly`"]
    assert problems("hub status --loud", ALL) == ["`consilium hub status` has no --loud"]


def test_every_command_has_help_with_an_example() -> None:
    """A sentence says what it does, and an example that itself can be typed."""
    for name, command in ALL.items():
        assert command.sentence, f"{name} has no sentence"
        assert command.example.startswith(f"consilium {name}"), f"{name} has no example"
        assert not problems(command.example.removeprefix("consilium ").replace("…", ""), ALL)


def test_every_command_is_in_a_guide_or_in_the_readme() -> None:
    """No command has to be found by accident."""
    told = "\n".join(page.read_text() for page in SPOKEN)
    missing = [name for name in ALL if f"consilium {name}" not in told]
    assert not missing, f"named in no guide: {missing}"


@pytest.mark.parametrize("settings", [SiteSettings, HubSettings, DashboardSettings])
def test_every_setting_has_a_sentence(settings: type[BaseSettings]) -> None:
    """A setting without a sentence is a switch in the dark."""
    for name, field in settings.model_fields.items():
        assert field.description, f"{name} has no sentence"
        assert field.description.endswith("."), f"{name}: {field.description!r} is no sentence"


def test_every_rule_has_its_words_on_the_page_of_rules() -> None:
    """The id of a refusal can be looked up, and its sentence is there."""
    page = (ROOT / "docs" / "rules.md").read_text()
    for rule, sentence in SENTENCES.items():
        assert f"| `{rule}` | {sentence} |" in page


def refusals(path: Path) -> Iterator[tuple[str, bool]]:
    """Every id by which a file refuses, and whether words stand beside it."""
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        if call.func.id in ("Denied", "Refused") and isinstance(call.args[0], ast.Constant):
            own = len(call.args) > WITHOUT_WORDS or "sentence" in {k.arg for k in call.keywords}
            yield str(call.args[0].value), own


def test_every_refusal_in_the_sources_has_words() -> None:
    """Whoever is refused finds a sentence: of the rule, or said on the spot."""
    found = [(path, *row) for path in SOURCES for row in refusals(path)]

    mute = [
        f"{path.name}: {rule}" for path, rule, own in found if not own and rule not in SENTENCES
    ]

    assert len(found) > 100
    assert not mute, f"refusals without words: {mute}"


def test_every_quarantine_reason_is_explained_to_hospital_it() -> None:
    """Whoever sees a reason finds what it means and what helps."""
    missing = [str(reason) for reason in Quarantine if f"`{reason}`" not in IT_GUIDE]
    assert not missing, f"not in the guide: {missing}"


def test_every_code_of_the_doctor_is_explained_to_hospital_it() -> None:
    """Whoever reads the doctor's line finds its code in the guide."""
    source = Path(doctor.__file__).read_text() + Path(neighbours.__file__).read_text()
    codes = set(re.findall(r'(?:Check\(|code if isinstance\(.*\) else)\s*"(\w+)"', source))
    codes |= set(re.findall(r'(?:Shut|Untrusted)\(\s*"(\w+)"', Path(line.__file__).read_text()))
    assert len(codes) > 30
    assert not {code for code in codes if f"`{code}`" not in IT_GUIDE}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A link in a page leads to a file that is there, and to a heading that is there."""
    for target in LINK.findall(CODE.sub("", page.read_text())):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{page.name}: {target} is not there"
        assert not anchor or anchor in anchors(there), f"{page.name}: no heading {target}"


@pytest.mark.parametrize("name", PAGES)
def test_every_generated_page_is_current(name: str) -> None:
    """A page that the program prints is what the program prints now."""
    page = ROOT / "docs" / name
    assert page.read_text() == PAGES[name](), f"{name} is stale: run ./consilium docs"


def test_every_decision_has_its_parts() -> None:
    """One page each: state, question, choice, what was given up, when to look again."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{n:04}" for n in range(1, len(pages) + 1)]
    for page in pages:
        text = page.read_text()
        assert re.search(r"^State: (proposed|accepted|replaced by \d{4})$", text, re.MULTILINE)
        for part in ("Question", "Choice", "What we gave up", "When to look again"):
            assert f"**{part}.**" in text, f"{page.name} has no {part}"


@pytest.mark.parametrize("where", ["guide", "file"])
def test_the_example_of_a_charter_is_accepted_by_a_hub(tmp_path: Path, where: str) -> None:
    """Whoever copies the guide's example, or the file, gets a charter that no rule refuses."""
    text = EXAMPLE_FILE.read_text()
    if where == "guide":
        found = re.search(r"```yaml\n(.*?)```", RESEARCHERS.read_text(), re.DOTALL)
        assert found is not None
        text = found[1]
    draft = tmp_path / "charter.yaml"
    draft.write_text(text.replace("id: chest", f"id: {DATASET}"))
    house = House(tmp_path / "hub")
    house.join(*NAMES)
    researcher = str(key_of(RESEARCHER).verifier)

    findings = house.rooms.charters.check(read_draft(draft), researcher)

    house.close()
    assert findings
    assert [row for row in findings if not row.allowed] == []


def test_the_example_file_names_every_field_that_this_release_takes() -> None:
    """Given, or as a comment with its default."""
    given = set(read_draft(EXAMPLE_FILE))
    told = set(re.findall(r"^# (\w+): ", EXAMPLE_FILE.read_text(), re.MULTILINE))

    assert given <= KEYS
    assert KEYS - given <= told
