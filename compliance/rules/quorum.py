"""What a quorum of k out of n witnesses bears: in numbers, and in words for the one who signs.

Source: design/ledger.md §7.
"""

from __future__ import annotations

from dataclasses import dataclass

_NUMBERS = ("nobody", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Tolerance:
    """What a quorum bears.

    Args:
        down: witnesses that may be silent while checkpoints still find their quorum.
        dishonest: smallest number of witnesses that, together with a dishonest hub, can show two
            histories that both have a quorum; 0 means that the hub can alone.
    """

    down: int
    dishonest: int


def tolerates(n: int, k: int) -> Tolerance:
    """Say what k cosignatures out of n witnesses bear.

    Two histories can both find k cosignatures exactly if 2k - n witnesses or more sign both.
    """
    return Tolerance(down=n - k, dishonest=max(2 * k - n, 0))


def safe_k(n: int, f: int) -> int:
    """Smallest k with which f dishonest witnesses and the hub cannot show two histories."""
    return (n + f) // 2 + 1


def default_k(n: int) -> int:
    """The k that is proposed: safe against a third of the witnesses, rounded down."""
    return safe_k(n, (n - 1) // 3)


def words(n: int, k: int) -> str:
    """Say in one sentence what the quorum bears.

    With all of n the second half is left out: only everybody together could show two histories,
    and nobody would be left to be deceived.
    """
    found = tolerates(n, k)
    alive = f"{_count(found.down)} may be down"
    if found.dishonest == n:
        return f"{k} of {n}: {alive}."
    if found.dishonest == 0:
        return f"{k} of {n}: {alive}; a hub alone could show two histories."
    liars = _count(found.dishonest)
    return f"{k} of {n}: {alive}; a hub and {liars} together could show two histories."


def _count(number: int) -> str:
    if number == 0:
        return "nobody"
    said = _NUMBERS[number] if number < len(_NUMBERS) else str(number)
    return f"{said} hospital" if number == 1 else f"{said} hospitals"
