"""`./consilium demo`: hub, hospitals and dashboard as processes, one study, one bundle."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from compliance.errors import ConsiliumError, NotReady
from hub.demo import acts, images, results
from hub.demo.processes import Cast
from hub.demo.show import Show

GIB = 1 << 30
MOST_ROUNDS = 1000
FEWEST_SITES = 2


def arguments(words: list[str]) -> argparse.Namespace:
    """What may be asked of the demo."""
    parser = argparse.ArgumentParser(
        prog="./consilium demo",
        description="Hub, hospitals, dashboard on this machine; one real study, a verified bundle.",
        epilog="Examples: ./consilium demo · ./consilium demo --headless --rounds 3 · "
        "./consilium demo --data images.npz --rounds 8",
    )
    parser.add_argument(
        "--data", type=Path, help="FILE.npz (MedMNIST form), or DIR with a folder per hospital"
    )
    parser.add_argument("--sites", type=int, default=3, help="number of hospitals, 2 to 8")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of training")
    parser.add_argument(
        "--headless", action="store_true", help="run to the end, print one JSON object last"
    )
    parser.add_argument(
        "--pooled", action="store_true", help="also train on all images in one place, to compare"
    )
    parser.add_argument(
        "--state", type=Path, default=Path(".demo"), help="folder for everything the demo makes"
    )
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Run the demo; the exit code is the verdict."""
    asked = arguments(words)
    show = Show()
    state = asked.state.resolve()
    try:
        _room(asked, state)
    except ConsiliumError as error:
        show.say(str(error))
        return error.exit_code
    cast = Cast(state, _environment())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return _play(asked, state, cast, show)
    except KeyboardInterrupt:
        show.say("Ending every process …")
        return 0
    except ConsiliumError as error:
        show.say(str(error))
        return error.exit_code
    finally:
        cast.end()


def _play(asked: argparse.Namespace, state: Path, cast: Cast, show: Show) -> int:
    begin = time.monotonic()
    play = acts.Play(state, cast, list(acts.HOSPITALS[: asked.sites]), asked.rounds)
    show.say(f"Consilium demo: {asked.sites} hospitals, {asked.rounds} rounds, all in {state}")
    changes = _prepare(play, asked, show)
    with show.step("charter", "the charter is proposed, and signed at each hospital"):
        acts.propose(play, acts.charter_of(play, changes))
        acts.sign(play)
        acts.ask_how_many(play)
    with show.step("study", f"the study runs: {asked.rounds} rounds over Flower"):
        cast.ask("study", "launch", play.study, "--home", play.researcher)
        results.follow(play, show.say)
    with show.step("release", "each hospital looks at the model and agrees; it is released"):
        acts.release(play)
    with show.step("results", "results are gathered per hospital"):
        result = results.collect(play, pooled=asked.pooled or asked.data is not None)
    with show.step("audit", "the evidence bundle is exported and verified"):
        report = acts.export_and_verify(play)
    show.seconds["all"] = round(time.monotonic() - begin, 1)
    result |= {"bundle": str(play.bundle), "policy": str(play.policy), "seconds": show.seconds}
    show.table(result)
    _tell(play, report, show)
    if not asked.headless:
        _stay(play, show)
    print(json.dumps(result))  # noqa: T201 - the promised last line of a headless run
    return 0


def _prepare(play: acts.Play, asked: argparse.Namespace, show: Show) -> dict[str, Any]:
    """Hub, hospitals, accounts, images; returns what the training recipe changes."""
    with show.step("hub", "the hub makes its keys and starts"):
        acts.open_hub(play)
    with show.step("join", "the hospitals make their keys and join"):
        acts.join_hospitals(play)
    with show.step("found", "the hospitals sign the agreement of their consortium"):
        show.say(f"     agreement {acts.found(play)}")
        acts.enrol_researcher(play)
        acts.open_dashboard(play)
    with show.step("images", "DICOM files are laid out, one folder per hospital"):
        folders, recipe, changes = images.lay_out(play, asked.data)
    with show.step("import", "each hospital imports its own images"):
        acts.import_images(play, folders, recipe)
    acts.start_hospitals(play)
    return changes


def _tell(play: acts.Play, report: dict[str, Any], show: Show) -> None:
    for step in report["steps"]:
        show.say(f"  {step['result'].upper():<15}{step['number']:>3}  {step['subject']}")
    show.say(f"\n  bundle  {play.bundle}\n  policy  {play.policy}")


def _stay(play: acts.Play, show: Show) -> None:
    show.say(f"\n  dashboard  http://127.0.0.1:{play.dashboard_port}")
    for who, link in play.links.items():
        show.say(f"  one-time link for {who}: {link}")
    show.say("\n  Ctrl-C ends everything.")
    while True:
        play.cast.check()
        time.sleep(1)


def _room(asked: argparse.Namespace, state: Path) -> None:
    if not FEWEST_SITES <= asked.sites <= len(acts.HOSPITALS):
        raise NotReady(f"{asked.sites} hospitals were asked for.", "Ask for 2 to 8 with --sites.")
    if not 1 <= asked.rounds <= MOST_ROUNDS:
        raise NotReady(f"{asked.rounds} rounds were asked for.", "Ask for 1 to 1000 with --rounds.")
    if asked.data is not None and not asked.data.exists():
        raise NotReady(
            f"{asked.data} does not exist.", "Name an .npz file or a folder with --data."
        )
    marker = state / "consilium-demo"
    if state.exists() and any(state.iterdir()):
        if not marker.exists():
            raise NotReady(
                f"{state} is not empty and not of a demo.", "Name another folder with --state."
            )
        shutil.rmtree(state)
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    marker.touch()
    if shutil.disk_usage(state).free < 3 * GIB:
        raise NotReady(
            f"Less than 3 GB are free below {state}.", "Free space, or name another --state."
        )
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 3 * GIB:
        raise NotReady("This machine has less than 3 GB of memory.", "Use a larger machine.")


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONSILIUM_")}  # noqa: TID251 - children get a clean copy
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
