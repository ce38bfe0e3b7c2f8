"""Flower's own command line, run as a child with a calm environment of ours.

Flower calls home and reads variables of whoever starts it; here a child gets a closed list.

Source: design/federation.md §1, §2.1.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compliance.errors import NotReady, Unreachable

KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
OURS = "CONSILIUM_"
POLL_SECONDS = "0.25"
SECONDS = 60
SECONDS_A_TURN = 2
JSON = ("--format", "json")
ROOT = Path(__file__).parents[2]


def flower_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the variables of a Flower child: no telemetry, no update check, a home of its own.

    Args:
        environment: of this process; only a closed list and our own names are kept.
        home: FLWR_HOME, made when missing.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = {
        name: value for name, value in environment.items() if name in KEPT or name.startswith(OURS)
    }
    return kept | {
        "PATH": f"{Path(sys.executable).parent}:{environment.get('PATH', '/usr/bin:/bin')}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": POLL_SECONDS,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def program(name: str) -> str:
    """Path of a program that was installed beside this Python."""
    return str(Path(sys.executable).parent / name)


def run_flower(
    words: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> str:
    """Run `flwr WORDS…` to its end and return what it printed.

    Raises:
        NotReady: it ended badly; the last line it said is in the finding.
        Unreachable: it did not end in a minute.
    """
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, argument list, no shell
            [program("flwr"), *words],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"`flwr {words[0]}` did not end in {SECONDS} s.") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-600:]
        raise NotReady(f"`flwr {words[0]}` ended badly: {said}", "See the hub's log.")
    return done.stdout


def ask_flower(words: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Run `flwr WORDS… --format json` and return its answer.

    Raises:
        NotReady: it ended badly, or said that it did not succeed.
    """
    answer = _answer(run_flower([*words, *JSON], environment))
    if not answer.get("success"):
        raise _said(words, answer)
    return answer


def ask_flower_in_turn(
    turns: Sequence[Sequence[str]], environment: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Run one `flwr` command after the other in one process; returns the answers up to a failure.

    Raises:
        NotReady: the first one failed.
        Unreachable: they did not end in time.
    """
    text = "".join(json.dumps([*words, *JSON]) + "\n" for words in turns)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "hub.federation.in_turn"],
            env=dict(environment),
            input=text,
            capture_output=True,
            text=True,
            timeout=SECONDS + SECONDS_A_TURN * len(turns),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"`flwr {turns[0][0]}` did not end in time.") from error
    told = [_answer(line) for line in done.stdout.splitlines() if line.strip()]
    good = [answer for answer in told if answer.get("success")]
    if turns and not good:
        raise _said(turns[0], told[0] if told else {"error-message": done.stderr})
    return good


def _answer(said: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(said)
    return answer


def _said(words: Sequence[str], answer: Mapping[str, Any]) -> NotReady:
    message = str(answer.get("error-message") or answer)
    return NotReady(f"`flwr {words[0]}` said: {message[-600:]}", "See the hub's log.")
