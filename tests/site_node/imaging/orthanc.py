"""A real PACS (Orthanc of Debian) and four hospitals that take everything it holds, four ways.

Runs as a program in a network namespace of its own: this Orthanc listens on every address and
cannot be told otherwise. It writes down what happened; test_orthanc.py judges.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pydicom
from pydicom import dcmread

from tests.site_node.imaging.files import RECIPE, SECRET

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
PLUGINS = Path("/usr/share/orthanc/plugins")
HTTP, DICOM, OURS = 8042, 4242, 11112
USER, PASSWORD = "node", "s3cret"
BASE = f"http://127.0.0.1:{HTTP}"
LABELS = ("PatientID,finding", "4MR1,normal", "1CT1,ill", "98890234,normal", "77654033,ill")
ALL = "PatientID=*"
NAMES = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def configuration(root: Path) -> dict[str, Any]:
    """Own storage, the two plug-ins by path, one user, and our title at our port."""
    ours = {"AET": "CONSILIUM", "Host": "127.0.0.1", "Port": OURS}
    may = dict.fromkeys(("AllowEcho", "AllowFind", "AllowGet", "AllowMove", "AllowStore"), True)
    return {
        "StorageDirectory": str(root / "storage"),
        "IndexDirectory": str(root / "storage"),
        "Plugins": [str(PLUGINS / f"libOrthanc{name}.so") for name in ("DicomWeb", "Gdcm")],
        "HttpPort": HTTP,
        "DicomPort": DICOM,
        "DicomAet": "PACS",
        "DicomCheckCalledAet": True,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomModalities": {"consilium": ours | may},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "LimitFindResults": 0,
        "LimitFindInstances": 0,
    }


@contextmanager
def orthanc(root: Path) -> Iterator[httpx.Client]:
    """The PACS, ready; ended by its process id."""
    (root / "storage").mkdir(parents=True)
    (root / "orthanc.json").write_text(json.dumps(configuration(root)))
    with (root / "orthanc.log").open("wb") as log:
        child = subprocess.Popen(["Orthanc", str(root / "orthanc.json")], stdout=log, stderr=log)
    client = httpx.Client(base_url=BASE, auth=(USER, PASSWORD), timeout=120, trust_env=False)
    try:
        await_true(lambda: answers(client), child)
        yield client
    finally:
        client.close()
        child.terminate()
        child.wait(timeout=20)


def answers(client: httpx.Client) -> bool:
    """Whether the PACS answers."""
    try:
        return client.get("/system").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def await_true(question: Any, child: subprocess.Popen[bytes]) -> None:
    """Until the answer is yes, a minute at most, while the child lives."""
    ends = time.monotonic() + 60
    while not question():
        if time.monotonic() > ends or child.poll() is not None:
            sys.exit("a program of the story did not come up")
        time.sleep(0.05)


class Hospital:
    """One home and what a technician types there."""

    def __init__(self, root: Path, name: str, **settings: Any) -> None:
        self.home = root / name
        self.home.mkdir(mode=0o700)
        written(self.home / "secret.key", SECRET)
        written(self.home / "password", PASSWORD.encode())
        words = {"scp_disk_floor_gb": 0, "scp_allow": "PACS@127.0.0.1"} | settings
        lines = [f"{key} = {json.dumps(value)}" for key, value in words.items()]
        (self.home / "site.toml").write_text("\n".join(lines) + "\n")
        (self.home / "recipe.json").write_text(RECIPE)
        (self.home / "labels.csv").write_text("\n".join(LABELS) + "\n")

    def take(self, *source: str) -> dict[str, Any]:
        """Type `consilium site import`; its answer."""
        words = [
            *(sys.executable, "-m", "compliance.command", "site", "import", *source),
            *("--dataset", "chest", "--labels", str(self.home / "labels.csv")),
            *("--recipe", str(self.home / "recipe.json"), "--home", str(self.home), "--json"),
        ]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{source}: {done.stderr}")
        return json.loads(done.stdout)

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """The receiver of this site, as `site serve` starts it."""
        words = [sys.executable, "-m", "site_node.imaging.scp", str(self.home)]
        child = subprocess.Popen(words, stdin=subprocess.PIPE)
        echo = ["echoscu", "-aet", "PACS", "-aec", "CONSILIUM", "127.0.0.1", str(OURS)]
        try:
            await_true(
                lambda: subprocess.run(echo, capture_output=True, check=False).returncode == 0,
                child,
            )
            yield
        finally:
            assert child.stdin is not None
            child.stdin.close()
            child.wait(timeout=20)

    def kept(self) -> list[dict[str, str]]:
        """Everything that arrived."""
        paths = [*self.home.glob("inbox/??/*.dcm"), *self.home.glob("quarantine/*")]
        return [told_of(path.read_bytes()) for path in paths]


def written(path: Path, data: bytes) -> None:
    """Write a file for its owner only."""
    path.touch(mode=0o600)
    path.write_bytes(data)


def told_of(data: bytes) -> dict[str, str]:
    """What the story tells of one object: number, class, patient, encoding, hash of the pixels."""
    read = dcmread(BytesIO(data), force=True)
    told = {name: str(read.get(name, "")) for name in NAMES}
    told["patient"] = "named" if "PatientID" in read else "absent"
    syntax = str(read.file_meta.get("TransferSyntaxUID", ""))
    pixels = sha256(read.get("PixelData") or b"").hexdigest()
    return told | {"syntax": syntax, "pixels": pixels}


def fill(client: httpx.Client) -> None:
    """Hand every bundled file to the PACS; what it does not take is no object to it."""
    for path in sorted(BUNDLED.rglob("*")):
        if path.is_file():
            client.post("/instances", content=path.read_bytes())


def held(client: httpx.Client) -> list[dict[str, str]]:
    """What the PACS holds."""
    numbers = client.get("/instances").json()
    return [told_of(client.get(f"/instances/{one}/file").content) for one in numbers]


def send_all(client: httpx.Client) -> None:
    """Tell the PACS to send everything to us, and wait until it has."""
    everything = {"Resources": client.get("/instances").json(), "Permissive": True}
    answer = client.post("/modalities/consilium/store", json=everything | {"Synchronous": True})
    answer.raise_for_status()


def story(root: Path) -> dict[str, Any]:
    """Fill the PACS, take everything four ways, and write down what is where."""
    by_dicom = {"pacs_host": "127.0.0.1", "pacs_port": DICOM, "pacs_aet": "PACS"}
    by_web = {"pacs_url": f"{BASE}/dicom-web", "pacs_user": USER}
    told: dict[str, Any] = {}
    with orthanc(root / "pacs") as client:
        fill(client)
        told["pacs"] = held(client)
        told["counted"] = client.get("/statistics").json()["CountInstances"]
        sent = Hospital(root, "store")
        with sent.receiving():
            send_all(client)
        told["store"] = {"import": sent.take("inbox"), "kept": sent.kept()}
        web = Hospital(root, "web", **by_web, pacs_password_file=str(root / "web" / "password"))
        told["web"] = {"import": web.take("pacs", "--query", ALL), "kept": web.kept()}
        told["again"] = web.take("pacs", "--query", ALL)
        told["modality"] = web.take("pacs", "--query", "Modality=CT")
        get = Hospital(root, "get", **by_dicom)
        told["get"] = {"import": get.take("pacs", "--query", ALL), "kept": get.kept()}
        move = Hospital(root, "move", **by_dicom, pacs_retrieve="move")
        with move.receiving():
            told["move"] = {"import": move.take("pacs", "--query", ALL), "kept": move.kept()}
    return told


if __name__ == "__main__":
    os.umask(0o077)
    Path(sys.argv[2]).write_text(json.dumps(story(Path(sys.argv[1]))))
