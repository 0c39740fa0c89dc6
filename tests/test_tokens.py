"""Secrets that leave the house: unsubscribe links, references, keyed hashes."""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import assume, example, given
from hypothesis import strategies as st

from portal import tokens
from portal.purposes import TOPICS
from tests.settings import KEYS, config_for

FIRST = ("u1", KEYS["UNSUBSCRIBE_KEYS"].partition(":")[2])
SECOND = ("u2", "Zr8Kd3Vw6NqLp9Tx4MhYb7Jc2GsFe5Ra")
OLD = ("s1", KEYS["SUPPRESSION_KEYS"].partition(":")[2])
NEW = ("s2", "Bw5Xn8Hq3ZmTk6Rv9JpLd2Yc7FgSe4Ua")
URL_SAFE = string.ascii_letters + string.digits + "-_"

references = st.binary(min_size=16, max_size=16)
topics = st.sampled_from([tokens.EVERYTHING, *TOPICS])


@contextmanager
def portal(url: str = "http://localhost", **changes: object) -> Iterator[None]:
    """The context of a portal with these settings; tokens need no more of it."""
    app = Flask("tokens")
    app.config.from_mapping(config_for("sqlite://", Path("/nowhere"), PORTAL_URL=url).flask())
    app.config.from_mapping(changes)
    with app.app_context():
        yield


# Unsubscribe links ----------------------------------------------------------------------------------------


@given(references, topics)
def test_a_link_says_what_was_put_into_it(reference: bytes, topic: str) -> None:
    with portal():
        token = tokens.sign_unsubscribe(reference, topic)
        assert tokens.read_unsubscribe(token) == (reference, topic)
        assert set(token) <= set(URL_SAFE + "."), "a mail program must not break or re-encode it"
        assert len(f"http://localhost/unsubscribe/{token}") < 200


@given(references, topics, st.data())
def test_a_changed_link_is_refused(reference: bytes, topic: str, data: st.DataObject) -> None:
    """One character changed, dropped, doubled or added, anywhere; capitals count."""
    with portal():
        token = tokens.sign_unsubscribe(reference, topic)
        at = data.draw(st.integers(0, len(token) - 1))
        other = data.draw(st.sampled_from(["", *URL_SAFE, ".", "=", " ", "\n", "%", "é", token[at] * 2]))
        mutated = token[:at] + other + token[at + 1 :]
        assume(mutated != token)
        read = tokens.read_unsubscribe(mutated)
        if read is not None:  # the last character of base64 has bits that mean nothing: the same link, then
            assert at == len(token) - 1
            assert read == (reference, topic)
        assert tokens.read_unsubscribe(token.swapcase()) is None


@given(references, references, topics, topics)
def test_parts_of_two_links_do_not_make_a_third(one: bytes, two: bytes, topic: str, other: str) -> None:
    assume((one, topic) != (two, other))
    with portal():
        content, _, _ = tokens.sign_unsubscribe(one, topic).rpartition(".")
        _, _, signature = tokens.sign_unsubscribe(two, other).rpartition(".")
        assert tokens.read_unsubscribe(f"{content}.{signature}") is None


@given(st.text() | st.text(alphabet=URL_SAFE + "."))
@example("")
@example("...")
@example("a.b.c.d")
@example("a.b.u1.d")
@example(".".join(["A" * 100_000] * 4))
@example("é.all.u1.ü")
@example("\ud800.all.u1.x")
@example("\x00.all.u1.\x00")
def test_anything_else_is_refused_quietly(text: str) -> None:
    with portal():
        assert tokens.read_unsubscribe(text) is None


def test_a_link_holds_no_more_than_a_random_number() -> None:
    with portal():
        payload, topic, ident, _ = tokens.sign_unsubscribe(b"0123456789abcdef", "events").split(".")
        assert base64.urlsafe_b64decode(payload + "==") == b"0123456789abcdef"
        assert (topic, ident) == ("events", "u1")


@given(references, topics)
def test_links_made_before_a_new_key_still_work(reference: bytes, topic: str) -> None:
    with portal(UNSUBSCRIBE_KEYS=(FIRST,)):
        before = tokens.sign_unsubscribe(reference, topic)
    with portal(UNSUBSCRIBE_KEYS=(SECOND, FIRST)):
        after = tokens.sign_unsubscribe(reference, topic)
        assert tokens.read_unsubscribe(before) == tokens.read_unsubscribe(after) == (reference, topic)
        assert (before.split(".")[2], after.split(".")[2]) == ("u1", "u2")
    with portal(UNSUBSCRIBE_KEYS=(SECOND,)):
        assert tokens.read_unsubscribe(before) is None, "a key that was taken away makes no links any more"


