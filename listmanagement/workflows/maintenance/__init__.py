"""Post-campaign maintenance, and the late-evidence run that follows it.

`post_campaign` has the nine steps, `late_evidence` those of its own, `schedule` starts both. `judgement`
makes rulings and cohorts of stored outcomes, `analysis` asks the agents, `drafts` and `rebalancing` make
decisions, held against the `guarding` facts; `reporting` tells what was done, `losses` and `outage_over`
what else somebody should look at.
"""
