"""Use cases: load, decide, commit, act, record."""
