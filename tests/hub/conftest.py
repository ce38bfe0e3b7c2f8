"""One hub per test."""

from __future__ import annotations

from tests.hub.fixtures import either, house

__all__ = ["either", "house"]