def test_a_link_in_an_old_letter_still_works() -> None:
    """Links never end: whoever changes how they are signed breaks those that lie in people's mailboxes."""
    old = "MDEyMzQ1Njc4OWFiY2RlZg.events.u1.Iv1q11fMB1Qx-LCpPl7M47dlOD48E1CspfiS-mbFgG8"
    with portal(UNSUBSCRIBE_KEYS=(("u1", "a key that the society keeps for ever"),)):
        assert tokens.read_unsubscribe(old) == (b"0123456789abcdef", "events")


@given(references)
def test_a_key_does_not_answer_under_another_name(reference: bytes) -> None:
    with portal(UNSUBSCRIBE_KEYS=(FIRST,)):
        token = tokens.sign_unsubscribe(reference)
    with portal(UNSUBSCRIBE_KEYS=(("u1", SECOND[1]), ("u2", FIRST[1]))):
        assert tokens.read_unsubscribe(token) is None
        assert tokens.read_unsubscribe(token.replace(".u1.", ".u2.")) is None


def test_a_link_of_another_portal_is_refused() -> None:
    with portal(url="http://test.example.org"):
        token = tokens.sign_unsubscribe(b"0123456789abcdef")
    with portal(url="http://privacy.example.org"):
        assert tokens.read_unsubscribe(token) is None
    with portal(url="http://test.example.org:8080"):
        assert tokens.read_unsubscribe(token) is not None, "the host counts, not the port"


# Links to one request -------------------------------------------------------------------------------------

LINKS = (tokens.KEEP_LINK, tokens.STATUS_LINK)


@given(st.text(alphabet=tokens.REFERENCE_LETTERS, min_size=8, max_size=8), st.sampled_from(LINKS), st.data())
def test_a_link_to_a_request_is_good_for_one_purpose(letters: str, purpose: str, data: st.DataObject) -> None:
    """P15: who may look may not stop; no link is made of another, and a changed letter makes it nobody's."""
    reference = f"IM-{letters[:4]}-{letters[4:]}"
    with portal():
        token = tokens.sign_reference(reference, purpose=purpose)
        assert tokens.read_reference(token, purpose=purpose) == reference
        assert set(token) <= set(URL_SAFE + ".")
        for other in (*LINKS, "csrf", "limits", ""):
            if other != purpose:
                assert tokens.read_reference(token, purpose=other) is None
        assert tokens.read_unsubscribe(token) is None
        at = data.draw(st.integers(0, len(token) - 2))  # the last letter of base64 has bits that mean nothing
        swapped = "A" if token[at] != "A" else "B"
        assert tokens.read_reference(token[:at] + swapped + token[at + 1 :], purpose=purpose) is None
        assert tokens.read_reference(tokens.sign_unsubscribe(b"0123456789abcdef"), purpose=purpose) is None
    with portal(url="http://test.example.org"):
        assert tokens.read_reference(token, purpose=purpose) is None


@given(st.text() | st.text(alphabet=URL_SAFE + "."), st.sampled_from(LINKS))
@example("", "keep")
@example(".", "status")
@example("\ud800.x", "keep")
def test_no_other_text_is_a_link_to_a_request(text: str, purpose: str) -> None:
    with portal():
        assert tokens.read_reference(text, purpose=purpose) is None


def test_a_link_to_a_request_outlives_a_new_secret() -> None:
    with portal(SECRET_KEY="one"):
        before = tokens.sign_reference("IM-2222-2222", purpose="status")
    with portal(SECRET_KEY="three", SECRET_KEY_FALLBACKS=["two", "one"]):
        assert tokens.read_reference(before, purpose="status") == "IM-2222-2222"
        assert tokens.sign_reference("IM-2222-2222", purpose="status") != before
    with portal(SECRET_KEY="three"):
        assert tokens.read_reference(before, purpose="status") is None


