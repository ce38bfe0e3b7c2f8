"""A consortium's own network: installed, signed, verified byte for byte, and only then imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compliance import canonical
from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.records.charter import PrivacyTerms
from compliance.records.recipe import Recipe, layout_of, parse_recipe, read_recipe, with_changes
from compliance.rules.noise import check_terms
from site_node import packages
from site_node.packages import describe, listed, read_statement, text_of, vouched_for
from site_node.training import brought
from site_node.training.brought import admit, state
from site_node.training.bundle_recipe import Wanted, recipe_of_family
from site_node.training.session import handle_on, network_of
from tests.packages import NAME, SIGNER, STRANGER, lay_down, signed, trust
from tests.site_node.training.test_session import job

TERMS = PrivacyTerms(epsilon="8", delta="0.00001", unit="patient", accountant="prv")
STATED: list[bytes] = []
NOISY = {"dp": {"sigma": "1", "clip": "1", "batch": 16}, "class_weights": "none"}


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Nothing of a test's package stays in this process."""
    path, finders = list(sys.path), list(sys.meta_path)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    for name in [one for one in sys.modules if one.partition(".")[0] == "north_recipes"]:
        del sys.modules[name]
    brought._ADMITTED.clear()
    brought._LATEST.clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the package is installed."""
    place = lay_down(tmp_path / "lib")
    sys.path.insert(0, str(place))
    return place


@pytest.fixture
def home(root: Path, tmp_path: Path) -> Path:
    """A site's home that trusts the package's signer."""
    place = tmp_path / "home"
    if not STATED:  # once: it tries every family, in each form
        STATED.append(text_of(state(NAME)))
    trust(place, signed(STATED[0]), SIGNER)
    return place


def drafted(home: Path, family: str = "north_cnn", **wanted: object) -> Recipe:
    """A recipe for a family, as `consilium recipe draft` writes it."""
    told = {"id": "north-chest", "classes": ["clear", "opacity"], "size": [16, 16]} | wanted
    (_, statement, _) = next(packages.statements(home))
    made = recipe_of_family(statement, family, Wanted(**told))  # type: ignore[arg-type]
    return with_changes(made, {"local": {"epochs": 1, "batch": 16}, "version": 1})


def refusal(home: Path, recipe: Recipe) -> Refused:
    """How the gate refuses a recipe's package, without importing anything."""
    assert recipe.package is not None
    with pytest.raises(Refused) as raised:
        vouched_for(home, recipe.package, recipe.network.name)
    assert raised.value.rule == "recipe.package"
    assert "north_recipes" not in sys.modules
    return raised.value


def unload() -> None:
    """Forget what signing has imported."""
    for name in [one for one in sys.modules if one.partition(".")[0] == "north_recipes"]:
        del sys.modules[name]


def test_an_own_network_trains_and_its_layout_travels_as_data(home, root, makers):
    """The document alone gives hub and gate the layout; the site's network fits it."""
    recipe = parse_recipe(drafted(home).encode())

    layout = layout_of(recipe)
    admit(home, recipe)
    result = handle_on(makers.hospital(), job(recipe, metrics=["auroc"]))

    assert recipe.family == recipe.network.name == "north_cnn"
    assert layout.sha256 == recipe.layout_sha256
    assert result.delta.shape == (layout.count,)
    assert np.abs(result.delta).max() > 0
    assert canonical.decode(recipe.encode())["package"]["name"] == NAME


def test_classes_may_change_and_the_form_follows(home, root):
    """A charter's draft names other classes: shapes follow, form and code stay."""
    recipe = drafted(home)

    other = with_changes(
        recipe,
        {"classes": ["a", "b", "c"], "task": "multiclass", "loss": "cross_entropy"},
    )

    assert other.form == recipe.form
    assert layout_of(other).count - layout_of(recipe).count == 2 * 33
    with pytest.raises(Malformed, match="no form for 3 channels"):
        with_changes(recipe, {"preprocessing": {"channels": 3}})
    with pytest.raises(Malformed, match="cannot be changed"):
        with_changes(recipe, {"package": None})


def test_one_byte_changed_after_installation_is_refused(home, root):
    """The sentence names the file; the worker refuses it too, also when it loads lazily."""
    recipe = drafted(home)
    unload()
    path = root / "north_recipes" / "net.py"
    path.write_text(path.read_text().replace("padding=1", "padding=0"))

    assert "north_recipes/net.py" in str(refusal(home, recipe))
    with pytest.raises(Refused, match="not the one that was signed"):
        admit(home, recipe)
    with pytest.raises(Refused, match="not verified here"):
        network_of(recipe)
    path.unlink()
    assert "away" in str(refusal(home, recipe))


