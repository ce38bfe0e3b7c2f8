"""What a Flower child of this site may see: a closed list of variables, a home of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from site_node.settings import Settings

KEPT = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"),
    *("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"),
)
"""A hospital's proxy is kept: it is the only way out of some networks."""

OURS = "CONSILIUM_SITE_"
GRAPHICS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""What drivers ask for the processors that a process may see; empty means none."""

POLL_SECONDS = "0.25"
ROOT = Path(__file__).parents[2]


def child_environment(environment: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return the variables of the SuperNode and, through it, of each ClientApp.

    Flower calls home unless told not to. Its home below ours is made anew at each start.
    """
    home = settings.home / "flower" / "home"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = {
        name: value for name, value in environment.items() if name in KEPT or name.startswith(OURS)
    }
    threads, seen = str(settings.threads), ",".join(map(str, range(settings.gpus)))
    return (
        kept
        | dict.fromkeys(GRAPHICS, seen)
        | {
            "PATH": f"{Path(sys.executable).parent}:{environment.get('PATH', '/usr/bin:/bin')}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "CONSILIUM_HOME": str(settings.home),
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": POLL_SECONDS,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
        }
    )


def program(name: str) -> str:
    """Path of a program that was installed beside this Python."""
    return str(Path(sys.executable).parent / name)
