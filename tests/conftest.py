"""What every test may rely on: nothing leaves this machine, one thread for arithmetic."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from tests import needs

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")

_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")  # noqa: S104 - compared, never bound


@pytest.fixture(autouse=True)
def _nothing_leaves_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that opens a connection beyond loopback fails."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
            pytest.fail(f"a test tried to reach {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def pytest_configure() -> None:
    """Refuse a run that requires something nobody knows."""
    needs.required(os.environ)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with what was not exercised here, or say nothing."""
    if line := needs.last_line():
        terminalreporter.write_line(line)
