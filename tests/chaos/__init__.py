"""A worker that dies, or what it needs that goes away, at each step of a whole run; the suite takes a few."""
