"""Pure rules: facts in, verdicts out. No ORM, no I/O, no clock."""
