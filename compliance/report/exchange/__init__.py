"""A study in the formats of others: model cards, bills of materials, provenance, crates, FHIR."""
