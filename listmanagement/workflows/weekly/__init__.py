"""The weekly health check: `week` counts, `weekly_health` is the run, `trends` has those before it."""
