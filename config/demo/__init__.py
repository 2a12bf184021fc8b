"""`make demo`: the main job on this machine, from nothing to a reviewed, executed and proven clean-up."""
