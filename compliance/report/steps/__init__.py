"""The sixteen steps of a verification, by theme; `compliance.report.verify` runs them in order."""
