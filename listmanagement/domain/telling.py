"""How numbers are told to people."""


def people(number: int) -> str:
    """So many contacts: "1 contact", "3,529 contacts"."""
    return f"{number:,} contact{'' if number == 1 else 's'}"
