"""Server steps: a rule's result is a pseudo-gradient for an optimiser that the hub remembers.

No bias correction, moments begin at zero.

Source: Reddi et al. 2021, arXiv 2003.00295 (FedAdam, FedYogi, FedAdagrad), Hsu et al. 2019
(FedAvgM); design/federation.md §6.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from hub.federation.aggregation.rule import DoubleArray


@dataclass(frozen=True)
class Server:
    """A first moment m and, but for `avgm`, a second one v; the step is lr·m / (√v + τ).

    Args:
        name: `avgm`, `adam`, `yogi` or `adagrad`.
        lr: server's rate.
        beta1: how much of m stays.
        beta2: how much of v stays.
        tau: keeps the divisor above zero.
    """

    name: str
    lr: float
    beta1: float
    beta2: float
    tau: float

    @property
    def moments(self) -> tuple[str, ...]:
        """Names of what is remembered."""
        return ("m",) if self.name == "avgm" else ("m", "v")

    def advance(self, delta: DoubleArray, moments: Mapping[str, DoubleArray]) -> None:
        """Turn the result into the step, in place, and the moments into the next ones.

        Args:
            delta: the rule's result Δ; becomes the step.
            moments: as named by `moments`, same length.
        """
        m = moments["m"]
        square = np.multiply(delta, delta)
        np.multiply(m, self.beta1, out=m)
        np.multiply(delta, 1.0 - self.beta1, out=delta)
        np.add(m, delta, out=m)
        np.multiply(m, self.lr, out=delta)
        if self.name != "avgm":
            v = moments["v"]
            self._second(v, square)
            np.sqrt(v, out=square)
            np.add(square, self.tau, out=square)
            np.divide(delta, square, out=delta)

    def _second(self, v: DoubleArray, square: DoubleArray) -> None:
        """The second moment of each rule; `square` is Δ² and becomes scratch."""
        if self.name == "adagrad":
            np.add(v, square, out=v)
            return
        rest = 1.0 - self.beta2
        if self.name == "yogi":
            sign = np.sign(np.subtract(v, square))
            np.multiply(square, rest, out=square)
            np.multiply(square, sign, out=square)
            np.subtract(v, square, out=v)
            return
        np.multiply(v, self.beta2, out=v)
        np.multiply(square, rest, out=square)
        np.add(v, square, out=v)


def server_step(name: str, params: Mapping[str, Decimal]) -> Server:
    """Return the server step of a name, with the parameters that a charter gives."""
    return Server(
        name=name,
        lr=float(params["server_lr"]),
        beta1=float(params.get("beta1", Decimal("0.9"))),
        beta2=float(params.get("beta2", Decimal("0.999"))),
        tau=float(params.get("tau", Decimal("0.00000001"))),
    )


def scratch(names: tuple[str, ...], width: int) -> dict[str, DoubleArray]:
    """Buffers for one block of moments."""
    return {name: np.empty(width, dtype=np.float64) for name in names}
