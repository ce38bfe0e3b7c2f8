"""What is said, sealed and judged: records, signatures, log, rules, evidence. Needs nobody."""
