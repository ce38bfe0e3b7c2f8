"""Recipes of a consortium: installed Python packages that somebody trusted here has signed.

Code never comes from the hub. Hospital IT installs a package, and lays two things into
`<home>/recipes`: `signers`, a line of text per public key, and the signer's statement (`*.note`),
a signed note over the SHA-256 of every file of the package. Modules are compiled from the very
bytes that were compared; what is not in the statement cannot be imported, and no `.pyc` is read.

Source: design/federation.md §7; PyPA "Recording installed projects" (RECORD); C2SP signed-note.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pydantic import ValidationError

from compliance import canonical
from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.records.form import Package, Statement, Vouched, files_digest
from compliance.signing.keys import VerifierKey
from compliance.signing.note import MAX_BYTES, parse, verified

GROUP = "consilium.recipes"
FOLDER, SIGNERS = "recipes", "signers"
RULE = "recipe.package"
INSTALLERS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
"""What an installer writes for itself; none of it is ever imported."""

OURS = frozenset({"compliance", "site_node", "hub", "dashboard", "torch", "monai", "numpy"})
OTHERS_WRITE = 0o022
LARGEST_FILE = 16 << 20
_PLAIN = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True)
class Row:
    """One package as `consilium site recipes` shows it."""

    package: str
    version: str
    families: tuple[str, ...]
    signer: str
    problem: str


def read_statement(data: bytes, signers: Sequence[VerifierKey]) -> tuple[Statement, str]:
    """Read a signed statement; returns it with the name of the trusted key.

    Raises:
        Malformed: no such statement, or a known key whose signature does not verify.
        Refused: `recipe.package`: nobody trusted here signed it.
    """
    statement, note = statement_in(data), parse(data)
    found = verified(note, signers)
    if not found:
        names = ", ".join(line.name for line in note.lines)
        raise Refused(RULE, names, sentence="Nobody whom this hospital trusts signed the package.")
    return statement, found[0].name


def statement_in(data: bytes) -> Statement:
    """The statement of a note, whoever signed it.

    Raises:
        Malformed: no such statement.
    """
    note = parse(data)
    try:
        return Statement.model_validate(canonical.decode(note.text.removesuffix(b"\n")))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Malformed("statement of recipes", f"{where}: {first['msg']}") from None


def text_of(statement: Statement) -> bytes:
    """The text that is signed: its canonical form, and a newline."""
    return canonical.encode(statement.plain()) + b"\n"


def trusted(home: Path) -> list[VerifierKey]:
    """The keys in `<home>/recipes/signers`, one a line; `#` begins a remark.

    Raises:
        Refused: `recipe.package`: others than the site's user can write the file or its folder.
        Malformed: a line is no key.
    """
    path = home / FOLDER / SIGNERS
    if not path.is_file():
        return []
    for place in (path.parent, path):
        if place.stat().st_mode & OTHERS_WRITE:
            raise Refused(RULE, sentence=f"{place} can be written by others: chmod go-w it.")
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [VerifierKey.parse(line) for line in lines if line]


def statements(home: Path) -> Iterator[tuple[Path, Statement, str]]:
    """Every statement here that a trusted key signed; others are not shown, they say nothing."""
    signers = trusted(home)
    for path in sorted((home / FOLDER).glob("*.note")):
        try:
            if path.stat().st_size <= MAX_BYTES:
                yield path, *read_statement(path.read_bytes(), signers)
        except ConsiliumError:
            continue


def vouched_for(home: Path, package: Package, family: str) -> Sealed:
    """The installed package that a recipe names, as a trusted signer described it.

    Every file is read and compared; nothing is imported.

    Raises:
        Refused: `recipe.package`, with what is missing or was changed.
    """
    named = (package.name, package.version, package.files_sha256)
    for _, statement, _ in statements(home):
        if (statement.package, statement.version, files_digest(statement.files)) != named:
            continue
        told = statement.families.get(family)
        if told is None or told.limits != package.limits:
            found = "another description of the family than the recipe has"
            raise Refused(RULE, family, sentence=f"The signed statement has {found}.")
        sealed = Sealed(installed(package.name), statement, told)
        sealed.check()
        return sealed
    said = f"{package.name} {package.version} ({package.files_sha256[:23]}…)"
    raise Refused(
        RULE, said, f"a statement in {home / FOLDER}, signed by a key of its file `{SIGNERS}`",
        "No trusted signer has signed this package.",
    )  # fmt: skip


def installed(name: str) -> Distribution:
    """The installed distribution of this name.

    Raises:
        Refused: `recipe.package`: it is not installed.
    """
    try:
        return distribution(name)
    except PackageNotFoundError:
        said = "The package is not installed in this environment; hospital IT installs it."
        raise Refused(RULE, name, sentence=said) from None


@dataclass(frozen=True)
class Sealed:
    """An installed package beside the statement about it."""

    found: Distribution
    statement: Statement
    family: Vouched

    def check(self) -> None:
        """Compare version and every file.

        Raises:
            Refused: `recipe.package`.
        """
        name, version = self.statement.package, self.statement.version
        check_name(name)
        if self.found.version != version:
            raise Refused(RULE, f"{name} {self.found.version}", f"{name} {version}")
        for path in self.statement.files:
            self.read(path)

    def read(self, path: str) -> bytes:
        """The bytes of a file that was signed.

        Raises:
            Refused: `recipe.package`: it is away, or not the one that was signed.
        """
        data = read_file(self.found, path)
        if data is None or canonical.sha256_id(data) != self.statement.files[path]:
            changed = "away" if data is None else "not the one that was signed"
            said = f"A file of {self.statement.package} is {changed}: {path}."
            raise Refused(RULE, sentence=f"{said} Install the package again.")
        return data

    def load(self) -> Any:
        """Import the family's module from the signed bytes and return its object.

        Raises:
            Refused: `recipe.package`: the module or the object is not there.
        """
        top, (module, _, attribute) = top_of(self.statement.package), _entry(self.family.entry)
        for name in [n for n in sys.modules if n.partition(".")[0] == top]:
            del sys.modules[name]  # of another version, or from elsewhere
        sys.meta_path[:] = [
            one for one in sys.meta_path if not (isinstance(one, _Signed) and one.top == top)
        ]
        sys.meta_path.insert(0, _Signed(self, top))
        try:
            return getattr(__import__(module, fromlist=[attribute]), attribute)
        except Exception as error:  # noqa: BLE001 - code of others may raise anything
            said = f"The package cannot be imported: {type(error).__name__}: {error}."
            raise Refused(RULE, self.family.entry, sentence=said) from None


class _Signed(MetaPathFinder, InspectLoader):
    """Finds the modules of one package among its signed files, and nowhere else."""

    def __init__(self, sealed: Sealed, top: str) -> None:
        self._sealed, self.top = sealed, top

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname.partition(".")[0] != self.top:
            return None
        place = self._place(fullname)
        return spec_from_loader(fullname, self, is_package=place.endswith("/__init__.py"))

    def get_source(self, fullname: str) -> str:
        return self._sealed.read(self._place(fullname)).decode("utf-8")

    def get_code(self, fullname: str) -> CodeType:
        place = self._place(fullname)
        return compile(self._sealed.read(place), place, "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        return self._place(fullname).endswith("/__init__.py")

    def _place(self, fullname: str) -> str:
        path, files = fullname.replace(".", "/"), self._sealed.statement.files
        for place in (f"{path}/__init__.py", f"{path}.py"):
            if place in files:
                return place
        raise ModuleNotFoundError(f"{fullname} is not among the signed files", name=fullname)


def describe(name: str) -> tuple[Distribution, dict[str, str], dict[str, str]]:
    """What a signer signs: the files of an installed package, and its families' entries.

    Every file must be the one that its RECORD names.

    Raises:
        Refused: `recipe.package`: a name, a file or a hash that cannot be signed.
        NotReady: it has no entry point of this group.
    """
    found = installed(name)
    check_name(name)
    families = {one.name: one.value for one in found.entry_points if one.group == GROUP}
    if not families:
        raise NotReady(f"{name} has no entry point `{GROUP}`.", "See the researchers' guide.")
    files = {}
    for row in found.files or ():
        path = row.as_posix()
        if row.name in INSTALLERS or path.endswith(".pyc"):
            continue
        data = _signable(found, name, path)
        recorded = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        if row.hash is None or (row.hash.mode, row.hash.value) != ("sha256", recorded):
            raise Refused(RULE, path, sentence="The file is not the one in the package's RECORD.")
        files[path] = canonical.sha256_id(data)
    return found, files, families


def _signable(found: Distribution, name: str, path: str) -> bytes:
    top, _, rest = path.partition("/")
    inside = top == top_of(name) or re.fullmatch(rf"{top_of(name)}-[^/]+\.dist-info", top)
    data = read_file(found, path) if inside and rest else None
    if data is None or ".." in path.split("/"):
        raise Refused(RULE, path, f"files below {top_of(name)}/ alone")
    if top == top_of(name) and Path(path).suffix in (".so", ".pyd", ".dll", ".dylib", ".pth"):
        raise Refused(RULE, path, "Python source and data: machine code cannot be read by anybody")
    return data


def read_file(found: Distribution, path: str) -> bytes | None:
    """The bytes of an installed file; None where it is away, too large, or no file."""
    place = Path(str(found.locate_file(path)))
    try:
        whole = place.is_file() and place.stat().st_size <= LARGEST_FILE
        return place.read_bytes() if whole else None
    except OSError:
        return None


def top_of(name: str) -> str:
    """The one folder that a package of this name has."""
    return name.replace("-", "_").replace(".", "_")


def check_name(name: str) -> None:
    """Refuse a package that would stand in the place of another module.

    Raises:
        Refused: `recipe.package`.
    """
    top = top_of(name)
    if top in OURS or top in sys.stdlib_module_names or not _PLAIN.fullmatch(top):
        raise Refused(RULE, name, "a name of its own, in lower case")


def _entry(text: str) -> tuple[str, str, str]:
    return text.partition(":")


def listed(home: Path) -> list[Row]:
    """Every installed package of recipes, and every statement here, with what is wrong with it."""
    rows, known = [], {}
    for _, statement, signer in statements(home):
        known[(statement.package, statement.version)] = signer
        rows.append(_row(statement, signer))
    for found in distributions():
        families = _families(found)
        name = (found.metadata["Name"] or "").lower().replace("_", "-")
        if families and (name, found.version) not in known:
            rows.append(Row(name, found.version, families, "", "no trusted signer has signed it"))
    return rows


def _row(statement: Statement, signer: str) -> Row:
    families = tuple(sorted(statement.families))
    try:
        found = installed(statement.package)
        Sealed(found, statement, next(iter(statement.families.values()))).check()
        problem = ""
    except ConsiliumError as error:
        problem = str(error)
    return Row(statement.package, statement.version, families, signer, problem)


def _families(found: Distribution) -> tuple[str, ...]:
    return tuple(sorted(one.name for one in found.entry_points if one.group == GROUP))
