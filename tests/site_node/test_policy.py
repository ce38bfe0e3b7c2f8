"""The site's own policy: it tightens, never loosens, and an unclear file allows nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from compliance.errors import NotReady
from site_node.federation.surroundings import GRAPHICS, child_environment
from site_node.policy import FILE, SitePolicy, read_policy, window_of
from site_node.settings import FILE as SETTINGS
from site_node.settings import load_settings, write_settings

SUNDAY = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def write(home: Path, **lines: Any) -> None:
    """Write a policy."""
    (home / FILE).write_text(yaml.safe_dump(lines))


def test_without_a_file_the_settings_alone_count(tmp_path: Path) -> None:
    """Nothing is said, nothing is changed."""
    settings = load_settings(tmp_path)

    assert settings.policy == SitePolicy()
    assert settings.policy.said() == {}


def test_the_stricter_of_settings_and_policy_counts(tmp_path: Path) -> None:
    """Whoever reads a setting meets the policy's value; what it does not name stays."""
    write_settings(tmp_path / SETTINGS, {"min_examples": 20, "max_rounds": 50, "threads": 8})
    write(tmp_path, min_examples=40, min_cell=10, families=["cnn2d_small"], threads=2)

    settings = load_settings(tmp_path)

    assert (settings.min_examples, settings.min_cell, settings.max_rounds) == (40, 10, 50)
    assert (settings.families, settings.threads, settings.memory_mb) == (("cnn2d_small",), 2, 0)


@pytest.mark.parametrize(("most", "seen"), [(None, "0,1"), (1, "0"), (0, "")])
def test_training_sees_no_more_graphics_processors_than_the_policy_allows(
    tmp_path: Path, most: int | None, seen: str
) -> None:
    """Whatever the environment of the service names: a driver is told our list."""
    write_settings(tmp_path / SETTINGS, {"gpus": 2})
    if most is not None:
        write(tmp_path, gpus=most)

    given = child_environment({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, load_settings(tmp_path))

    assert {given[name] for name in GRAPHICS} == {seen}


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ({"min_examples": 20}, {"min_examples": 19}),
        ({}, {"min_cell": 4}),
        ({"max_rounds": 10}, {"max_rounds": 11}),
        ({}, {"answer_counts": True}),
        ({"threads": 2}, {"threads": 3}),
        ({"memory_mb": 4000}, {"memory_mb": 4001}),
        ({}, {"gpus": 1}),
        ({"families": ["cnn2d_small"]}, {"families": ["cnn2d_small", "densenet121_gn"]}),
    ],
)
def test_a_line_that_is_looser_than_the_setting_is_refused_at_the_start(
    tmp_path: Path, setting: dict[str, Any], line: dict[str, Any]
) -> None:
    """Its writer thought that it would hold: the sentence names the line and both values."""
    write_settings(tmp_path / SETTINGS, setting)
    write(tmp_path, **line)

    with pytest.raises(NotReady, match=f"{next(iter(line))} .*looser than the setting"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("- min_cell", "no list of names"),
        ("min_cell: [", "not usable"),
        ("min_cells: 9", "min_cells"),
        ("min_cell: 0", "min_cell"),
        ("min_cell: true", "min_cell"),
        ("min_cell: 9\nmin_cell: 5", "min_cell stands there twice"),
        ("families: []", "families"),
        ("purposes: []", "purposes"),
        ("purposes: [everything]", "purposes"),
        ("max_epsilon: 0", "max_epsilon"),
        ("max_epsilon: .nan", "max_epsilon"),
        ("for_profit: maybe", "for_profit"),
        ("answer_counts: perhaps", "answer_counts"),
        ("answer_counts: 1", "answer_counts"),
        ("hours: [at night]", "not written like"),
        ("hours: ['25:00-26:00']", "hours that a day does not have"),
        ("hours: ['08:00-08:00']", "or none"),
        ("hours: ['mon-fry 08:00-09:00']", "'mon-fry' is no day"),
        ("hours: 19:00-06:00", "hours"),
        ("hours: []", "hours"),
        ("time_zone: Mars/Olympus", "no time zone"),
        ("time_zone: ../../etc/passwd", "no time zone"),
        ("# " + "x" * 70_000, "too long"),
        ("!!python/object/apply:os.system [ls]", "not usable"),
    ],
)
def test_an_unclear_file_is_refused_and_the_line_named(
    tmp_path: Path, text: str, words: str
) -> None:
    """Misspelt, impossible, twice or empty: no guess is made at what was meant."""
    (tmp_path / FILE).write_text(text)

    with pytest.raises(NotReady, match=words) as caught:
        load_settings(tmp_path)
    assert FILE in str(caught.value)


