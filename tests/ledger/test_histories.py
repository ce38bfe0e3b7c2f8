"""A hub with its own keys rewrites, forks or rolls back: it finds no quorum, and it is proven."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from compliance.command import main
from compliance.errors import ConsiliumError, NotProven
from compliance.ledger.cosign import answer, cosign
from compliance.ledger.merkle import leaf_hash
from compliance.signing.keys import COSIGNATURE
from compliance.signing.note import parse, seal
from site_node.store.mirror import Head, MirrorLog, extend_log, find_log, open_log
from site_node.wiring import Rooms
from tests import factories as make
from tests.ledger.watchers import (
    LOG,
    TIME,
    Watcher,
    checkpoint_of,
    policy_of,
    stranger,
    tree_of,
    with_lines,
)
from tests.simulator import HUB, Federation
from tests.site_node.gate.world import STUDY, World

EAST, NORTH, SOUTH = make.NAMES[:3]


@pytest.fixture
def study() -> Federation:
    """One round played."""
    return Federation().play_round()


@pytest.fixture
def watchers(study: Federation) -> list[Watcher]:
    """Three hospitals that have cosigned it."""
    found = [Watcher(site) for site in study.sites]
    assert all(watcher.look(study.entries) for watcher in found)
    return found


def other_history(*, rounds: int = 1) -> Federation:
    """The same charter and keys, but the hospitals' statements were made in another order."""
    world = Federation()
    world.stop(HUB)
    signers = tuple(f"{site}/institution" for site in world.sites)
    world.must("study.resumed", {"stopped": 1}, signers[0], signers=signers)
    for _ in range(rounds):
        world.play_round()
    return world


def test_a_rewritten_history_finds_no_quorum(study: Federation, watchers: list[Watcher]) -> None:
    """Triggers dropped, entries exchanged, tree and checkpoint made anew with the log's own key."""
    other = other_history(rounds=2)
    note = checkpoint_of(other.entries)

    lines = [watcher.look(other.entries) for watcher in watchers]

    assert lines == [None] * 3
    assert {watcher.status for watcher in watchers} == {422}
    with pytest.raises(NotProven, match="cosigned by 0"):
        policy_of(study).judge(with_lines(note, *lines))


def test_another_history_of_the_same_length_is_refused(
    study: Federation, watchers: list[Watcher]
) -> None:
    """The log is rolled back and another one grown to the same size: refused by every witness."""
    other = other_history()
    fork = other.entries[: len(study.entries)]

    for watcher in watchers:
        assert watcher.look(fork) is None
        assert watcher.status == 422


def test_a_shorter_log_is_refused(study: Federation, watchers: list[Watcher]) -> None:
    """A log that lost its newest entries is older than what the witness knows."""
    assert watchers[0].look(study.entries[:-1]) is None
    assert watchers[0].status == 400


def test_no_old_size_can_be_claimed(study: Federation, watchers: list[Watcher]) -> None:
    """A hub that pretends that the witness knows less is told what the witness knows."""
    size = len(study.entries)
    fork = checkpoint_of(other_history(rounds=2).entries)

    said = answer(watchers[0].known, 1, [], fork, LOG.verifier)

    assert (said.status, said.body) == (409, f"{size}\n")


