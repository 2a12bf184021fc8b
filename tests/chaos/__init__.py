"""A worker process that dies at each instant of a whole run. `make chaos` tries them all, the suite a few."""
