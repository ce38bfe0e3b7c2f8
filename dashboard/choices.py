"""What can be chosen in a charter, in words: one table for each closed list of the records."""

from __future__ import annotations

FLAGS: dict[str, str] = {
    "controls": "Uses the data as controls",
    "population": "Studies populations",
    "gender": "Studies one gender",
    "paediatric": "Studies children",
    "vulnerable": "Studies vulnerable people",
    "illegal_behaviour": "Studies illegal behaviour",
    "sexual_health": "Studies sexual health",
    "psychological": "Studies psychological traits",
    "not_health": "Is not about health",
    "stigmatising": "Could stigmatise",
    "other": "Something else that a committee should see",
}
"""What makes a data access committee decide, whatever the terms say."""

DUO_ANSWERS: dict[str, str] = {
    "approve": "Fits the terms",
    "deny": "Against the terms",
    "abstain": "The data access committee decides",
}

OUTPUTS: dict[str, str] = {
    "weights": "Weights of the model",
    "onnx": "The model as ONNX (this release hands out weights only)",
    "metrics_only": "Measured values only",
}

AGGREGATORS: dict[str, str] = {
    "fedavg": "Mean, by cases",
    "clipped_mean": "Mean, long updates cut to the median length",
    "trimmed_mean": "Mean without the ends",
    "median": "Median",
    "nnm_trimmed": "Mixing with the nearest, then mean without the ends",
    "fltrust": "Trust by a reference data set",
}
"""Rules of aggregation; what may be said of each is in `compliance.rules.honest`."""

SERVERS: dict[str, str] = {
    "none": "None: the result is the step",
    "avgm": "Momentum (FedAvgM)",
    "adam": "Adam (FedAdam)",
    "yogi": "Yogi (FedYogi)",
    "adagrad": "Adagrad (FedAdagrad)",
}

SHARES: dict[str, str] = {
    "cases": "By the cases of each round",
    "equal": "Equal parts for all who took part",
    "shapley_exact": "Shapley value, every coalition trained (up to 8 hospitals)",
    "shapley_proxy": "Shapley value with a small stand-in network",
    "shapley_sampled": "Shapley value, sampled",
}
"""Rules by which contributions are measured; agreed before the run."""

TRANSFERS: dict[str, str] = {
    "adequacy": "Adequacy decision (GDPR Art. 45)",
    "scc": "Standard contractual clauses (Art. 46(2)(c))",
    "bcr": "Binding corporate rules (Art. 47)",
    "derogation": "Derogation (Art. 49)",
    "other_law": "Another law",
}

US_BASES: dict[str, str] = {
    "authorization": "Authorization (45 CFR 164.508)",
    "waiver": "Waiver by an IRB or privacy board (164.512(i))",
    "limited_data_set": "Limited data set (164.514(e))",
    "safe_harbor": "De-identified, safe harbor (164.514(b)(2))",
    "expert": "De-identified, expert determination (164.514(b)(1))",
}

DOCUMENTS: dict[str, str] = {
    "protocol": "Study protocol",
    "statistics": "Statistical analysis plan",
    "risk": "Risk analysis",
    "pccp": "Predetermined change control plan",
    "intended_use": "Intended use",
    "other": "Another document",
}
