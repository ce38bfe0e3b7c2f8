"""How updates become one model: answers of the form into the charter's aggregator and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compliance.rules.honest import default_f, needed
from compliance.rules.masking import LEAST
from compliance.rules.methods import AGGREGATORS
from dashboard.paths import Plain, decimal, table

Answers = dict[str, Any]
NONE = "none"
STEP_RATES = {"avgm": 1.0, "adam": 0.01, "yogi": 0.01, "adagrad": 0.3}
"""Server rates to start from; those of the published runs on Fed-Heart-Disease, rounded."""

_OWN = ("f", "server_lr", "keep_updates", "n_ref")
MASKED = (
    "The hub then sees the sum of a round's updates and no single one. Three hospitals of a round "
    "or more must stay to its end. Masks exclude what needs single updates: rules that bear liars, "
    "Shapley values, signs of odd updates, updates that are kept, a cap on weights. They do not "
    "hide what the sum itself tells, and a hospital can still send rubbish unseen."
)
"""What a charter with masks gives up, for whoever writes one."""


def aggregator_of(answers: Answers) -> Plain:
    """The aggregator of a draft; nothing where it was not asked yet: the hub's default.

    Parameters of a kept draft that the form does not ask go along while the rule stays the same.
    """
    rule = answers.get("aggregator")
    if not rule:
        return {}
    kept = answers.get("aggregator|kept") or {}
    server = answers.get("server") or NONE
    name = rule if server == NONE else f"{rule}.{server}"
    params = dict(kept.get("params") or {}) if kept.get("name") == name else {}
    if "f" in AGGREGATORS.get(rule, ()):
        params["f"] = str(int(answers.get("f") or 1))
    if server != NONE:
        params["server_lr"] = decimal(float(answers.get("server_lr") or STEP_RATES[server]))
    masked = bool(answers.get("masked", kept.get("masked")))
    if masked:
        params["n_ref"] = str(int(answers.get("n_ref") or 1))
    if answers.get("keep_updates") and not masked:
        params["keep_updates"] = "1"
    return {"aggregator": {"name": name, "params": params, "masked": masked}}


def answers_of(plain: Mapping[str, Any]) -> Answers:
    """The answers that make a draft's aggregator."""
    told = table(dict(plain), "aggregator")
    if not told.get("name"):
        return {}
    rule, _, server = str(told["name"]).partition(".")
    params = {str(name): str(value) for name, value in (told.get("params") or {}).items()}
    answers: Answers = {"aggregator": rule, "server": server or NONE}
    answers |= {"f": int(float(params["f"]))} if "f" in params else {}
    answers |= {"server_lr": float(params["server_lr"])} if "server_lr" in params else {}
    answers |= {"keep_updates": params["keep_updates"] != "0"} if "keep_updates" in params else {}
    answers |= {"n_ref": int(float(params["n_ref"]))} if "n_ref" in params else {}
    answers |= {"masked": True} if told.get("masked") else {}
    rest = {name: value for name, value in params.items() if name not in _OWN}
    answers["aggregator|kept"] = {
        "name": told["name"], "params": rest, "masked": told.get("masked"),
    }  # fmt: skip
    sites = {str(row.get("site")) for row in plain.get("datasets") or []}
    return answers | {"aggregator|of": len(sites), "f|of": len(sites)}


def least_of(answers: Answers, most: int) -> int:
    """The fewest hospitals of a round that the chosen rule can do with."""
    rule = answers.get("aggregator") or "fedavg"
    if answers.get("masked") and rule == "fedavg":
        return min(LEAST, max(most, 1))
    return min(needed(rule, int(answers.get("f") or default_f(most))), max(most, 1))
