"""What a verb may raise. Each has the sentence that the person reads; `web/errors` and the forms show it."""

from __future__ import annotations


class DomainError(Exception):
    """A verb refused. `str()` is a plain sentence, fit for a page."""


class StaleRecord(DomainError):
    """The record was saved by somebody else, or in another tab, since the form was opened."""


class TooManyChanges(DomainError):
    """A member began so many changes of the address in a day that strangers' mailboxes must be spared."""


class LinkUsedUp(DomainError):
    """A mailed link that was used, has ended, or was followed by a newer one (410)."""


class CodeRefused(DomainError):
    """A code of the second factor that is wrong, was used, or belongs to a page that is too old."""


class PasswordRefused(DomainError):
    """A new password that is too short, too common or too easy to guess."""


class AlreadyOpen(DomainError):
    """A kind of request of which one may be open, and one is. `reference` names it."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"You already have an open request of this kind: {reference}.")
        self.reference = reference


class CannotWithdraw(DomainError):
    """A request that is closed cannot be withdrawn."""


class CannotAdd(DomainError):
    """Nothing can be added to a request that is closed."""


class NotNow(DomainError):
    """Something at the desk that is not possible as the request stands; the sentence says why."""


class CannotSend(DomainError):
    """Words that cannot be a broadcast; the sentence says why."""


class NotDue(DomainError):
    """An erasure that may not run, or not be changed, at this moment; the sentence says why."""


class StillClosed(DomainError):
    """Everything was repeated, and the journals still tell of something that the database lacks."""


class UnknownChoice(DomainError):
    """A choice or an answer that is not in the catalogue."""


class NothingToUndo(DomainError):
    """There is nothing to take back, or its time is over."""


class NoticeRefused(DomainError):
    """A text that cannot be the next version of the privacy notice."""


class ChangeRefused(DomainError):
    """A kind of change, or a date, that the next version of the privacy notice cannot have."""


class ImportRefused(DomainError):
    """A whole file was refused: nothing was changed."""