def test_a_file_that_cannot_be_opened_is_not_taken_for_none(tmp_path: Path) -> None:
    """A folder in its place, a link to nowhere, bytes of another kind: refused."""
    (tmp_path / FILE).symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotReady, match=FILE):
        read_policy(tmp_path)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).write_bytes(b"min_cell: \xff9")
    with pytest.raises(NotReady, match=FILE):
        read_policy(tmp_path)


def test_with_an_unclear_file_settings_may_be_had_that_allow_nothing(tmp_path: Path) -> None:
    """The doctor must be able to look, and an order to be refused by name."""
    (tmp_path / FILE).write_text("min_cell: 0")

    settings = load_settings(tmp_path, strict=False)

    assert "min_cell" in settings.unusable_policy
    assert FILE in settings.unusable_policy


@pytest.mark.parametrize(
    ("text", "local", "is_open"),
    [
        ("08:00-17:00", "2026-11-23T08:00", True),
        ("08:00-17:00", "2026-11-23T16:59", True),
        ("08:00-17:00", "2026-11-23T17:00", False),
        ("08:00-17:00", "2026-11-23T07:59", False),
        ("mon-fri 19:00-06:00", "2026-11-23T18:59", False),
        ("mon-fri 19:00-06:00", "2026-11-23T19:00", True),
        ("mon-fri 19:00-06:00", "2026-11-24T05:59", True),
        ("mon-fri 19:00-06:00", "2026-11-24T06:00", False),
        ("mon-fri 19:00-06:00", "2026-11-28T05:59", True),  # Saturday, begun on Friday
        ("mon-fri 19:00-06:00", "2026-11-28T19:00", False),
        ("mon-fri 19:00-06:00", "2026-11-23T05:00", False),  # Monday, Sunday is none of its days
        ("sat,sun 00:00-24:00", "2026-11-22T23:59", True),
        ("sat,sun 00:00-24:00", "2026-11-23T00:00", False),
        ("fri-mon 10:00-11:00", "2026-11-22T10:30", True),
        ("fri-mon 10:00-11:00", "2026-11-24T10:30", False),
    ],
)
def test_hours_go_past_midnight_and_belong_to_the_day_they_begin_on(
    text: str, local: str, is_open: bool
) -> None:
    """What a person means by `mon-fri 19:00-06:00`."""
    assert window_of(text).open_at(datetime.fromisoformat(local)) is is_open


def test_hours_are_local_in_summer_and_in_winter(tmp_path: Path) -> None:
    """Eight o'clock in Stockholm is 7 UTC in November and 6 UTC in July."""
    write(tmp_path, hours=["08:00-09:00"], time_zone="Europe/Stockholm")
    policy = load_settings(tmp_path).policy

    assert policy.open_at(datetime(2026, 11, 23, 7, 30, tzinfo=UTC))
    assert not policy.open_at(datetime(2026, 11, 23, 6, 30, tzinfo=UTC))
    assert policy.open_at(datetime(2026, 7, 23, 6, 30, tzinfo=UTC))


def test_one_of_several_windows_is_enough(tmp_path: Path) -> None:
    """Nights of the week and whole weekends."""
    write(tmp_path, hours=["mon-fri 19:00-06:00", "sat,sun 00:00-24:00"])
    policy = load_settings(tmp_path).policy

    assert policy.open_at(SUNDAY)
    assert not policy.open_at(SUNDAY.replace(day=23))
    assert policy.said() == {"hours": "mon-fri 19:00-06:00, sat,sun 00:00-24:00"}


@pytest.mark.parametrize(
    ("setting", "line", "answers"),
    [(None, "", False), (True, "", True), (True, "no", False), (True, "yes", True)],
)
def test_questions_how_many_are_answered_only_where_the_hospital_decided_it(
    tmp_path: Path, setting: bool | None, line: str, answers: bool
) -> None:
    """Off without a word; the policy's no is the last one."""
    if setting is not None:
        write_settings(tmp_path / SETTINGS, {"answer_counts": setting})
    if line:
        (tmp_path / FILE).write_text(f"answer_counts: {line}\n")

    settings = load_settings(tmp_path)

    assert settings.answer_counts is answers
    assert settings.policy.said() == ({"answer_counts": line} if line else {})
