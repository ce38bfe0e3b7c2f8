"""What a child process is told to do with headers: one line through its pipe, on no command line.

The line carries three derived keys. The site's secret stays with the parent, and so do the keys of
labels, split and leaves: a child that is taken over cannot make them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from site_node.imaging.deid.profiles import Profile
from site_node.imaging.keys import SiteKeys

PURPOSES = ("patient", "uid", "date")
READER_MEMORY = 768 << 20
READER_SECONDS = 3600.0


@dataclass(frozen=True)
class Order:
    """What is done with every file."""

    profile: Profile
    accept_burned_in: bool = False
    find_text: bool = False

    @property
    def doing(self) -> str:
        """What people read of a file that was done; reading text takes its time."""
        return "files read for text (slow)" if self.find_text else "files"

    @property
    def more_memory(self) -> int:
        """Bytes that a child needs for the reader of text, besides what every child may use."""
        return READER_MEMORY if self.find_text else 0

    @property
    def more_seconds(self) -> float:
        """Seconds that a file may take longer; the processor's time is limited by its frames."""
        return READER_SECONDS if self.find_text else 0.0

    def line(self, keys: SiteKeys) -> bytes:
        """The order and the keys it needs, as a child reads them."""
        told = self.profile.plain() | {
            "keys": keys.lend(*PURPOSES),
            "accept_burned_in": self.accept_burned_in,
            "find_text": self.find_text,
        }
        return json.dumps(told).encode() + b"\n"


def read_order(line: bytes) -> tuple[Order, SiteKeys]:
    """The order of a line, and the keys that were lent with it."""
    told = json.loads(line)
    profile = Profile(told["name"], frozenset(told["codes"]))
    order = Order(profile, told["accept_burned_in"], told["find_text"])
    return order, SiteKeys.borrowed(told["keys"])
