"""A study that says nearly everything once, its witnesses, and a hand that lies in a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from compliance.ledger.checkpoint import Checkpoint, parse_text, sign
from compliance.ledger.cosign import cosign
from compliance.ledger.merkle import leaf_hash, root
from compliance.ledger.tiles import tile_files
from compliance.records.types import seconds_of
from compliance.report import bag
from compliance.report.bundle import Material, build
from compliance.report.manifest import manifest_text
from compliance.report.verify import Report, verify
from compliance.rules.policies import policy_in_force
from compliance.signing.keys import COSIGNATURE, SigningKey
from compliance.signing.note import assemble, parse, seal
from tests import factories as make
from tests.simulator import HUB, Federation

SITES = make.NAMES[:3]
TOP = "consilium-00112233445566aa"


def told() -> Federation:
    """Two rounds, a refusal, a reduction, a limit, a stop and its end, a release, a review."""
    world = Federation(sites=SITES)
    world.play_round()
    world.must("decision.denied", refusal(), f"{SITES[0]}/node")
    world.must("dataset.reduced", reduction(world), f"{SITES[1]}/node")
    world.must("site.limited", {"dataset": make.DATASET, "epsilon": "2.0"}, f"{SITES[2]}/node")
    world.play_round()
    world.stop(f"{SITES[0]}/node")
    names = tuple(f"{site}/institution" for site in SITES)
    world.must("study.resumed", {"stopped": len(world.entries) - 1}, names[0], signers=names)
    world.approve(*SITES)
    world.must("model.released", release(world), HUB)
    world.must("review.noted", review(len(world.entries)), HUB)
    return world


def refusal() -> dict[str, Any]:
    """A hospital refuses something."""
    return {"action": "update.submitted", "who": None, "rule": "site.floor", "round": 1,
            "suppressed": 2}  # fmt: skip


def reduction(world: Federation) -> dict[str, Any]:
    """A dataset became smaller."""
    before = world.state.dataset_versions[SITES[1], make.DATASET]
    return {"dataset": make.DATASET, "from_version": before, "to_version": make.sha("smaller"),
            "reason": "objection"}  # fmt: skip


def release(world: Federation) -> dict[str, Any]:
    """The hub lets the last model out."""
    return {"model_sha256": world.state.model_sha256, "form": "weights",
            "card_sha256": make.sha("card"), "on_behalf": None}  # fmt: skip


def review(size: int) -> dict[str, Any]:
    """A dashboard user looked through the log."""
    person = {"dir": "a" * 26, "amr": ["pwd"]}
    return {"from": 0, "to": size - 1, "result": "nothing_found", "on_behalf": person}


def witnessed(
    world: Federation,
    size: int | None = None,
    *,
    witnesses: Iterable[SigningKey] | None = None,
    log_key: SigningKey | None = None,
) -> bytes:
    """A checkpoint of the first entries, cosigned by all hospitals a minute after the newest."""
    size = len(world.entries) if size is None else size
    checkpoint = Checkpoint(make.ORIGIN, size, world.state.root(size))
    return cosigned(checkpoint, world, witnesses=witnesses, log_key=log_key)


def cosigned(
    checkpoint: Checkpoint,
    world: Federation,
    *,
    witnesses: Iterable[SigningKey] | None = None,
    log_key: SigningKey | None = None,
) -> bytes:
    """Any checkpoint, signed by the log and by every hospital, a second apart."""
    note = parse(sign(checkpoint, log_key or make.key(make.ORIGIN)))
    moment = int(seconds_of(world.time).timestamp()) + 60
    keys = witnesses or [make.key(f"{site}/witness", COSIGNATURE) for site in world.sites]
    lines = [cosign(note.text, key, moment + place) for place, key in enumerate(keys)]
    return assemble(note.text, [*note.lines, *lines])


def files_of(world: Federation, **changes: Any) -> dict[str, bytes]:
    """Every file of a bundle of this study."""
    given: dict[str, Any] = {
        "entries": world.entries,
        "checkpoint_note": witnessed(world),
        "exporter": make.key(HUB),
    }
    return build(Material(**(given | changes)))


@cache
def example() -> tuple[Federation, Mapping[str, bytes]]:
    """The study and its bundle, made once."""
    world = told()
    return world, files_of(world)


def check(files: Mapping[str, bytes], world: Federation, **how: Any) -> Report:
    """Verify files as a bundle, with the study's own policy."""
    top = f"{TOP}-{len(world.entries)}"
    return verify(bag.write_zip(top, files), policy_in_force(world.state), **how)


def forced(files: Mapping[str, bytes], world: Federation, entries: list[bytes]) -> dict[str, bytes]:
    """The same bundle over other entries: hub and all witnesses sign whatever stands there."""
    checkpoint = Checkpoint(
        make.ORIGIN, len(entries), root([leaf_hash(entry) for entry in entries])
    )
    note = cosigned(checkpoint, world)
    return lied(files, over(files, entries) | {"data/log/checkpoint": note})


def over(files: Mapping[str, bytes], entries: Sequence[bytes]) -> dict[str, bytes | None]:
    """The changes that put other entries into a bundle."""
    tiles = tile_files([leaf_hash(entry) for entry in entries], entries)
    gone = dict.fromkeys(path for path in files if path.startswith("data/log/tile/"))
    return gone | {f"data/log/{path}": data for path, data in tiles.items()}


def lied(
    files: Mapping[str, bytes],
    changes: Mapping[str, bytes | None],
    exporter: SigningKey | None = None,
) -> dict[str, bytes]:
    """Change files of a bundle (None takes one away), rebuild every manifest, sign again."""
    made = {path: data for path, data in files.items() if path not in changes}
    made |= {path: data for path, data in changes.items() if data is not None}
    payload = {path: data for path, data in made.items() if path.startswith("data/")}
    total = sum(map(len, payload.values()))
    info = [line for line in made["bag-info.txt"].decode().splitlines() if "Oxum" not in line]
    oxum = f"Payload-Oxum: {total}.{len(payload)}"
    made["bag-info.txt"] = ("\n".join(sorted([*info, oxum])) + "\n").encode()
    made[bag.MANIFEST] = bag.manifest(payload)
    checkpoint = parse_text(parse(made["data/log/checkpoint"]).text)
    text = manifest_text(checkpoint, made[bag.MANIFEST])
    made["manifest.note"] = seal(text, exporter or make.key(HUB))
    made.pop(bag.TAG_MANIFEST)
    tags = {path: data for path, data in made.items() if path not in payload}
    made[bag.TAG_MANIFEST] = bag.manifest(tags)
    return made


def failed(report: Report) -> dict[int, str]:
    """Number and finding of every step that does not hold."""
    return {step.number: step.detail for step in report.steps if step.result == "fail"}


def untold(report: Report) -> dict[int, str]:
    """Number and finding of every step that could not be told."""
    return {step.number: step.detail for step in report.steps if step.result == "cannot_tell"}
