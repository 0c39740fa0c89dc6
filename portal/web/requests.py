"""Pages: state a request, follow it against its clock, take it back (P15, P25 to P27, P32)."""

from __future__ import annotations

import secrets
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask import request as sent
from flask.typing import ResponseReturnValue

from portal import clock
from portal.authorities import AUTHORITIES
from portal.domain import erasures, events, progress, recognitions, requests, reviews, values
from portal.domain.errors import AlreadyOpen, CannotWithdraw
from portal.domain.kinds import FILED, KINDS
from portal.extensions import limiter
from portal.models import DataSubjectRequest, Member
from portal.models.request import ANONYMISATION, ERASING, ERASURE, REVIEW
from portal.tokens import KEEP_LINK, read_reference
from portal.vocabulary import Door
from portal.web.access import MEMBER, PUBLIC, RECENT, access, by_network
from portal.web.forms.requests import AddForm, DoNotWaitForm, RequestForm
from portal.web.forms.signin import EmptyForm

bp = Blueprint("requests", __name__)

GROUPS = (
    ("See it, take it with you", ("access", "portability")),
    ("Correct it", ("correction", "completion")),
    ("Stop or limit what we do", ("marketing", "objection", "withdrawal", "restriction")),
    ("Delete it", ("erasure", "anonymisation", "child")),
    ("Complain or ask", ("complaint", "question")),
)
WITH_PLAN = (ERASURE, ANONYMISATION)
ABOUT_RECOGNITION = ("correction", "objection")


@bp.get("/requests")
@access(MEMBER)
def mine(member_id: UUID) -> ResponseReturnValue:
    """`/requests`: what I asked and where it stands."""
    return render_template("requests/mine.html", requests=requests.of(member_id), kinds=KINDS)


@bp.get("/requests/new")
@access(MEMBER)
def new(member_id: UUID) -> ResponseReturnValue:
    """`/requests/new`: the kinds, each in plain words."""
    opened = requests.open_by_kind(member_id)
    return render_template("requests/new.html", kinds=FILED, groups=GROUPS, opened=opened)


@bp.route("/requests/new/<kind>", methods=["GET", "POST"])
@access(MEMBER, post=RECENT)
def file(member: Member, kind: str) -> ResponseReturnValue:
    """`/requests/new/<kind>`: what will happen, and the button that sends it."""
    if kind not in FILED:
        abort(404)
    form = _request_form(member, kind)
    if form.validate_on_submit():
        return _file(member, kind, form)
    standing = requests.open_request(member.id, kind) if KINDS[kind].once else None
    if standing is not None and not form.is_submitted():
        return redirect(url_for("requests.one", reference=standing.reference), 303)
    plan = erasures.plan(member.id, now=clock.now()) if kind in WITH_PLAN else None
    shown = render_template("requests/file.html", form=form, kind=KINDS[kind], plan=plan)
    return shown, 422 if form.errors else 200


@bp.get("/requests/<reference>")
@access(MEMBER)
def one(member: Member, reference: str) -> ResponseReturnValue:
    """`/requests/<reference>`: where it stands, the day the answer is due and why, what comes next, every step."""
    request = requests.one_of(member, reference)
    if request is None:
        abort(404)
    return _page(member, request, AddForm())


@bp.post("/requests/<reference>/add")
@access(MEMBER)
def add(member: Member, reference: str) -> ResponseReturnValue:
    """`/requests/<reference>/add`: say something more, or answer who one is."""
    request = requests.one_of(member, reference)
    if request is None:
        abort(404)
    form = AddForm()
    if not form.validate_on_submit():
        return _page(member, request, form), 422
    requests.add(member, request, form.text("words"), now=clock.now())
    flash("Added. Our staff will read it.", "success")
    return redirect(url_for("requests.one", reference=reference), 303)


@bp.post("/requests/<reference>/withdraw")
@access(MEMBER)
def withdraw(member: Member, reference: str) -> ResponseReturnValue:
    """`/requests/<reference>/withdraw`: take it back, with one press."""
    request = requests.one_of(member, reference)
    if request is None:
        abort(404)
    if EmptyForm().validate_on_submit():
        requests.withdraw(member, request, now=clock.now())
        if request.kind == REVIEW:
            flash("We keep your record. Nothing is deleted.", "success")
        else:
            flash("Your request is withdrawn. You can send a new one at any time.", "success")
    return redirect(url_for("requests.one", reference=reference), 303)


@bp.route("/requests/<reference>/do-not-wait", methods=["GET", "POST"])
@access(MEMBER, post=RECENT)
def do_not_wait(member: Member, reference: str) -> ResponseReturnValue:
    """`/requests/<reference>/do-not-wait`: give up the 72 hours; the password shows that it is the member."""
    request = requests.one_of(member, reference)
    if request is None or request.kind not in WITH_PLAN:
        abort(404)
    form, now = DoNotWaitForm(), clock.now()
    if form.validate_on_submit():
        erasures.do_not_wait(member, request, now=now)
        soon = "As soon as our staff have approved it, your data is deleted."
        if request.approved_at is not None:
            soon = erasures.why_not_yet(request, now=now) or "Your data is deleted within the next hours."
        flash(f"The waiting time is over. {soon}", "success")
        return redirect(url_for("requests.one", reference=reference), 303)
    if not form.is_submitted() and not _waits(request):
        return redirect(url_for("requests.one", reference=reference), 303)
    return render_template("requests/do_not_wait.html", form=form, request=request), 422 if form.errors else 200


