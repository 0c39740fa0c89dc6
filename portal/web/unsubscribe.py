"""Pages behind the link in an email: public, without cookie or session. GET asks, POST acts (RFC 8058)."""

from __future__ import annotations

from typing import NoReturn

from flask import Blueprint, Response, abort, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from limits import parse

from portal import clock
from portal.domain import optouts, unsubscribe
from portal.domain.errors import NothingToUndo
from portal.extensions import csrf, limiter
from portal.tokens import EVERYTHING, UnsubscribeToken, read_unsubscribe
from portal.vocabulary import Door
from portal.web.access import PUBLIC, access, by_network, links_by_address, links_by_network
from portal.web.forms import AddressForm

bp = Blueprint("unsubscribe", __name__)
BAD_LINKS = parse("20 per minute")


@bp.route("/unsubscribe", methods=["GET", "POST"])
@access(PUBLIC)
@links_by_network
@links_by_address
def lost_link() -> ResponseReturnValue:
    """`/unsubscribe`: for whoever lost the link. The same answer for every address."""
    form = AddressForm()
    if form.validate_on_submit():
        unsubscribe.ask_for_link(form.text("email"), now=clock.now())
        return redirect(url_for("unsubscribe.link_sent"), 303)
    return render_template("unsubscribe/lost_link.html", form=form), 422 if form.errors else 200


@bp.get("/unsubscribe/link-sent")
@access(PUBLIC)
def link_sent() -> ResponseReturnValue:
    """`/unsubscribe/link-sent`."""
    return render_template("unsubscribe/link_sent.html")


@bp.route("/unsubscribe/<token>", methods=["GET", "POST"])
@csrf.exempt
@access(PUBLIC, anonymous=True)
def by_link(token: str) -> ResponseReturnValue:
    """`/unsubscribe/<token>`: a person's button, a mail program's button, and a look that changes nothing."""
    read = read_unsubscribe(token)
    if read is None:
        _refuse()
    if request.method == "POST" and request.form.get("List-Unsubscribe") == "One-Click":
        return _acknowledge(read, Door.ONE_CLICK, Response("You are unsubscribed.\n", mimetype="text/plain"))
    if request.method == "POST" and "undo" in request.form:
        return _give_back(token, read)
    if request.method == "POST" and ("confirm" in request.form or "everything" in request.form):
        return _stop(token, read._replace(topic=EVERYTHING) if "everything" in request.form else read)
    return _page("asks", token, read)


def _refuse() -> NoReturn:
    """No link of ours. Whoever tries many is slowed down; a good link is never counted, from wherever it is pressed."""
    if not limiter.limiter.hit(BAD_LINKS, "bad-links", by_network()):
        abort(429)
    abort(404)


def _acknowledge(wanted: UnsubscribeToken, via: Door, answer: Response) -> Response:
    """Stop it. Should the database be away or not be asked, the journal takes it and the answer is the same."""
    now = clock.now()

    def without_database() -> Response:
        optouts.stop_without_database(wanted, via=via, now=now)
        return answer

    if g.closed:
        return without_database()
    g.without_database = without_database
    unsubscribe.stop(wanted, via=via, now=now)
    return answer


def _stop(token: str, wanted: UnsubscribeToken) -> ResponseReturnValue:
    return _acknowledge(wanted, Door.LINK, make_response(_page("stopped", token, wanted)))


def _give_back(token: str, read: UnsubscribeToken) -> ResponseReturnValue:
    wanted = read._replace(topic=EVERYTHING) if request.form["undo"] == EVERYTHING else read
    try:
        unsubscribe.give_back(wanted, now=clock.now())
    except NothingToUndo:
        return _page("too_late", token, wanted)
    return _page("given_back", token, wanted)


def _page(state: str, token: str, read: UnsubscribeToken) -> str:
    topic = unsubscribe.topic_name(read)
    return render_template("unsubscribe/by_link.html", state=state, token=token, topic=topic)
