"""Room of what we hold. Import models from here: one place that has loaded them all, so no circles."""

from portal.models.choice import ChoiceRow, JournalMark
from portal.models.event import Event, Registration
from portal.models.limit import LimitCounter
from portal.models.member import Member, Subject
from portal.models.message import Message
from portal.models.notice import Notice
from portal.models.request import DataSubjectRequest, RequestStep
from portal.models.signin import Account, EmailChange, FailedSignIn, LinkRequest, PasswordLink, SignIn
from portal.models.suppression import Suppression
from portal.models.trail import Trail

__all__ = [
    "Account",
    "ChoiceRow",
    "DataSubjectRequest",
    "EmailChange",
    "Event",
    "FailedSignIn",
    "JournalMark",
    "LimitCounter",
    "LinkRequest",
    "Member",
    "Message",
    "Notice",
    "PasswordLink",
    "Registration",
    "RequestStep",
    "SignIn",
    "Subject",
    "Suppression",
    "Trail",
]
