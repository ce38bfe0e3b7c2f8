"""A consortium's own package of recipes, as an installer would have laid it down; made by hand."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from compliance.signing.keys import NOTE, SigningKey
from compliance.signing.note import seal

NAME, VERSION = "north-recipes", "1.0"
SIGNER = SigningKey.generate("north.example/recipes", NOTE, lambda n: bytes(range(n)))
STRANGER = SigningKey.generate("west.example/recipes", NOTE, lambda n: bytes(n))

INIT = '''"""Networks of the North consortium."""
from north_recipes.net import Plain

MARK = "signed"


class North:
    dims, channels, smallest = (2,), (1, 3), 8

    @staticmethod
    def build(channels, outputs, dims):
        return Plain(channels, outputs)


class Batched(North):
    @staticmethod
    def build(channels, outputs, dims):
        return Plain(channels, outputs, batched=True)
'''
NET = """from torch import nn


class Plain(nn.Sequential):
    def __init__(self, channels, outputs, batched=False):
        norm = nn.BatchNorm2d(8) if batched else nn.GroupNorm(2, 8)
        super().__init__(
            nn.Conv2d(channels, 8, 3, padding=1), norm, nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, outputs),
        )
"""
ENTRIES = """[consilium.recipes]
north_cnn = north_recipes:North
north_batched = north_recipes:Batched
"""


def lay_down(root: Path, files: dict[str, str] | None = None, version: str = VERSION) -> Path:
    """Write the package and its dist-info with RECORD below a folder of `sys.path`."""
    info = f"north_recipes-{version}.dist-info"
    told = {
        "north_recipes/__init__.py": INIT,
        "north_recipes/net.py": NET,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n",
        f"{info}/entry_points.txt": ENTRIES,
    } | (files or {})
    lines = []
    for name, text in told.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        digest = hashlib.sha256(text.encode()).digest()
        told_hash = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        lines.append(f"{name},sha256={told_hash},{len(text)}")
    lines += [f"{info}/RECORD,,", f"{info}/INSTALLER,,"]
    (root / info / "INSTALLER").write_text("pip\n")
    (root / info / "RECORD").write_text("\n".join(lines) + "\n")
    return root


def trust(home: Path, statement: bytes, *signers: SigningKey) -> None:
    """Lay a statement and the lines of trusted keys into a site's home."""
    folder = home / "recipes"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "north.note").write_bytes(statement)
    lines = ["# whom we trust", *(str(key.verifier) for key in signers)]
    (folder / "signers").write_text("\n".join(lines) + "\n")
    (folder / "signers").chmod(0o600)


def signed(text: bytes, key: SigningKey = SIGNER) -> bytes:
    """The note of a statement's text."""
    return seal(text, key)
