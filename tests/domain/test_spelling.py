"""One name for a recipient domain, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listmanagement.domain import spelling


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Firm.test", "firm.test"),
        ("firm.test.", "firm.test"),
        ("münchen.test", "xn--mnchen-3ya.test"),
        ("MÜNCHEN.test.", "xn--mnchen-3ya.test"),
        ("XN--MNCHEN-3YA.test", "xn--mnchen-3ya.test"),
        ("straße.test", "xn--strae-oqa.test"),  # not strasse.test, which is somebody else's
        ("bücher。test", "xn--bcher-kva.test"),
        ("ｆｉｒｍ.test", "firm.test"),
        ("mail.firm.test", "mail.firm.test"),
        ("☃" * 80 + ".test", "☃" * 80 + ".test"),
        ("", ""),
    ],
)
def test_a_domain_has_one_name(written: str, name: str) -> None:
    assert spelling.known_as(written) == name
    assert spelling.known_as(name) == name


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30))
def test_whatever_is_written_has_a_name(written: str) -> None:
    spelling.known_as(written)
