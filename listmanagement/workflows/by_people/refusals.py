"""What a workflow refuses, in words that say what to do."""


class NotAllowed(Exception):
    """A person or a trigger asked for something that must not be done now. Nothing was changed."""
