"""What can go wrong with a request to Mailjet. The words carry ids, never addresses."""

from datetime import datetime


class MailjetError(Exception):
    """A request to Mailjet did not end as hoped. Its words carry ids, never addresses."""

    retryable = False
    """Whether the same call may be made again, later, without looking anything up first."""


class MailjetUnavailable(MailjetError):
    """Mailjet could not be reached or had no time. Nothing was changed: trying again can help."""

    retryable = True

    def __init__(self, words: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(words)
        self.status = status
        """The HTTP status, or None when there was no answer."""
        self.retry_after = retry_after
        """Seconds Mailjet asked us to wait. It has not been seen to ask."""


class MailjetPaused(MailjetUnavailable):
    """Mailjet failed too often lately and is not asked for a while. No request was made."""

    def __init__(self, words: str, *, until: datetime) -> None:
        super().__init__(words)
        self.until = until
        """When it is asked again."""


class MailjetUncertain(MailjetError):
    """A write was sent and its answer lost: it may or may not take effect.

    Never send it again at once. Look for its job (`recent_jobs`), else read what it should have changed
    and send what is missing.
    """


class MailjetRejected(MailjetError):
    """Mailjet understood the request and refused it. The same request will be refused again."""

    def __init__(self, words: str, *, status: int) -> None:
        super().__init__(words)
        self.status = status
        """The HTTP status."""

    @property
    def is_duplicate(self) -> bool:
        """Whether there is one already of what should have been made (Mailjet's MJ18)."""
        return "MJ18" in str(self)


class MailjetUnauthorized(MailjetError):
    """Mailjet does not know the API key and secret. Stop all work until they are put right."""


class MailjetAnswerInvalid(MailjetError):
    """An answer is not what Mailjet documents. Refused whole: the words name the resource and the field."""


class MasterListProtected(MailjetError):
    """A write named the master list. It is read only; nothing was sent."""
