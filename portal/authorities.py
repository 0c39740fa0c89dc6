"""Leaf: the data protection authority of each country of the European Economic Area, and of the United Kingdom.

Where anybody may complain (GDPR Art. 77). Read by pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Authority(NamedTuple):
    """Its own name, and the address of its public site."""

    name: str
    site: str


AUTHORITIES: Mapping[str, Authority] = {
    "AT": Authority("Datenschutzbehörde", "https://www.dsb.gv.at/"),
    "BE": Authority("Gegevensbeschermingsautoriteit, Autorité de protection des données", "https://www.dataprotectionauthority.be/"),
    "BG": Authority("Commission for Personal Data Protection", "https://www.cpdp.bg/"),
    "HR": Authority("Agencija za zaštitu osobnih podataka", "https://azop.hr/"),
    "CY": Authority("Commissioner for Personal Data Protection", "https://www.dataprotection.gov.cy/"),
    "CZ": Authority("Úřad pro ochranu osobních údajů", "https://uoou.gov.cz/"),
    "DK": Authority("Datatilsynet", "https://www.datatilsynet.dk/"),
    "EE": Authority("Andmekaitse Inspektsioon", "https://www.aki.ee/"),
    "FI": Authority("Tietosuojavaltuutetun toimisto", "https://tietosuoja.fi/"),
    "FR": Authority("Commission nationale de l’informatique et des libertés", "https://www.cnil.fr/"),
    "DE": Authority("Die Bundesbeauftragte für den Datenschutz und die Informationsfreiheit", "https://www.bfdi.bund.de/"),
    "GR": Authority("Hellenic Data Protection Authority", "https://www.dpa.gr/"),
    "HU": Authority("Nemzeti Adatvédelmi és Információszabadság Hatóság", "https://www.naih.hu/"),
    "IS": Authority("Persónuvernd", "https://www.personuvernd.is/"),
    "IE": Authority("Data Protection Commission", "https://www.dataprotection.ie/"),
    "IT": Authority("Garante per la protezione dei dati personali", "https://www.garanteprivacy.it/"),
    "LV": Authority("Datu valsts inspekcija", "https://www.dvi.gov.lv/"),
    "LI": Authority("Datenschutzstelle", "https://www.datenschutzstelle.li/"),
    "LT": Authority("Valstybinė duomenų apsaugos inspekcija", "https://vdai.lrv.lt/"),
    "LU": Authority("Commission nationale pour la protection des données", "https://cnpd.public.lu/"),
    "MT": Authority("Information and Data Protection Commissioner", "https://idpc.org.mt/"),
    "NL": Authority("Autoriteit Persoonsgegevens", "https://www.autoriteitpersoonsgegevens.nl/"),
    "NO": Authority("Datatilsynet", "https://www.datatilsynet.no/"),
    "PL": Authority("Urząd Ochrony Danych Osobowych", "https://uodo.gov.pl/"),
    "PT": Authority("Comissão Nacional de Proteção de Dados", "https://www.cnpd.pt/"),
    "RO": Authority("Autoritatea Națională de Supraveghere a Prelucrării Datelor cu Caracter Personal", "https://www.dataprotection.ro/"),
    "SK": Authority("Úrad na ochranu osobných údajov", "https://dataprotection.gov.sk/"),
    "SI": Authority("Informacijski pooblaščenec", "https://www.ip-rs.si/"),
    "ES": Authority("Agencia Española de Protección de Datos", "https://www.aepd.es/"),
    "SE": Authority("Integritetsskyddsmyndigheten", "https://www.imy.se/"),
    "GB": Authority("Information Commissioner’s Office", "https://ico.org.uk/"),
}  # fmt: skip
