"""Typed text becomes a stored value, or a plain sentence."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.domain import values
from portal.tokens import canonical_address

TODAY = date(2026, 12, 4)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (" Ada.Ng+imaps@Example.ORG ", "Ada.Ng+imaps@example.org"),
        ("ada@bücher.example.org", "ada@bücher.example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
        ("ünï@example.org", "ünï@example.org"),
    ],
)
def test_an_address_is_stored_as_typed_with_its_domain_in_lower_case(typed: str, stored: str) -> None:
    assert values.email(typed) == stored


@pytest.mark.parametrize(
    "typed",
    ["", "ada", "ada@", "@example.org", "a b@example.org", "ada@example", "ada@example..org", ".ada@example.org",
     "ada.@example.org", "a..b@example.org", "ada@example.test", "ada@localhost", "x" * 65 + "@example.org",
     "ada@" + "x" * 64 + ".org", "Ada <ada@example.org>", "a@b@example.org", "ada@example.org\nBcc: x@example.org",
     "ada\u200b@example.org", "a@" + ".".join(["x" * 60] * 5) + ".org",
     "\ufdfa" * 60 + "@example.org"],
)  # fmt: skip
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="address"):
        values.email(typed)


@given(st.emails())
def test_a_stored_address_is_read_as_itself(typed: str) -> None:
    try:
        stored = values.email(typed)
    except ValueError:
        return
    assert values.email(stored) == stored
    assert canonical_address(stored) == canonical_address(stored.upper())


@pytest.mark.parametrize(
    ("typed", "code"),
    [("us", "US"), ("USA", "US"), ("United States", "US"), ("U.S.A.", "US"), ("UK", "GB"), ("South Korea", "KR"),
     ("Republic of Korea", "KR"), ("Czech Republic", "CZ"), ("Czechia", "CZ"), ("Russia", "RU"), ("Vietnam", "VN"),
     ("Viet Nam", "VN"), ("Türkiye", "TR"), ("TURKEY", "TR"), ("Cote d'Ivoire", "CI"), ("Côte d’Ivoire", "CI"),
     ("The Netherlands", "NL"), ("Hong Kong", "HK"), ("Taiwan", "TW"), ("Bosnia and Herzegovina", "BA"),
     ("saint lucia", "LC"), (" germany ", "DE")],
)  # fmt: skip
def test_a_country_is_known_by_code_name_and_common_name(typed: str, code: str) -> None:
    assert values.country(typed) == code


@pytest.mark.parametrize("typed", ["", "Atlantis", "XX", "ZZ", "EU", "AC", "CP", "CQ", "DG", "EA", "IC", "TA", "USSR"])
def test_what_is_no_country_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="not a country"):
        values.country(typed)


def test_every_country_offered_is_understood_by_code_and_by_name() -> None:
    offered = values.countries()
    assert len(offered) > 240
    assert [name for _, name in offered].index("Åland Islands") < [name for _, name in offered].index("Brazil")
    for code, name in offered:
        assert (values.country(code), values.country(name), values.country_name(code)) == (code, code, name)


@pytest.mark.parametrize(
    ("typed", "country", "stored"),
    [
        ("(919) 555-0100", "US", "+19195550100"),
        ("+44 113 496 0000", "US", "+441134960000"),
        ("919-555-0100 ext. 12", "US", "+19195550100;ext=12"),
        ("+19195550100;ext=12", "", "+19195550100;ext=12"),
    ],
)
def test_a_phone_is_stored_as_e164_with_its_extension(typed: str, country: str, stored: str) -> None:
    assert values.phone(typed, country) == stored
    assert values.phone(stored, "") == stored


@pytest.mark.parametrize(("typed", "country"), [("12", "US"), ("ask Joan", "US"), ("555 0100", ""), ("+1 23", "")])
def test_an_impossible_phone_is_refused(typed: str, country: str) -> None:
    with pytest.raises(ValueError, match="phone number"):
        values.phone(typed, country)


def test_a_phone_is_shown_with_spaces_and_other_text_as_it_is() -> None:
    assert values.phone_shown("+441134960000") == "+44 113 496 0000"
    assert values.phone_shown("ask Joan") == "ask Joan"


@pytest.mark.parametrize("typed", ["", "20200101", "2020-1-1", "2020-02-30", "01/02/2020", "2020-W01-1", "٢٠٢٠-٠١-٠١"])
def test_only_a_whole_iso_date_is_a_date(typed: str) -> None:
    with pytest.raises(ValueError, match="not a date"):
        values.iso_date(typed)


def test_a_child_is_refused_without_telling_where_the_limit_is() -> None:
    assert values.birth_date("2013-12-04", TODAY) == date(2013, 12, 4)
    with pytest.raises(ValueError, match="contact us") as refusal:
        values.birth_date(date(2013, 12, 5), TODAY)
    assert "13" not in str(refusal.value)
    with pytest.raises(ValueError, match="contact us"):
        values.birth_date("2012-02-29", date(2025, 2, 28))
    assert values.birth_date("2012-02-29", date(2025, 3, 1)).year == 2012
    for odd in ("2030-01-01", "0075-03-31"):
        with pytest.raises(ValueError, match="year"):
            values.birth_date(odd, TODAY)


def test_yes_and_no() -> None:
    assert [values.yes_no(word) for word in ("yes", " TRUE ", "1", "no", "false", "0", "", " ")] == [
        True, True, True, False, False, False, None, None,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="neither yes nor no"):
        values.yes_no("perhaps")


def test_line_breaks_go_and_so_do_characters_that_nobody_sees() -> None:
    assert values.line(" one\r\ntwo\u2028three\n\n four\t. ") == "one two three four ."
    assert values.address_line("1 Fab St,\r\nHall 2\n\nLeeds\n") == "1 Fab St, Hall 2, Leeds"
    assert values.long_text("one\r\ntwo\rthree\x00\n") == "one\ntwo\nthree"
    assert values.line("\u202eabc\u2066\x07\ufeff") == "abc"
    assert values.line("Bjo\u0308rk") == "Björk"
    assert values.line("क्‍ष") == "क्‍ष"  # a joiner that Indic writing needs


@given(st.text())
def test_a_line_is_one_line_and_stays_as_it_is(text: str) -> None:
    for clean in (values.line, values.address_line):
        once = clean(text)
        assert clean(once) == once
        assert not any(unicodedata.category(letter) == "Cc" for letter in once)
        assert len(once.splitlines()) <= 1
    assert values.long_text(values.long_text(text)) == values.long_text(text)


@pytest.mark.parametrize(
    ("country", "postal_code", "region", "city"),
    [("US", "ZIP code", "State", "City"), ("IE", "Eircode", "County", "City"), ("IN", "PIN code", "State", "City"),
     ("JP", "Postal code", "Prefecture", "City"), ("GB", "Postcode", "Province", "Post town"),
     ("DE", "Postal code", "Province", "City"), ("HK", "Postal code", "Area", "District"),
     ("", "Postal code", "Region", "City"), ("XK", "Postal code", "Province", "City")],
)  # fmt: skip
def test_an_address_has_the_words_of_its_country(country: str, postal_code: str, region: str, city: str) -> None:
    labels = values.address_labels(country)
    assert (labels.postal_code, labels.region, labels.city) == (postal_code, region, city)


def test_every_country_has_words_and_says_what_it_needs() -> None:
    for code, _ in values.countries():
        labels = values.address_labels(code)
        assert "_" not in labels.postal_code + labels.region + labels.city
        assert labels.postal_code[0].isupper()
    assert values.address_labels("US").needs_region
    assert not values.address_labels("GB").has_region
    assert not values.address_labels("HK").has_postal_code


def test_an_odd_address_raises_doubts_and_a_good_one_none() -> None:
    good = {"postal_code": "85004", "region": "AZ", "city": "Phoenix"}
    assert values.address_doubts("US", good) == []
    assert values.address_doubts("GB", {"postal_code": "ls1 4ab", "city": "Leeds"}) == []
    assert "such as" in values.address_doubts("US", {**good, "postal_code": "LS1 4AB"})[0]
    assert values.address_doubts("US", {**good, "region": ""}) == [
        "Addresses in United States usually have this: State."
    ]
    assert values.address_doubts("", {}) == []