@bp.route("/requests/keep/<token>", methods=["GET", "POST"])
@access(PUBLIC)
@limiter.limit("60 per hour", key_func=by_network, methods=["POST"])
def keep(token: str) -> ResponseReturnValue:
    """`/requests/keep/<token>`: the first link of an erasure's receipt, without signing in. GET asks, POST acts.

    It works until the data are deleted, whoever else is signed in (threat T2).
    """
    reference = read_reference(token, purpose=KEEP_LINK)
    request = requests.by_reference(reference) if reference else None
    if request is None:
        abort(404)
    state = "asks" if requests.can_be_kept(request) else "too_late"
    form = EmptyForm()
    if state == "asks" and form.validate_on_submit():
        try:
            requests.keep(request, now=clock.now())
            state = "kept"
        except CannotWithdraw:
            state = "too_late"
    shown = render_template("requests/keep.html", request=request, token=token, state=state)
    return shown, 410 if state == "too_late" else 200


def _request_form(member: Member, kind: str) -> RequestForm:
    """The form of a kind; `?about=` names an earlier request of the same person, from which this one goes on."""
    about = requests.one_of(member, sent.args.get("about", ""))
    begun = f"About my request {about.reference}: " if about and kind == "complaint" else _begun(member, kind)
    form = RequestForm(
        data={
            "operation_id": secrets.token_urlsafe(24),
            "about": about.reference if about else "",
            "details": begun,
        }
    )
    form.fit(KINDS[kind])
    return form


def _begun(member: Member, kind: str) -> str:
    """How the words begin where a page of the member led here: `?event=`, `?recognition=`, only of what is theirs."""
    registration = events.one_of(member, sent.args.get("event", "")) if kind == "objection" else None
    if registration is not None:
        return f"About pictures and recordings of me at {registration.event.name}: "
    entry = recognitions.one_of(member, sent.args.get("recognition", "")) if kind in ABOUT_RECOGNITION else None
    return f"About my published entry {entry.code} (“{entry.role}”): " if entry else ""


def _page(member: Member, request: DataSubjectRequest, form: AddForm) -> str:
    now = clock.now()
    erasing = request.kind in ERASING and request.is_open and request.carried_out_at is None
    answer = progress.answer(request)
    return render_template(
        "requests/one.html",
        form=form,
        request=request,
        kind=KINDS[request.kind],
        ended=reviews.what_ended(request.scope) if request.kind == REVIEW else "",
        now=now,
        erasing=erasing,
        plan=erasures.plan(member.id, scope=request.scope, now=now) if erasing else None,
        why=erasures.why_not_yet(request, now=now) if erasing else "",
        waits=_waits(request),
        answer=answer,
        refused_because=progress.reason_refused(request),
        due_on=progress.due_on(request),
        why_due=progress.why_due(request),
        how_known=progress.how_known(request),
        next_steps=progress.comes_next(request),
        steps=requests.told(request),
        lines=request.lines if request.kind in ERASING else (),
        later=requests.continued_by(request),
        earlier=requests.continues(request),
        authority=AUTHORITIES.get(member.country),
        country=values.country_name(member.country) if member.country else "",
    )


def _waits(request: DataSubjectRequest) -> bool:
    return requests.can_be_kept(request) and erasures.wait_until(request) > clock.now()


def _file(member: Member, kind: str, form: RequestForm) -> ResponseReturnValue:
    now = clock.now()
    try:
        request = requests.file(
            member,
            kind,
            details=form.text("details"),
            operation_id=form.text("operation_id"),
            controller=form.text("controller") if "controller" in form else "",
            continues=requests.one_of(member, form.text("about")),
            via=Door.PAGE,
            now=now,
        )
    except AlreadyOpen as error:
        return _add_to_open(member, error.reference, form)
    if request.is_open:
        flash("We have your request. A receipt is on its way to you by email.", "success")
    elif KINDS[kind].at_once and request.closed_at == now:
        flash("Done. It counts from now on.", "success")
    else:  # the same form once more, from a page that stayed open
        flash("This request was sent before and is closed now. You can send a new one at any time.", "info")
    return redirect(url_for("requests.one", reference=request.reference), 303)


def _add_to_open(member: Member, reference: str, form: RequestForm) -> ResponseReturnValue:
    """Another form, open meanwhile, made the one request that there may be: what was typed here is not lost."""
    standing = requests.one_of(member, reference)
    typed = [form.text("details"), form.text("controller") if "controller" in form else ""]
    words = "\n\n".join(text for text in typed if text)
    said = "You have an open request of this kind already: this one."
    if standing is not None and words not in ("", standing.details):
        requests.add(member, standing, words, now=clock.now())
        said += " What you wrote was added to it."
    flash(said, "info")
    return redirect(url_for("requests.one", reference=reference), 303)
