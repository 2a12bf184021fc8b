"""Labelled scenarios, read from files a person can read, as the facts that the agents are told; pure."""
