"""Pages: Member Information, Change Contact/Profile Info, and the change of the sign-in address (P1, P6, P7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.datamap import inventory
from portal.domain import at_a_glance, choices, former_values, members, recognitions, values
from portal.domain.errors import StaleRecord, TooManyChanges
from portal.domain.former_values import CHECK_BOX, Former
from portal.extensions import Base, limiter
from portal.models import Member
from portal.purposes import CHOICES, SUPPRESS
from portal.vocabulary import Door, Kind
from portal.web.access import MEMBER, PUBLIC, RECENT, access, by_network
from portal.web.filters import in_words, label
from portal.web.forms import Unsent
from portal.web.forms.choices import UndoForm
from portal.web.forms.members import ENTRIES, SECTIONS, BaseProfileForm, EmailForm, profile_form, profile_unsent
from portal.web.forms.signin import EmptyForm

bp = Blueprint("members", __name__)

ADDRESS = ("address_line1", "city", "region", "postal_code")
HIDDEN = ("id", "email_key", "address_hash")
GROUPS = {
    kind: [
        each
        for each in inventory.noted(Base.metadata.tables["member"])
        if each.note.kind is kind and each.column.name not in HIDDEN
    ]
    for kind in (Kind.IDENTITY, Kind.CONTACT, Kind.WORK, Kind.ABOUT, Kind.MEMBERSHIP)
}


@bp.get("/profile")
@access(MEMBER)
def profile(member: Member) -> ResponseReturnValue:
    """`/profile`: Member Information."""
    seen = at_a_glance.profile(member, now=clock.now())
    return render_template(
        "members/profile.html",
        member=member,
        groups=GROUPS,
        labels=values.address_labels(member.country),
        suppressed=seen.standing[SUPPRESS],
        recognitions=recognitions.of(member),
        waiting=seen.waiting,
        former=seen.former,
        saved=list(_saved(member, seen.former)),
        ways=seen.ways,
        doubts=values.address_doubts(member.country, {name: getattr(member, name) for name in ADDRESS}),
    )


@bp.route("/profile/edit", methods=["GET", "POST"])
@access(MEMBER)
def edit(member_id: UUID) -> ResponseReturnValue:
    """`/profile/edit`: Change Contact/Profile Info."""
    suppressed = choices.stands(member_id, SUPPRESS) == "yes"
    if request.method != "POST":
        return _form(profile_unsent(members.record(member_id), suppressed=suppressed))
    member = members.one(member_id)
    form = profile_form(member, suppressed=suppressed)
    newer: dict[str, str] = {}
    if form.validate_on_submit():
        try:
            if not _save(member, form):
                flash("Nothing was changed.", "info")
            return redirect(url_for("members.profile"), 303)
        except StaleRecord as error:
            form.refuse("", str(error))
            newer = form.take_up(member)
    return _form(form, newer), 422


def _form(form: BaseProfileForm | Unsent, newer: Mapping[str, str] = MappingProxyType({})) -> str:
    return render_template(
        "members/edit.html",
        form=form,
        newer=newer,
        sections=SECTIONS,
        labels=values.address_labels(form["country"].data or ""),
    )


@bp.post("/profile/undo")
@access(MEMBER)
def undo(member: Member) -> ResponseReturnValue:
    """`/profile/undo`: put back what the last save replaced."""
    form = UndoForm()
    if form.validate_on_submit():
        try:
            former_values.undo(member, shown=form.shown.data or 0, via=Door.PAGE, now=clock.now())
            flash("Undone. Your profile is as it was before.", "success")
        except StaleRecord as error:
            flash(f"{error} Nothing was undone. This is how it is now.", "warning")
    return redirect(url_for("members.profile"), 303)


@bp.route("/profile/email", methods=["GET", "POST"])
@access(RECENT)
def email(member: Member) -> ResponseReturnValue:
    """`/profile/email`: a new sign-in address, confirmed at the new one, told to the old one."""
    form = EmailForm()
    if form.validate_on_submit():
        try:
            members.ask_email_change(member, form.text("email"), via=Door.PAGE, now=clock.now())
        except TooManyChanges as error:
            form.refuse("email", str(error))
        else:
            flash(
                "We have sent a link to the new address. Your address changes when you open it and press Confirm.",
                "info",
            )
            return redirect(url_for("members.profile"), 303)
    waiting = members.waiting_change(member)
    return render_template("members/email.html", form=form, member=member, waiting=waiting), 422 if form.errors else 200


@bp.route("/profile/email/confirm/<token>", methods=["GET", "POST"])
@access(PUBLIC)
@limiter.limit("60 per hour", key_func=by_network, methods=["POST"])
def confirm_email(token: str) -> ResponseReturnValue:
    """`/profile/email/confirm/<token>`: the link in the new mailbox. GET asks, POST acts."""
    now = clock.now()
    form = EmptyForm()
    if form.validate_on_submit():
        if members.confirm_email(token, now=now) is None:
            abort(404)
        flash("Your new email address is confirmed. Sign in with it from now on.", "success")
        return redirect(url_for("overview.start"), 303)
    if members.change_to_confirm(token, now=now) is None:
        abort(404)
    return render_template("members/confirm_email.html", form=form, token=token)


@bp.route("/profile/email/cancel/<token>", methods=["GET", "POST"])
@access(PUBLIC)
@limiter.limit("60 per hour", key_func=by_network, methods=["POST"])
def cancel_email(token: str) -> ResponseReturnValue:
    """`/profile/email/cancel/<token>`: the link in the old mailbox. GET asks, POST acts."""
    now = clock.now()
    form = EmptyForm()
    if form.validate_on_submit():
        change = members.cancel_email(token, now=now)
        if change is None:
            abort(404)
        if change.confirmed_at is None:
            flash("The change is cancelled. Your address stays as it is.", "success")
        else:
            flash("Your old address is back. To sign in again, open the link that we have sent there.", "success")
        return redirect(url_for("overview.start"), 303)
    if members.change_to_cancel(token, now=now) is None:
        abort(404)
    return render_template("members/cancel_email.html", form=form, token=token)


def _save(member: Member, form: BaseProfileForm) -> bool:
    """Save the record; the check box counts only if the member has moved it on this page. Whether anything changed."""
    suppress = ("yes" if form.suppress.data else "no") if form.moved_suppress else None
    version = form.version.data or 0
    now = clock.now()
    return former_values.save(member, form.stored(), suppress=suppress, version=version, via=Door.PAGE, now=now)


def _saved(member: Member, former: Former | None) -> Iterator[tuple[str, str, str]]:
    """What the last save changed: the label as on the form, what stands now, and what stood before."""
    labels = values.address_labels(member.country)
    for name, before in former.values.items() if former else ():
        if name == CHECK_BOX:
            was, is_now = ("on", "off") if before == "yes" else ("off", "on")
            yield CHOICES[SUPPRESS].label, is_now, was
        else:
            now, was = (str(in_words(name, each) or "") for each in (getattr(member, name), before))
            yield label(labels, name, ENTRIES[name].note.label), now, was
