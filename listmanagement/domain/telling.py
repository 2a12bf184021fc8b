"""How numbers are told to people."""


def people(number: int) -> str:
    """So many contacts: "1 contact", "3,529 contacts"."""
    return f"{number:,} contact{'' if number == 1 else 's'}"


def domains(number: int) -> str:
    """So many recipient domains."""
    return f"{number:,} domain{'' if number == 1 else 's'}"
