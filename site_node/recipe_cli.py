"""`consilium recipe …`: recipes for networks that no release has; `consilium site recipes`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import NotReady
from compliance.records.recipe import Recipe
from compliance.signing.keyfile import read_key, write_key
from compliance.signing.keys import NOTE, SigningKey
from compliance.signing.note import seal
from site_node.gate.say import passphrase_of
from site_node.options import AsJson, Home, Passphrase, speak
from site_node.packages import FOLDER, SIGNERS, listed, statement_in, text_of
from site_node.settings import default_home

recipe = typer.Typer(
    help="Recipes for networks that no release has: sign, draft, import.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Out = Annotated[Path, typer.Option(help="New file to write.")]
Id = Annotated[str, typer.Option("--id", help="Name of the new recipe, such as chest-unet.")]
Classes = Annotated[
    str | None, typer.Option(help="Classes, comma separated, as the datasets have them.")
]
Size = Annotated[str | None, typer.Option(help="Sides that are read: 256,256 or 64,64,64.")]


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give `recipes` to `consilium site`; `act` words what a full disk would say."""
    app.command("recipes")(act(recipes))


def recipes(*, home: Home = None, as_json: AsJson = False) -> None:
    """List the packages of recipes that are installed or signed here, and what is wrong with each.

    Example: consilium site recipes
    """
    folder = home or default_home()
    rows = listed(folder)
    lines = [
        f"{row.package} {row.version}: {', '.join(row.families)}; "
        + (row.problem or f"signed by {row.signer}, unaltered")
        for row in rows
    ]
    speak(
        [row.__dict__ | {"families": list(row.families)} for row in rows],
        as_json=as_json,
        lines=lines or [f"No package. Trusted keys stand in {folder / FOLDER / SIGNERS}."],
    )
    if any(row.problem for row in rows):
        raise typer.Exit(1)


@recipe.command()
def sign(
    package: Annotated[str, typer.Argument(help="Name of an installed package.")],
    *,
    key: Annotated[Path, typer.Option(help="Signer's key file; made if it is not there.")],
    out: Out,
    name: Annotated[str, typer.Option(help="Name of a new signer.")] = "consortium/recipes",
    passphrase_file: Passphrase = None,
    as_json: AsJson = False,
) -> None:
    """Sign an installed package of recipes: every file, and what its networks can be asked for.

    Its code is run here, to see what a backward pass gives. Hospitals lay the statement into
    `recipes/` of their home.

    Example: consilium recipe sign north-recipes --key signer.key --out north-recipes.note
    """
    from site_node.training.brought import state  # slow to import: torch

    secret = passphrase_of(passphrase_file, None) if passphrase_file else None
    if not key.exists():
        write_key(key, SigningKey.generate(name, NOTE), secret)
    signer, statement = read_key(key, secret), state(package)
    _write(out, seal(text_of(statement), signer))
    rows = {
        family: {"noise": row.limits.noise, "why": row.limits.why}
        for family, row in sorted(statement.families.items())
    }
    told = {"out": str(out), "package": package, "version": statement.version,
            "files": len(statement.files), "families": rows,
            "signer": str(signer.verifier)}  # fmt: skip
    lines = [f"{package} {statement.version}, {len(statement.files)} files: {out}"]
    lines += [f"  {n}: noise {'yes' if r['noise'] else 'no'}, {r['why']}" for n, r in rows.items()]
    speak(told, as_json=as_json, lines=[*lines, f"Hospitals trust this line: {signer.verifier}"])


@recipe.command()
def draft(  # noqa: PLR0913 - one option each
    family: Annotated[str, typer.Argument(help="A family of the package.")],
    *,
    statement: Annotated[Path, typer.Option(help="The signed statement of its package.")],
    out: Out,
    name: Id,
    classes: Classes = None,
    size: Size = None,
    channels: Annotated[int | None, typer.Option(help="Channels of an image.")] = None,
    task: Annotated[str | None, typer.Option(help="multilabel, where it is not told.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a recipe for a family of an installed package; its layout goes along, its code not.

    Example: consilium recipe draft north_cnn --statement north-recipes.note --id north-chest
    --classes negative,positive --size 64,64 --out recipe.json
    """
    from site_node.training.bundle_recipe import Wanted, recipe_of_family  # slow: torch

    wanted = Wanted(name, _words(classes), _sides(size), task, channels)
    made = recipe_of_family(statement_in(statement.read_bytes()), family, wanted)
    _tell(made, out, [], as_json=as_json)


@recipe.command("import-bundle")
def import_bundle(
    bundle: Annotated[Path, typer.Argument(help="Folder or .zip of a MONAI bundle.")],
    *,
    out: Out,
    name: Id,
    classes: Classes = None,
    size: Size = None,
    task: Annotated[str | None, typer.Option(help="multilabel, where it is not told.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a recipe from a MONAI bundle's network definition; it is read as data, nothing is run.

    Only networks of our table with plain numbers; no expression ($…), no weights. What was left
    out is said.

    Example: consilium recipe import-bundle spleen.zip --id spleen --size 96,96,96 --out recipe.json
    """
    from site_node.training.bundle_files import read_bundle
    from site_node.training.bundle_recipe import Wanted, recipe_of_bundle  # slow: torch

    wanted = Wanted(name, _words(classes), _sides(size), task)
    made, left = recipe_of_bundle(read_bundle(bundle), wanted)
    _tell(made, out, left, as_json=as_json)


def _tell(made: Recipe, out: Path, left: list[str], *, as_json: bool) -> None:
    _write(out, made.encode())
    values = made.form.values(made.outputs) if made.form else None
    told = {"out": str(out), "sha256": made.sha256, "network": made.network.plain(),
            "classes": list(made.classes), "values": values, "left_out": left}  # fmt: skip
    lines = [f"{out}: {made.network.name} for {', '.join(made.classes)}; {made.sha256}"]
    lines += [f"  left out: {row}" for row in left]
    lines.append("Bring it to the hub: consilium study bring-recipe " + str(out))
    speak(told, as_json=as_json, lines=lines)


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        said = f"{path} cannot be written ({error.strerror})."
        raise NotReady(said, "Name a new file.") from None


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",")]


def _sides(text: str | None) -> list[int] | None:
    words = _words(text)
    if words is None:
        return None
    if not all(word.isdecimal() for word in words):
        raise NotReady(f"{text} are no sides.", "Say --size 256,256 or --size 64,64,64.")
    return [int(word) for word in words]
