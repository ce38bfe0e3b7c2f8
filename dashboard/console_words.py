"""What the console says: sources, answers, rungs of the ladder, reasons of quarantine."""

from __future__ import annotations

from compliance.records.reasons import Quarantine

CHARTER, CATALOGUE, SETTINGS = "The charter", "Our catalogue", "Our settings"
POLICY, COMPUTED, SIGNED = "Our own policy", "Computed here", "Signatures checked here"
LOG, FIXED = "Our copy of the log", "How Consilium works"

ANSWERS: dict[str, tuple[str, str, str]] = {
    "waiting": ("Waits for your answer", ":material/hourglass_top:", "orange"),
    "signed": ("Signed", ":material/task_alt:", "green"),
    "refused": ("Refused", ":material/block:", "red"),
    "withdrawn": ("Left", ":material/logout:", "gray"),
    "agreed": ("Agreed", ":material/task_alt:", "green"),
    "objected": ("Objected", ":material/block:", "red"),
}
"""Word, glyph and colour of this hospital's answer."""

PHASES: dict[str, str] = {
    "not launched": "Not launched yet",
    "ready": "Between rounds",
    "in_round": "In a round",
    "stopped": "Stopped",
    "closed": "Closed",
}

RUNGS: dict[str, tuple[str, ...]] = {
    "This machine": (
        "folder", "folder_open", "folder_denied", "disk", "disk_low", "shm", "shm_small",
        "shared_memory", "store", "database_old", "worker", "worker_open",
    ),
    "Connected": (
        "hub", "hub_away", "address_unknown", "port_closed", "proxy_away", "tls_unknown_ca",
        "certificate_name", "certificate_expired", "clock", "clock_skew", "certificates",
        "certificate_ends", "protocol", "update_required", "hub_older",
    ),
    "Known": (
        "joined", "never_joined", "keys", "key_missing", "key_open", "key_unknown", "consortium",
        "member_waiting", "member_silent",
    ),
    "Permitted": (
        "policy", "policy_broken", "logs", "log_disagrees", "outbox", "outbox_waiting",
        "study_resting", "restored", "restored_rests", "egress", "egress_broken",
        "packages", "recipe_package",
    ),
    "Data readable": (
        "datasets", "dataset_none", "folder_missing", "receiver", "receiver_down", "pacs",
        "pacs_away", "predictions", "prediction_drift", "data", "data_drift",
    ),
}  # fmt: skip
"""The ladder: whatever stands on a lower rung is mended first."""

JOURNAL: dict[str, str] = {
    "joined": "Joined the consortium",
    "sent": "Sent",
    "released": "An update left",
    "permitted": "An order was permitted",
    "denied": "An order was refused",
    "denied.counted": "More orders were refused",
    "not.permitted": "A rule forbade it",
    "mask.key": "Published a key for masks",
    "unmasked": "Opened shares of masks, for one sum",
    "kept.back": "An update stayed here",
    "privacy.reserved": "Steps were reserved in the privacy account",
    "privacy.void": "A reservation was given back: nothing left",
    "privacy.recalled": "The privacy account was completed after a restore",
    "privacy.audited": "Training with noise was put to the test",
    "order.not.done": "An order was not carried out",
    "answered.again": "The same answer again",
    "bundle.refused": "A bundle was not trusted",
    "imported": "Imported images",
    "table.imported": "Imported a table",
    "fetched": "Fetched from the PACS",
    "counted": "Counted patients",
    "counts.refused": "A question how many was not answered",
    "backup.written": "A backup was written",
    "restored": "This node came back from a backup",
    "restored.awake": "A log is followed again after the restore",
    "restored.held": "The node was told that it came from a backup",
    "inbox.thinned": "Received files that a dataset holds were deleted",
    "deidentified": "Wrote de-identified copies",
    "charter.signed": "Signed a charter",
    "charter.signed.sent": "The hub has our signature",
    "charter.refused": "Refused a charter",
    "charter.refused.sent": "The hub has our refusal",
    "charter.withdrawn": "Left a study",
    "charter.withdrawn.sent": "The hub knows that we left",
    "not.signed": "A rule forbade to sign",
    "motion.signed": "Signed a text of several",
    "release.approved": "Agreed to a release",
    "release.refused": "Objected to a release",
    "threshold.frozen": "A threshold was chosen and frozen",
    "quality.drift": "The data have moved from the registered version",
    "leak.tested": "Tested whether a model gives members away",
    "leak.not.tested": "A model could not be tested for leaks",
    "predicted": "A released model scored local images",
    "results.sent": "Results went to the PACS",
    "member.left": "Left the consortium",
    "refused.by.hub": "The hub refused it",
    "detail.refused": "The hub did not take the sealed part of our statement",
    "hub.away": "The hub went silent",
    "hub.back": "The hub answers again",
    "trouble": "Trouble",
    "alarm": "Alarm",
    "evidence.written": "Wrote down evidence",
    "mirror.written": "Wrote copies of the logs",
    "study.destroyed": "Destroyed our copy of a study",
    "data.wiped": "Wiped data",
    "followed": "Went over to another hub",
    "key.prepared": "Made a new key",
    "key.rotating": "A key is being replaced",
    "key.in.use": "A new key is in use",
    "key.wrong": "A wrong passphrase was typed",
    "flower.node": "State of Flower's node",
    "quarantine.expired": "Deleted old quarantine",
    "quarantine.released": "Released from quarantine",
    "quarantine.dropped": "Deleted from quarantine",
}
"""Lines of the journal in words; a kind without words is shown as it stands."""