# Addresses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        (" Alice@Example.ORG ", "alice@example.org"),
        ("alice+news@example.org", "alice+news@example.org"),
        ("a.l.i.c.e@example.org", "a.l.i.c.e@example.org"),
        ("alice@BÜCHER.example.org", "alice@xn--bcher-kva.example.org"),
        ("alice@xn--bcher-kva.example.org", "alice@xn--bcher-kva.example.org"),
        ("ａｌｉｃｅ＠example.org", "alice@example.org"),
        ("u\u0308ni@example.org", "üni@example.org"),
        ("alice@例え.example.org", "alice@xn--r8jz45g.example.org"),
        ("no at sign", "no at sign"),
        ("\ufdfa" * 60 + "@example.org", ""),
        ("", ""),
    ],
)
def test_two_spellings_of_one_address_are_one(typed: str, canonical: str) -> None:
    assert tokens.canonical_address(typed) == canonical


addresses = st.builds(
    "{}@{}".format,
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
    st.sampled_from(["example.org", "EXAMPLE.org", "bücher.example.org", "STRASSE.example.org", "例え.example.org"]),
)


@given(addresses | st.text(max_size=80))
def test_the_canonical_form_is_its_own(address: str) -> None:
    once = tokens.canonical_address(address)
    assert tokens.canonical_address(once) == once


@given(addresses)
def test_case_and_space_around_do_not_matter(address: str) -> None:
    assume(address.upper().lower() == address.lower())  # not so for a few letters, as in the Turkish dotless i
    assert tokens.canonical_address(f"  {address.upper()}\n") == tokens.canonical_address(address)


# Keyed hashes ---------------------------------------------------------------------------------------------


@given(st.text())
def test_what_was_suppressed_under_an_older_key_is_found(text: str) -> None:
    with portal(SUPPRESSION_KEYS=(OLD,)):
        before = tokens.suppression_hash(text)
        assert tokens.suppression_hashes(text) == [before]
    with portal(SUPPRESSION_KEYS=(NEW, OLD)):
        newest, oldest = tokens.suppression_hashes(text)
        assert newest == tokens.suppression_hash(text)
        assert oldest == before != newest
    assert re.fullmatch(r"v1\.s1\.[0-9a-f]{64}", before)
    assert len(text) < 4 or text not in before


@given(st.text(), st.text())
def test_two_addresses_have_two_hashes(one: str, two: str) -> None:
    assume(one != two)
    with portal():
        assert tokens.suppression_hash(one) != tokens.suppression_hash(two)


@pytest.mark.parametrize("text", ["", "\ud800@example.org", "\x00", "é" * 100_000])
def test_any_text_has_a_hash(text: str) -> None:
    """An incoming mail may name an address that no encoding knows."""
    with portal():
        assert re.fullmatch(r"v1\.s1\.[0-9a-f]{64}", tokens.suppression_hash(tokens.canonical_address(text)))


def test_a_hash_does_not_depend_on_the_session_key() -> None:
    """A leaked or changed SECRET_KEY neither opens nor loses the suppression list."""
    with portal(SECRET_KEY="one"):
        before = tokens.suppression_hash("a@example.org"), tokens.sign_unsubscribe(b"0123456789abcdef")
    with portal(SECRET_KEY="two"):
        assert (tokens.suppression_hash("a@example.org"), tokens.sign_unsubscribe(b"0123456789abcdef")) == before


@given(st.text())
def test_each_purpose_has_a_key_of_its_own(text: str) -> None:
    with portal():
        assert tokens.keyed_digest(text, purpose="limit") != tokens.keyed_digest(text, purpose="log")
        assert tokens.purpose_key("limit") != tokens.purpose_key("log")
    with portal(SECRET_KEY="another"):
        other = tokens.keyed_digest(text, purpose="limit")
    with portal():
        assert tokens.keyed_digest(text, purpose="limit") != other


# Secrets and references -----------------------------------------------------------------------------------


def test_secrets_do_not_repeat_and_leave_nothing_but_a_digest() -> None:
    made = {tokens.new_secret() for _ in range(1000)}
    assert len(made) == 1000
    assert min(map(len, made)) >= 43  # 256 bits
    digests = {tokens.digest(secret) for secret in made}
    assert len(digests) == 1000
    assert {len(digest) for digest in digests} == {64}


@given(st.text(alphabet=st.characters()))
def test_a_cookie_may_say_anything(text: str) -> None:
    assert re.fullmatch("[0-9a-f]{64}", tokens.digest(text))


def test_a_reference_can_be_read_out() -> None:
    made = {tokens.new_reference() for _ in range(1000)}
    assert len(made) == 1000
    for reference in made:
        assert re.fullmatch(r"IM-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}", reference)
