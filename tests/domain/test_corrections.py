"""A mistyped domain is read as the one provider that is one slip away, or not at all."""

import pytest

from listmanagement.domain.corrections import suggestion

KNOWN = ("post.test", "mailbox.example", "most.example", "moss.example")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("pots.test", "post.test"),  # swapped
        ("pst.test", "post.test"),  # missing
        ("posst.test", "post.test"),  # too many
        ("pist.test", "post.test"),  # wrong
        ("MAILBOX.exampel", "mailbox.example"),
        ("post.test", None),  # right as it is
        ("tsop.test", None),  # more than a slip
        ("mailbox.test", None),
        ("mosx.example", None),  # two ways to read it
        ("", None),
    ],
)
def test_one_slip_and_one_way_to_read_it(typed: str, meant: str | None) -> None:
    assert suggestion(typed, known=KNOWN) == meant
