"""Clients of the services outside. No ORM, no policy."""
