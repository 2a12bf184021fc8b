"""The words that invented people and companies are made of.

Every address ends in a domain that nobody can own (RFC 2606), `.invalid` apart: that is what Mailjet
leaves of an erased contact.
"""

from __future__ import annotations

import random
from itertools import product

GIVEN = [
    "Adeline",
    "Alaric",
    "Amabel",
    "Anselm",
    "Aurel",
    "Beatrix",
    "Benedikt",
    "Briony",
    "Caspian",
    "Celeste",
    "Corin",
    "Damaris",
    "Delphine",
    "Edric",
    "Elowen",
    "Emeric",
    "Fenella",
    "Florian",
    "Gideon",
    "Ginevra",
    "Hadrian",
    "Harriet",
    "Idris",
    "Imogen",
    "Isolde",
    "Jorun",
    "Jasper",
    "Katinka",
    "Kester",
    "Leander",
    "Linnea",
    "Lorcan",
    "Maren",
    "Merrick",
    "Mirabel",
    "Nerys",
    "Odette",
    "Orrin",
    "Perpetua",
    "Quentin",
    "Rosalind",
    "Rufus",
    "Sabine",
    "Silvan",
    "Tamsin",
    "Thaddeus",
    "Ulrika",
    "Verity",
    "Wendel",
    "Xenia",
    "Yorick",
    "Zelda",
]

FAMILY = [
    "Alderbrook",
    "Appleyard",
    "Ashgrove",
    "Barleycorn",
    "Birchwood",
    "Blackthorn",
    "Bramblewick",
    "Brightwell",
    "Candlemere",
    "Cloverdale",
    "Coldharbour",
    "Copperfield",
    "Cranewater",
    "Dovecote",
    "Driftwood",
    "Elderbank",
    "Fairweather",
    "Fernhollow",
    "Fieldgate",
    "Foxglove",
    "Goosefoot",
    "Greenhalgh",
    "Harrowgate",
    "Hawkshead",
    "Hazelmoor",
    "Hearthstone",
    "Hollybank",
    "Honeychurch",
    "Inkpen",
    "Ironside",
    "Juniper",
    "Kettlewell",
    "Kingfisher",
    "Lanternhill",
    "Larkfield",
    "Lavenham",
    "Littlewood",
    "Longacre",
    "Marshfield",
    "Meadowsweet",
    "Millstone",
    "Mossgrove",
    "Nightingale",
    "Oakhanger",
    "Orchardson",
    "Pebblebrook",
    "Pennywhistle",
    "Quillfeather",
    "Ravenscar",
    "Rosewarne",
    "Rushmere",
    "Saltmarsh",
    "Silverdale",
    "Stonebridge",
    "Summerhay",
    "Thistledown",
    "Underhill",
    "Waterhouse",
    "Whitlock",
    "Wildgoose",
    "Willowby",
    "Winterbourne",
    "Woodruff",
    "Yarrow",
]

_FIRST = [
    "amber",
    "barley",
    "birch",
    "blue",
    "brass",
    "bright",
    "cedar",
    "clay",
    "cobble",
    "copper",
    "coral",
    "cotton",
    "crane",
    "dale",
    "elm",
    "ember",
    "fallow",
    "fern",
    "flint",
    "gadsby",
    "granite",
    "harbour",
    "heron",
    "indigo",
    "ivory",
    "juniper",
    "lark",
    "linen",
    "maple",
    "marble",
]
_SECOND = [
    "mill",
    "works",
    "foundry",
    "bakery",
    "press",
    "yard",
    "marsh",
    "joinery",
    "pottery",
    "looms",
    "tools",
    "garden",
    "nursery",
    "brewery",
    "bindery",
    "studio",
    "lab",
    "freight",
    "optics",
    "clinic",
]
_SHAPES = ("{}-{}.example", "{}{}.test", "{}{}.example.com", "{}-{}.example.org", "{}{}.example.net")

PROVIDERS = ("post.test", "mailbox.example")
"""Where people without a company have their mail."""

OUTAGE_DOMAIN = "harrow-lane.example"
"""The company whose server says for a day that nobody exists."""

NO_HOST_DOMAIN = "tinwhistle-toys.test"
"""Never had a mail server as long as anybody looked."""

HOST_LOST_DOMAIN = "paperkite.example.org"
"""Had one until lately."""

COMPANIES = 320
_PROVIDER_SHARES = (0.20, 0.12)
_FLATTER = 8  # added to the rank: without it the largest company would dwarf the one with the outage


def domains(rng: random.Random) -> dict[str, float]:
    """Each domain where ordinary people have their mail, with its share of them, as Zipf had it."""
    pairs = rng.sample(list(product(_FIRST, _SECOND)), COMPANIES)
    companies = [rng.choice(_SHAPES).format(*pair) for pair in pairs]
    weights = [1 / (rank + _FLATTER) for rank in range(1, COMPANIES + 1)]
    left = 1 - sum(_PROVIDER_SHARES)
    shares = {name: left * weight / sum(weights) for name, weight in zip(companies, weights, strict=True)}
    return dict(zip(PROVIDERS, _PROVIDER_SHARES, strict=True)) | shares


PLAIN = ("{given}.{family}", "{given}{family}", "{given}_{family}", "{family}.{given}", "{initial}.{family}")
"""Local parts as most people have them."""

AWKWARD = (
    "{Given}.{Family}@{Domain}",
    "{given}+news@{domain}",
    "{given}.o'{family}@{domain}",
    "zoë.{family}@{domain}",
    '"{given} {family}"@{domain}',
    "{given}.{family}@blåbær-bageri.example",
)
"""Addresses that are in order and still trip careless programs."""


def plain_address(rng: random.Random, *, given: str, family: str, domain: str) -> str:
    """An ordinary address."""
    local = rng.choice(PLAIN).format(given=given.lower(), family=family.lower(), initial=given[0].lower())
    return f"{local}@{domain}"


def awkward_address(which: int, *, given: str, family: str, domain: str) -> str:
    """One of the awkward ones, by its number."""
    return AWKWARD[which].format(
        Given=given,
        Family=family,
        Domain=domain.title(),
        given=given.lower(),
        family=family.lower(),
        domain=domain,
    )
