"""`consilium site privacy` and `site doctor --privacy`: what was spent, and whether noise hides."""

from __future__ import annotations

from decimal import Decimal

import pytest

from site_node.training.single_gradients import NoisyOptimizer
from tests.site_node.gate.ledgers import Ledger
from tests.site_node.shell import Site


def test_the_account_is_listed_with_every_charge(member: Site) -> None:
    """In a line for people, in numbers for machines; before the first study there is nothing."""
    code, out = member.run("privacy")
    assert (code, out) == (0, "No study has trained with noise here.\n")
    ledger = Ledger(member.world.home)
    ledger.train(ledger.study("sha256:" + "ab" * 32))

    [account] = member.ask("privacy")
    _, out = member.run("privacy")

    [charge] = account["charges"]
    assert (account["datasets"], account["patients"], account["cap"]) == (["chest"], 40, None)
    assert (charge["state"], charge["steps"], charge["sample_rate"]) == ("spent", 8, "0.25")
    assert Decimal(account["epsilon"]) > 0
    assert "chest: epsilon" in out
    assert "no cap of our own" in out
    assert "study abababababab" in out


def test_training_with_noise_is_put_to_the_test(
    member: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What hides is not refuted; what forgets the noise ends the command with 1."""
    told = member.ask("doctor", "--privacy")
    monkeypatch.setattr(
        NoisyOptimizer,
        "add_noise",
        lambda self: [setattr(value, "grad", value.summed_grad) for value in self.params],
    )
    code, out = member.run("doctor", "--privacy")

    assert not told["refuted"]
    assert code == 1
    assert "REFUTED" in out
