"""What the stand-in is loaded with."""

from typing import Any

from tests.integrations.mailjet.saying import AWKWARD, LIST, MASTER, OTHER

PEOPLE = [*AWKWARD, "gone@mail.example.com"]


def document() -> dict[str, Any]:
    """Three lists, of which one is deleted; six people on the first; one campaign with four outcomes."""
    sent = "2026-05-31T08:00:00Z"
    ids = range(1, len(PEOPLE) + 1)
    outcomes = [
        ("sent", None, False),
        ("hardbounced", 1, True),
        ("softbounced", 3, False),
        ("blocked", 14, True),
    ]
    return {
        "contacts": [{"id": n, "email": PEOPLE[n - 1], "created_at": sent, "name": "Kim"} for n in ids],
        "lists": [
            {"id": MASTER, "name": "Master"},
            {"id": LIST, "name": "One"},
            {"id": OTHER, "name": "Two"},
            {"id": 13, "name": "Old", "is_deleted": True},
        ],
        "memberships": [
            {"id": 100 + n, "contact_id": n, "list_id": LIST, "subscribed_at": sent, "unsubscribed": n == 6}
            for n in ids
        ],
        "campaigns": [
            {
                "id": 2**33,
                "draft_id": 9001,
                "list_id": LIST,
                "subject": "May",
                "send_start_at": sent,
                "send_end_at": "2026-05-31T08:10:00Z",
            }
        ],
        "messages": [
            {
                "id": 2**53 + n,
                "campaign_id": 2**33,
                "contact_id": n,
                "status": status,
                "state_id": state,
                "state_permanent": permanent,
                "arrived_at": sent,
                "comment": f"<{PEOPLE[n - 1]}>: said no" if state else "",
            }
            for n, (status, state, permanent) in enumerate(outcomes, start=1)
        ],
    }
