"""Training with noise: gradients of single cases, the slow-down, the accountant, the audit.

Run: python -m tests.benchmarks.bench_privacy
Prints one JSON object; ends with 1 when a figure misses its bar.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any

NEVER_REFUTED = 20
SLOW_DOWN = 3.0
IMAGES, SIDE = 16, 64


def main() -> int:
    """Measure and compare with the bars."""
    warnings.simplefilter("ignore")
    told = {**gradients(), **slow_down(), **accountant(), **audits()}
    print(json.dumps(told, indent=1))
    return 0 if all(row["holds"] for row in told.values()) else 1


def gradients() -> dict[str, Any]:
    """Every network of the registry by a real backward pass."""
    import torch

    from compliance.rules.noise import why_not
    from site_node.training.networks import NETWORKS, build
    from site_node.training.single_gradients import CLOSE, farthest

    told: dict[str, Any] = {}
    for name in NETWORKS:
        torch.manual_seed(0)
        network, gap, reason = build(name, {}, channels=1, outputs=2), None, None
        try:
            images = torch.rand(2, 1, 32, 32)
            gap = farthest(network, images, torch.rand_like(network(images).detach()))
        except Exception as error:  # noqa: BLE001 - how a network fails is the answer
            reason = type(error).__name__
        able = gap is not None and gap <= CLOSE
        row = {"gap": gap, "bar": CLOSE, "failed": reason, "offered": why_not(name) is None}
        told[f"gradients {name}"] = {**row, "holds": able is (why_not(name) is None)}
    return told


def slow_down() -> dict[str, Any]:
    """Seconds of a batch with single gradients by seconds without, DenseNet121 with groups."""
    import torch

    from site_node.training.networks import build
    from site_node.training.single_gradients import single_gradients

    network = build("densenet121_gn", {}, channels=1, outputs=1).train()
    images = torch.rand(IMAGES, 1, SIDE, SIDE)

    def step(one: Any) -> None:
        one(images).mean().backward()
        for value in network.parameters():
            value.grad = None
            value.grad_sample = None  # type: ignore[attr-defined]

    plain = _best(lambda: step(network))
    with single_gradients(network) as single:
        noisy = _best(lambda: step(single))
    found = noisy / plain
    return {"slow-down": {"times": round(found, 2), "bar": SLOW_DOWN, "holds": found <= SLOW_DOWN}}


def _best(act: Callable[[], None]) -> float:
    found = []
    for _ in range(3):
        begun = time.perf_counter()
        act()
        found.append(time.perf_counter() - begun)
    return min(found)


def accountant() -> dict[str, Any]:
    """Seconds for one and for ten different kinds of steps."""
    from site_node.training.accounting import epsilon_of

    told = {}
    for kinds, bar in ((1, 5.0), (10, 20.0)):
        spells = [(Decimal("1") + i * Decimal("0.1"), Decimal("0.016"), 100) for i in range(kinds)]
        begun = time.perf_counter()
        epsilon_of(spells, Decimal("0.00001"))
        took = time.perf_counter() - begun
        told[f"accountant {kinds}"] = {"seconds": round(took, 2), "bar": bar, "holds": took <= bar}
    return told


def audits() -> dict[str, Any]:
    """The correct code over many seeds: never refuted."""
    from site_node.training.audit import audit

    bounds = [audit(seed) for seed in range(NEVER_REFUTED)]
    refuted = sum(found.refuted for found in bounds)
    most = max(found.bound for found in bounds)
    row = {"refuted": refuted, "bar": 0, "highest bound": round(most, 3)}
    return {"audit": {**row, "claimed": round(bounds[0].claimed, 3), "holds": refuted == 0}}


if __name__ == "__main__":
    sys.exit(main())
