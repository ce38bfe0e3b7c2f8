"""The hub hands out another bundle than the hospitals signed: nothing of it runs."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compliance.canonical import sha256_id
from compliance.signing.keyfile import read_key
from compliance.signing.keys import NOTE, SigningKey
from hub.demo import acts
from hub.federation import bundle
from hub.settings import process_environment
from tests.stories.town import Town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Two hospitals that signed a study under the true bundle."""
    town = Town(tmp_path_factory.mktemp("bundles"), sites=2, patients=120)
    try:
        town.open()
        town.propose(max_rounds=50, round_seconds=60, min_sites=2, min_examples=5, min_cell=5)
        town.sign()
        yield town
    finally:
        town.close()


def hand_out(town: Town, content: bytes, signer: SigningKey) -> None:
    """Let the hub hand out these bytes under this signature, as a stolen hub would."""
    folder = Path(town.play.hub) / "bundle"
    card = {
        "bundle_sha256": sha256_id(content),
        "signers": {signer.name: bundle.openssh_text(signer.verifier.public)},
        "verifications": [bundle.verification(content, signer, int(time.time()))],
    }
    name = sha256_id(content).removeprefix("sha256:")
    (folder / f"{name}.fab").write_bytes(content)
    (folder / "signed.json").write_text(json.dumps(card))


def other_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A bundle whose settings differ in one character."""
    shutil.copytree(bundle.SOURCE, folder / "study-app")
    path = folder / "study-app" / "pyproject.toml"
    path.write_text(path.read_text().replace("holds no code.", "holds no code!"))
    monkeypatch.setattr(bundle, "SOURCE", folder / "study-app")
    return bundle.build(process_environment())


def refusals(town: Town) -> list[str]:
    """Rules by which hospitals refused, as the log has them."""
    return [
        f"{row['actor']} {row['body']['rule']}"
        for row in town.entries()
        if row["type"] == "decision.denied"
    ]


def test_one_other_byte_is_refused_although_the_trusted_signer_signed_it(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signer is right, the bytes are not those of the charter: journal and log say so."""
    signer = read_key(Path(town.play.hub) / "keys" / "signer.key")
    town.cast.stop("hub")
    hand_out(town, other_bundle(tmp_path, monkeypatch), signer)
    acts.serve_hub(town.play)
    town.serve()
    town.launch()

    town.until(lambda: len(set(refusals(town))) == 2)

    assert set(refusals(town)) == {
        "north.example/node round.bundle",
        "south.example/node round.bundle",
    }
    for site in town.play.sites:
        kinds = {line["kind"] for line in town.ask_site(site, "journal")}
        assert "bundle.refused" in kinds
        assert "permitted" not in kinds
    assert not [row for row in town.entries() if row["type"] == "update.submitted"]


def test_the_true_bytes_signed_by_a_stranger_are_refused_too(town: Town) -> None:
    """A new study under the true bundle, for which nobody of the consortium vouches."""
    stranger = SigningKey.generate("hub.example/stranger", NOTE)
    town.cast.stop("hub")
    hand_out(town, bundle.build(process_environment()), stranger)
    acts.serve_hub(town.play)
    town.propose(max_rounds=50, round_seconds=60, min_sites=2, min_examples=5, min_cell=5)
    town.sign()
    town.launch()

    town.until(lambda: len(set(refusals(town))) == 2)

    assert set(refusals(town)) == {
        "north.example/node round.bundle",
        "south.example/node round.bundle",
    }
    assert not [row for row in town.entries() if row["type"] == "update.submitted"]
