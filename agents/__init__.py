"""Four agents: facts in, a checked answer out. No ORM, no HTTP."""