LEAKS: dict[str, str] = {
    "not_tested": "not tested",
    "no_leak_found": "no leak found",
    "leak_test": "the model gives away who was trained on; the default is to object",
}
"""What the membership test of a model said."""

TOLD: dict[bool, str] = {
    True: "sealed, for the researcher and auditors: the leak test by class, without counts",
    False: "sealed, for the researcher and auditors: not the leak test, since no epsilon covers it",
}
"""What of our checks goes with a yes; by whether the leak test may be told."""

QUARANTINE: dict[Quarantine, str] = {
    Quarantine.NOT_DICOM: "No DICOM file",
    Quarantine.TRUNCATED: "The file ends too early",
    Quarantine.MALFORMED: "The file breaks the standard",
    Quarantine.TOO_DEEP: "Sequences are nested too deeply",
    Quarantine.TOO_MANY_ELEMENTS: "Too many elements",
    Quarantine.INFLATES_TOO_LARGE: "It swells too much when unpacked",
    Quarantine.TOO_LARGE: "The file is too large",
    Quarantine.ARCHIVE_UNSAFE: "The archive cannot be trusted",
    Quarantine.PARSE_TIMEOUT: "Reading it took too long",
    Quarantine.PARSE_MEMORY: "Reading it took too much memory",
    Quarantine.PARSER_CRASHED: "Reading it ended the reader",
    Quarantine.MISSING_IDENTITY: "Patient, study or series is not named",
    Quarantine.BAD_UID: "A number of the image has a wrong form",
    Quarantine.CLASS_NOT_SUPPORTED: "This kind of object is not read",
    Quarantine.TRANSFER_SYNTAX_NOT_SUPPORTED: "This encoding is not read",
    Quarantine.PIXELS_MISSING: "It has no pixels",
    Quarantine.PIXELS_INCONSISTENT: "Pixels and header disagree",
    Quarantine.DECODE_FAILED: "The pixels cannot be decoded",
    Quarantine.NUMBER_NOT_USABLE: "A needed number cannot be used",
    Quarantine.LUT_NOT_USABLE: "A lookup table cannot be used",
    Quarantine.BURNED_IN_TEXT: "Text may stand in the image",
    Quarantine.RESIDUAL_IDENTIFIER: "Something may still name the patient",
    Quarantine.UID_CONFLICT: "Two contents under one number",
    Quarantine.SAME_IMAGE_TWO_PATIENTS: "One image under two patients",
    Quarantine.LABEL_CONFLICT: "Two labels for one case",
    Quarantine.SERIES_MIXED_GEOMETRY: "Slices of different geometry",
    Quarantine.SERIES_UNEVEN: "Slices at uneven distances",
    Quarantine.SERIES_TILTED: "Tilted slices",
    Quarantine.SERIES_DUPLICATE_POSITION: "Two slices at one place",
    Quarantine.SERIES_TOO_SHORT: "Too few slices",
    Quarantine.ROW_NOT_WHOLE: "A row with too many or too few cells",
    Quarantine.VALUE_MISSING: "A value that is needed is missing",
    Quarantine.VALUE_NOT_LISTED: "A word that is not in its list",
    Quarantine.VALUE_OUT_OF_RANGE: "A number outside its range",
    Quarantine.PATIENT_TWICE: "Two different rows under one patient number",
}


def answer(word: str | None) -> tuple[str, str, str]:
    """Word, glyph and colour of an answer; none yet is waiting."""
    return ANSWERS.get(word or "waiting", ANSWERS["waiting"])


def line(kind: object) -> str:
    """A line of the journal in words."""
    return JOURNAL.get(str(kind), str(kind))


def phase(word: str) -> str:
    """Where a study is."""
    return PHASES.get(word, word)


def quarantine(reason: str) -> str:
    """Why a file stayed out."""
    known = {str(key): value for key, value in QUARANTINE.items()}
    return known.get(reason, reason.replace("_", " "))


def rung(code: str) -> str:
    """The rung on which a finding of the doctor stands."""
    for name, codes in RUNGS.items():
        if code in codes:
            return name
    return "This machine"


def days(row: dict[str, object]) -> str:
    """How long a charter is still good for."""
    left = row.get("days_left")
    if left is None:
        return "unknown end"
    if row.get("expired"):
        return "expired"
    return "1 day left" if left == 1 else f"{left} days left"
