"""The review queue and the logs, in the admin site."""
