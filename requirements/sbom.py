"""What is in a folder of wheels, as CycloneDX 1.6: name, version, licence, hash; always the same.

Run: python requirements/sbom.py WHEELS > sbom.json
"""  # noqa: INP001 - a script beside the locks, in no package

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any
from urllib.parse import quote

LICENCE = "License :: OSI Approved :: "


def component(wheel: Path) -> dict[str, Any]:
    """One wheel as a component."""
    told = _metadata(wheel)
    name, version = str(told["Name"]).lower().replace("_", "-"), str(told["Version"])
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    purl = f"pkg:pypi/{name}@{quote(version)}"
    found = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    hashes = [{"alg": "SHA-256", "content": digest}]
    named = [{"license": {"name": licence}} for licence in _licences(told)]
    return found | {"hashes": hashes} | ({"licenses": named} if named else {})


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as file:
        name = next(name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(file.read(name).decode("utf-8"), headersonly=True)


def _licences(told: Message) -> list[str]:
    """The licence expression, else the classifiers, else the first line of the old field."""
    if told["License-Expression"]:
        return [str(told["License-Expression"])]
    classifiers = [str(text) for text in told.get_all("Classifier", [])]
    named = [text.removeprefix(LICENCE) for text in classifiers if text.startswith(LICENCE)]
    old = str(told["License"] or "").strip().split("\n")[0]
    return sorted(named) or ([old] if old else [])


def sbom(folder: Path) -> dict[str, Any]:
    """The whole folder."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [component(wheel) for wheel in sorted(folder.glob("*.whl"))],
    }


if __name__ == "__main__":
    json.dump(sbom(Path(sys.argv[1])), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
