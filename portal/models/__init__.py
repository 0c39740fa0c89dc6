"""Room of what we hold. Import models from here: one place that has loaded them all, so no circles."""

from portal.models.bounce import Bounce
from portal.models.broadcast import Broadcast
from portal.models.choice import ChoiceRow, JournalMark
from portal.models.conflict import Conflict
from portal.models.disclosure import Disclosure
from portal.models.event import Event, Registration
from portal.models.former_value import FormerValue
from portal.models.limit import LimitCounter
from portal.models.member import Member, Subject
from portal.models.message import Message
from portal.models.notice import Notice
from portal.models.recognition import Recognition
from portal.models.release import ListRelease, ListStep
from portal.models.request import Ask, DataSubjectRequest, ErasureLine, RequestStep, RequestTask
from portal.models.signin import (
    Account,
    EmailChange,
    FailedSignIn,
    LinkRequest,
    PasswordLink,
    RecoveryCode,
    SignIn,
)
from portal.models.suppression import FormerAddress, Suppression, Suspension
from portal.models.trail import Trail

__all__ = [
    "Account",
    "Ask",
    "Bounce",
    "Broadcast",
    "ChoiceRow",
    "Conflict",
    "DataSubjectRequest",
    "Disclosure",
    "EmailChange",
    "ErasureLine",
    "Event",
    "FailedSignIn",
    "FormerAddress",
    "FormerValue",
    "JournalMark",
    "LimitCounter",
    "LinkRequest",
    "ListRelease",
    "ListStep",
    "Member",
    "Message",
    "Notice",
    "PasswordLink",
    "Recognition",
    "RecoveryCode",
    "Registration",
    "RequestStep",
    "RequestTask",
    "SignIn",
    "Subject",
    "Suppression",
    "Suspension",
    "Trail",
]