def test_what_is_compiled_is_what_was_compared(home, root):
    """A planted `.pyc`, a module beside the signed ones and an earlier `sys.path` do nothing."""
    recipe = drafted(home)
    unload()
    cache = root / "north_recipes" / "__pycache__"
    cache.mkdir(exist_ok=True)
    source = root / "north_recipes" / "__init__.py"
    evil = compile("raise SystemExit('planted')", "x", "exec")
    import importlib._bootstrap_external as outside

    at = source.stat()
    planted = outside._code_to_timestamp_pyc(evil, int(at.st_mtime), at.st_size)
    (cache / f"__init__.{sys.implementation.cache_tag}.pyc").write_bytes(planted)
    (root / "north_recipes" / "beside.py").write_text("raise SystemExit('beside')")
    (root.parent / "before").mkdir()
    (root.parent / "before" / "north_recipes.py").write_text("raise SystemExit('before')")
    sys.path.insert(0, str(root.parent / "before"))

    admit(home, recipe)

    assert sys.modules["north_recipes"].MARK == "signed"
    with pytest.raises(ModuleNotFoundError, match="not among the signed files"):
        __import__("north_recipes.beside")


def test_without_a_trusted_signature_nothing_runs(home, root):
    """Unsigned, signed by a stranger, a changed statement, a key that is not trusted any more."""
    recipe, note = drafted(home), (home / "recipes" / "north.note").read_bytes()
    unload()

    (home / "recipes" / "north.note").unlink()
    refusal(home, recipe)
    trust(home, signed(note.partition(b"\n\n")[0] + b"\n", STRANGER), SIGNER)
    refusal(home, recipe)
    trust(home, note.replace(b'"1.0"', b'"1.1"'), SIGNER)
    refusal(home, recipe)
    trust(home, note)
    refusal(home, recipe)
    trust(home, note, STRANGER)
    refusal(home, recipe)
    with pytest.raises(Refused, match="Nobody whom this hospital trusts"):
        read_statement(note, [STRANGER.verifier])
    trust(home, note, SIGNER)
    vouched_for(home, recipe.package, "north_cnn")


def test_others_must_not_be_able_to_write_whom_we_trust(home, root):
    """A file of keys that anybody can write trusts anybody."""
    recipe = drafted(home)
    unload()
    (home / "recipes" / "signers").chmod(0o666)

    assert "chmod go-w" in str(refusal(home, recipe))


def test_a_recipe_cannot_say_more_than_its_signer(home, root):
    """Noise where the signer found none, another file hash, another family, another version."""
    recipe = drafted(home, "north_batched")
    unload()
    plain = recipe.plain()
    lies = [
        plain["package"] | {"limits": plain["package"]["limits"] | {"noise": True}},
        plain["package"] | {"files_sha256": "sha256:" + "0" * 64},
        plain["package"] | {"version": "1.1"},
        plain["package"] | {"name": "south-recipes"},
    ]
    for lie in lies:
        refusal(home, read_recipe(plain | {"package": lie}))
    with pytest.raises(Malformed, match="is not north_cnn"):
        read_recipe(plain | {"family": "north_cnn"})
    renamed = plain | {"family": "other", "network": {"name": "other", "params": {}}}
    refusal(home, read_recipe(renamed))


def test_a_layout_that_the_network_does_not_have_is_refused(home, root, makers):
    """The document may claim any shapes; the real network decides before a case is read."""
    recipe = drafted(home)
    plain = recipe.plain()
    plain["form"]["entries"][0]["shape"] = [9]
    with pytest.raises(Malformed, match="layout hash"):
        layout_of(read_recipe(plain))
    lied = with_changes(read_recipe(plain), {"seed": 1})
    admit(home, lied)

    with pytest.raises(Malformed, match="not the layout of this network"):
        handle_on(makers.hospital(), job(lied))
    plain["form"]["entries"][0]["shape"] = [4096, 4096, 4096]
    with pytest.raises(Malformed, match="more than 250000000 values"):
        read_recipe(plain)