def test_two_faces_are_proven_to_a_third_party(
    study: Federation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each side sees one history: none gets its quorum, and two checkpoints convict the hub."""
    policy, faces = policy_of(study), (study.entries, other_history().entries[: study.state.size])
    sides = [Watcher(EAST)], [Watcher(NORTH)]
    shown = []
    for entries, side in zip(faces, sides, strict=True):
        lines = [watcher.look(entries) for watcher in side]
        shown.append(with_lines(checkpoint_of(entries), *lines))
        with pytest.raises(NotProven, match="cosigned by 1"):
            policy.judge(shown[-1])
    paths = [tmp_path / "east.txt", tmp_path / "north.txt"]
    for path, note in zip(paths, shown, strict=True):
        path.write_bytes(note)
    told = tmp_path / "policy.txt"
    told.write_text(policy.text())

    code = main(["audit", "compare", *map(str, paths), "--policy", str(told)])

    assert code == 1
    assert "two histories were signed" in "".join(capsys.readouterr())
    shutil.copy(paths[0], paths[1])
    assert main(["audit", "compare", *map(str, paths), "--policy", str(told)]) == 0


def test_one_witness_is_one_voice(study: Federation) -> None:
    """A corrupt witness that cosigns everything, twice, under two times, is still one of three."""
    note = checkpoint_of(study.entries)
    east = make.key(f"{EAST}/witness", COSIGNATURE)
    text = parse(note).text
    lines = [cosign(text, east, TIME), cosign(text, east, TIME + 1)]

    with pytest.raises(NotProven, match="cosigned by 1"):
        policy_of(study).judge(with_lines(note, *lines))


def test_a_strangers_cosignature_is_no_voice(study: Federation) -> None:
    """Keys that the policy does not name are not counted, whatever name they carry."""
    note = checkpoint_of(study.entries)
    text = parse(note).text
    lines = [
        cosign(text, make.key(f"{EAST}/witness", COSIGNATURE), TIME),
        cosign(text, stranger(f"{NORTH}/witness", COSIGNATURE), TIME),
        cosign(text, stranger("mallory.example/witness", COSIGNATURE), TIME),
    ]

    with pytest.raises(NotProven, match="cosigned by 1"):
        policy_of(study).judge(with_lines(note, *lines))


def test_a_checkpoint_by_another_log_key_is_forbidden(
    study: Federation, watchers: list[Watcher]
) -> None:
    """Whoever does not hold the log's key speaks for no log; even a quorum does not heal it."""
    foreign = seal(parse(checkpoint_of(study.entries)).text, stranger(make.ORIGIN))

    assert watchers[0].look(study.entries, note=foreign) is None
    assert watchers[0].status == 403
    text = parse(foreign).text
    lines = [cosign(text, watcher.key, TIME) for watcher in watchers]
    with pytest.raises(NotProven, match="not signed"):
        policy_of(study).judge(with_lines(foreign, *lines))


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_every_byte_counts(study: Federation, watchers: list[Watcher], mask: int) -> None:
    """With exactly the agreed number of cosignatures no byte of a checkpoint can be another one."""
    policy, note = policy_of(study), checkpoint_of(study.entries)
    text = parse(note).text
    exact = with_lines(note, *(cosign(text, watcher.key, TIME) for watcher in watchers[:2]))
    policy.judge(exact)

    for place in range(len(exact)):
        changed = bytearray(exact)
        changed[place] ^= mask
        with pytest.raises(ConsiliumError):
            policy.judge(bytes(changed))


def test_an_entry_past_the_hubs_own_check_gets_no_cosignature(
    study: Federation, watchers: list[Watcher]
) -> None:
    """A patched hub appends a forged statement of a hospital without judging it."""
    forged = study.draft(
        "site.withdrawn", {"reason": "policy"}, f"{NORTH}/node", keys=(study.key(HUB),)
    )

    for watcher in watchers:
        assert watcher.look([*study.entries, forged]) is None
        assert watcher.rule == "event.signer"


def test_entries_that_do_not_lead_to_the_root_are_refused(study: Federation) -> None:
    """A hub that shows one witness other entries than it signed."""
    north = Watcher(NORTH)
    note = checkpoint_of(other_history().entries)

    assert north.look(study.entries, note=note) is None
    assert north.rule == "checkpoint.entries"


def test_a_witness_never_goes_back(tmp_path: Path) -> None:
    """Two looks race in two threads with two histories: one is kept, the other is told to wait."""
    world = World(tmp_path)
    rooms: Rooms = world.joined()
    world.launched(rooms)
    known, first = rooms.mirror.head(STUDY), world.hub.open_round()
    assert known is not None
    assert first.round == 1
    entries = [world.hub.log.entries[1], world.hub.note("study.stopped", STOP)]
    gate, done = threading.Barrier(2), list[bool]()

    def race(note: bytes) -> None:
        root = tree_of([world.hub.log.entries[0], note]).root()
        gate.wait()
        with rooms.store.begin() as session:
            done.append(
                extend_log(
                    session,
                    study=STUDY,
                    old_size=1,
                    entries=[(leaf_hash(note), note)],
                    head=Head(root, note, 1, ""),
                )
            )

    threads = [threading.Thread(target=race, args=(note,)) for note in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(done) == [False, True]
    head = rooms.mirror.head(STUDY)
    assert head is not None
    kept = rooms.mirror.entries(STUDY)
    assert head.size == len(kept) == 2
    assert head.root == tree_of(kept).root()


def test_two_processes_over_one_mirror_keep_one_history(tmp_path: Path) -> None:
    """The loser of a race writes nothing: neither entry nor checkpoint."""
    world = World(tmp_path)
    rooms = world.joined()
    world.launched(rooms)
    other = world.rooms()
    note = world.hub.note("study.stopped", STOP)
    late: MirrorLog | None = None
    with rooms.store.begin() as session:
        open_log(session, study=STUDY, charter_id="x", origin="x")
        late = find_log(session, STUDY)
    world.hub.open_round()
    assert rooms.witness.step(STUDY).size == 2
    head = Head(bytes(32), b"another", 1, "")

    with other.store.begin() as session:
        pair = (leaf_hash(note), note)
        assert not extend_log(session, study=STUDY, old_size=1, entries=[pair], head=head)

    assert late is not None
    assert other.mirror.entries(STUDY) == world.hub.log.entries


STOP = {"reason": "operator", "on_behalf": None}
