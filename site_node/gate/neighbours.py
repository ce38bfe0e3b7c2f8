"""What lies around a site, as the doctor sees it: the hub's release, certificates, PACS, receiver.

Also what a site may have forgotten, and whether its ledger of what left is whole.
"""

from __future__ import annotations

from compliance import protocol as language
from compliance.errors import NotReady, Unreachable
from compliance.signing.certificate import GOOD
from site_node.gate.certificates import validities
from site_node.gate.check import Check, Patient
from site_node.gate.drift import DRIFT
from site_node.gate.mirror import CONSORTIUM
from site_node.packages import listed

MOVED_PART = {"drift.labels": "shares of the classes", "drift.light": "brightness of the images"}


def protocol(patient: Patient) -> Check:
    """Whether hub and site understand each other, and who should upgrade."""
    ours, theirs = language.PROTOCOL, patient.hub().protocol()
    fit = language.fit(ours, theirs)
    if fit == language.REQUIRED:
        return Check(
            "update_required", well=False,
            finding=f"The hub speaks protocol {theirs}, this site {ours}: it does not listen.",
            fix="Install the hub's release here, then run `consilium site upgrade`.",
        )  # fmt: skip
    if fit == language.HUB_OLDER:
        return Check(
            "hub_older", well=False,
            finding=f"The hub speaks protocol {theirs}, this site already {ours}.",
            fix="Ask its administrator to install this release and run `consilium hub upgrade`.",
        )  # fmt: skip
    if fit == language.AVAILABLE:
        said = f"An update is available: the hub speaks protocol {theirs}, this site {ours}."
        return Check("protocol", well=True, finding=f"{said} The hub's next release requires it.")
    return Check("protocol", well=True, finding=f"Hub and site speak protocol {ours}.")


def certificates(patient: Patient) -> Check:
    """The dates of the certificate files, thirty days ahead."""
    for name, found in validities(patient.settings, patient.now()).items():
        if found.code == GOOD:
            continue
        until = f" on {found.until:%Y-%m-%d}" if found.until else ""
        return Check(
            "certificate_ends", well=False,
            finding=f"The certificate file for the {name}: {found.code.replace('_', ' ')}{until}.",
            fix="Renew it: the hub's comes from its administrator (`ca_file`), the receiver's from "
            "hospital IT (`scp_certificate`); then restart `consilium site serve`.",
        )  # fmt: skip
    return Check("certificates", well=True, finding="All certificate files are within their dates.")


def restored(patient: Patient) -> Check:
    """Which logs rest because this home came from a backup."""
    home = patient.restored()
    mark = home.mark()
    if mark is None:
        return Check("restored", well=True, finding="This home never came from a backup.")
    logs = {CONSORTIUM, *(head.study for head in patient.mirror().all_heads())}
    resting = sorted(log for log in logs if home.rests(log))
    if resting:
        return Check(
            "restored_rests", well=False,
            finding=f"Restored {mark.since}; nothing is cosigned or trained yet by "
            f"{', '.join(resting)}.",
            fix="Leave `consilium site serve` running until the other hospitals have cosigned; "
            "see `consilium site restored`.",
        )  # fmt: skip
    return Check("restored", well=True, finding=f"Restored {mark.since}; all logs caught up.")


def egress(patient: Patient) -> Check:
    """Whether the ledger of what left is whole: each line goes on from the one before."""
    looked = patient.egress().look(limit=0)
    if looked.broken_at:
        return Check(
            "egress_broken", well=False,
            finding=f"The ledger of what left does not hold from line {looked.broken_at} on: a "
            "line was changed, taken out or cut off.",
            fix="Stop, keep this machine as it is, and call the auditor; they read "
            "`consilium site journal --egress`.",
        )  # fmt: skip
    return Check("egress", well=True, finding=f"{looked.size} lines of what left; the chain holds.")


def worker(patient: Patient) -> Check:
    """Whether the training program is cut off from every network, by its own word at its start."""
    path = patient.settings.home / "run" / "worker.network"
    try:
        state = path.read_text(encoding="ascii")
    except OSError:
        return Check("worker", well=True, finding="No training program has run here yet.")
    if state == "open":
        return Check(
            "worker_open", well=False,
            finding="This kernel cuts the training program off from no network.",
            fix="Allow user namespaces or seccomp filters for the service's user; until then the "
            "machine's own firewall is what holds.",
        )  # fmt: skip
    how = "in a network namespace of its own" if state == "none" else "by a filter of its calls"
    return Check("worker", well=True, finding=f"The training program has no network, {how}.")


def receiver(patient: Patient) -> Check:
    """Whether the PACS may send: the port, TLS files, room on the disk."""
    try:
        return Check("receiver", well=True, finding=patient.receiver())
    except NotReady as error:
        return Check("receiver_down", well=False, finding=error.finding, fix=error.fix)


def pacs(patient: Patient) -> Check:
    """Whether the PACS of the settings answers to us."""
    try:
        return Check("pacs", well=True, finding=patient.pacs())
    except (NotReady, Unreachable) as error:
        return Check("pacs_away", well=False, finding=error.finding, fix=error.fix)


def predictions(patient: Patient) -> Check:
    """Whether what released models see here is still what they were trained on."""
    moved = patient.predictions().flagged()
    if moved:
        first = moved[0]
        what = "classes" if first["labels"]["flagged"] else "brightness of the images"
        return Check(
            "prediction_drift", well=False,
            finding=f"{len(moved)} models: the {what} of {first['model_sha256'][:23]}… have moved "
            "by more than 0.25 against the registered dataset.",
            fix="Look at `consilium site predictions`; ask whether scanner, protocol or patients "
            "changed, and do not rely on the model before somebody has looked.",
        )  # fmt: skip
    return Check("predictions", well=True, finding="No model's images or classes have moved.")


def data(patient: Patient) -> Check:
    """Whether the data of a study that goes on are still like those it was agreed for."""
    newest = {line["study"]: line for line in patient.journal().lines_of(DRIFT)}
    for study in [head.study for head in patient.mirror().heads() if head.study in newest]:
        state, told = patient.mirror().state(study), newest[study]["data"]
        pair = str(patient.settings.site), told["dataset"]
        is_over = state.closed is not None or state.stopped is not None
        if is_over or state.dataset_versions.get(pair) != told.get("version", ""):
            continue
        moved = [MOVED_PART[name] for name, found in told["moved"].items() if found["flagged"]]
        return Check(
            "data_drift", well=False,
            finding=f"Dataset {told['dataset']}: the {' and the '.join(moved)} have moved by more "
            f"than 0.25 from the version in the charter of study {study}.",
            fix="Ask whether scanner, coding or patients changed. If it is right so, tell the lead "
            "of the study; if not, import the right files and register that version.",
        )  # fmt: skip
    return Check("data", well=True, finding="No study's data have moved from its charter's.")


def packages(patient: Patient) -> Check:
    """Whether each package of recipes is signed by somebody trusted here, and unaltered."""
    rows = listed(patient.settings.home)
    for row in rows:
        if row.problem:
            return Check(
                "recipe_package", well=False,
                finding=f"Package {row.package} {row.version}: {row.problem}",
                fix="Install what was signed, or lay the signer's statement into `recipes/` of the "
                "home; until then its families are not trained. See `consilium site recipes`.",
            )  # fmt: skip
    said = f"{len(rows)} packages of recipes, all signed and unaltered." if rows else "None here."
    return Check("packages", well=True, finding=f"Recipes of a consortium: {said}")


LAST = (egress, worker, packages, data)
"""What is looked at last of a site that has joined."""
