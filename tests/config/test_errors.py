"""What leaves for Sentry."""

from config import errors
from integrations.correlation import correlated


def test_an_error_report_carries_the_runs_id_and_no_address() -> None:
    event = {"message": "contact somebody@example.com failed", "extra": {"to": ["other@example.org"]}}

    with correlated("a-run"):
        sent = errors._scrubbed(event, {})

    assert "@" not in str(sent)
    assert "contact [address] failed" in sent["message"]
    assert sent["tags"] == {"correlation_id": "a-run"}