def test_noise_is_answered_by_a_real_backward_and_asked_again_here(home, root):
    """Batch statistics have no gradient of a single case; a signer who lies changes nothing."""
    able, batched = drafted(home), drafted(home, "north_batched")
    assert able.package.limits.noise
    assert not batched.package.limits.noise
    check_terms(TERMS, with_changes(able, NOISY))
    with pytest.raises(Refused) as raised:
        check_terms(TERMS, with_changes(batched, NOISY))
    assert raised.value.rule == "recipe.dp"
    admit(home, with_changes(able, NOISY))

    text = canonical.decode((home / "recipes" / "north.note").read_bytes().split(b"\n\n")[0])
    row = text["families"]["north_batched"]["limits"]
    row["noise"] = True
    trust(home, signed(canonical.encode(text) + b"\n"), SIGNER)
    lied = read_recipe(batched.plain() | {"package": batched.package.plain() | {"limits": row}})
    with pytest.raises(Refused, match="No noise here") as raised:
        admit(home, with_changes(lied, NOISY))
    assert raised.value.rule == "recipe.dp"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"north_recipes/fast.so": "machine"}, "machine code"),
        ({"torch/__init__.py": "evil"}, "north_recipes/ alone"),
        ({"north.pth": "import os"}, "north_recipes/ alone"),
        ({"../outside.py": "evil"}, "north_recipes/ alone"),
    ],
)
def test_a_signer_does_not_sign_what_nobody_can_read(tmp_path, files, said):
    """Machine code, files beside the package, paths out of it."""
    sys.path.insert(0, str(lay_down(tmp_path / "lib", files)))

    with pytest.raises(Refused, match=said):
        describe(NAME)


def test_a_signer_does_not_sign_an_altered_installation(root):
    """RECORD says what was in the wheel."""
    (root / "north_recipes" / "net.py").write_text("changed = 1\n")

    with pytest.raises(Refused, match="RECORD"):
        describe(NAME)
    with pytest.raises(NotReady, match="no entry point"):
        describe("typer")
    with pytest.raises(Refused, match="not installed"):
        describe("south-recipes")


@pytest.mark.parametrize("name", ["json", "torch", "site-node", "North"])
def test_a_package_never_stands_in_the_place_of_another_module(name):
    """Names of the standard library, of ours, and such that are no names."""
    with pytest.raises(Refused):
        packages.check_name(name)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["files"].update({"../x.py": "sha256:" + "0" * 64}),
        lambda told: told["files"].update({"/x.py": "sha256:" + "0" * 64}),
        lambda told: told["files"].update({"a//x.py": "sha256:" + "0" * 64}),
        lambda told: told["families"]["north_cnn"].update(entry="os:system(1)"),
        lambda told: told["families"]["north_cnn"]["limits"].update(smallest=0),
        lambda told: told.update(kind="charter"),
        lambda told: told.update(more=1),
    ],
)
def test_a_statement_has_one_form(home, root, change):
    """Signed or not: a path out of the package or an unknown word is no statement."""
    told = canonical.decode((home / "recipes" / "north.note").read_bytes().split(b"\n\n")[0])
    change(told)

    with pytest.raises(ConsiliumError):
        read_statement(signed(canonical.encode(told) + b"\n"), [SIGNER.verifier])


def test_the_list_says_what_is_wrong(home, root, tmp_path):
    """Signed and unaltered; altered; installed and signed by nobody."""
    assert [(row.package, row.problem, row.signer) for row in listed(home)] == [
        (NAME, "", SIGNER.name)
    ]
    unsigned = listed(tmp_path / "elsewhere")
    assert [(row.package, row.problem) for row in unsigned] == [
        (NAME, "no trusted signer has signed it")
    ]
    (root / "north_recipes" / "net.py").write_text("changed = 1\n")
    assert "not the one that was signed" in listed(home)[0].problem


def test_a_newer_version_of_the_code_is_another_package(home, root, tmp_path):
    """A study goes on with the code that its charter names; another one has its own statement."""
    recipe = drafted(home)
    unload()
    (root / "north_recipes-1.0.dist-info" / "METADATA").unlink()
    for path in (root / "north_recipes-1.0.dist-info").iterdir():
        path.unlink()
    (root / "north_recipes-1.0.dist-info").rmdir()
    lay_down(root, version="1.1")

    assert "1.1" in str(refusal(home, recipe))


def test_code_that_fails_gives_a_sentence(home, root, monkeypatch):
    """Whatever a package raises, the hospital reads what to do and the worker lives."""
    recipe = drafted(home)
    admit(home, recipe)
    key = next(iter(brought._ADMITTED))
    for broken, said in (
        (lambda *_: 1 / 0, "ZeroDivisionError"),
        (lambda *_: "no network", "torch.nn.Module"),
    ):
        monkeypatch.setitem(brought._ADMITTED, key, broken)
        with pytest.raises(Refused, match=said):
            network_of(recipe)


def test_a_recipe_without_a_package_needs_no_home(makers, tmp_path):
    """Networks of the release are not asked for a signature."""
    admit(tmp_path / "nowhere", makers.recipe())
