"""about.json: why, on which ground and for how long, in the W3C's Data Privacy Vocabulary 2.1, as JSON-LD 1.1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from portal.datamap.export.copy import Copy
from portal.purposes import PURPOSES, RECIPIENTS, TRANSFERS
from portal.vocabulary import CATEGORIES, DPV, DPV_DATA, DPV_GDPR, GROUNDS

# The whole context stands in the file: nobody has to be asked for it.
CONTEXT = {
    "dpv": DPV,
    "pd": DPV_DATA,
    "eu-gdpr": DPV_GDPR,
    "dcterms": "http://purl.org/dc/terms/",
    "title": "dcterms:title",
    "description": "dcterms:description",
}


def written(copy: Copy) -> Iterator[str]:
    """The file: one process for each purpose for which something about this person is held."""
    kinds: dict[str, dict[str, None]] = {code: {} for code in PURPOSES}
    received: dict[str, dict[str, None]] = {code: {} for code in PURPOSES}
    for item in copy.items:
        for code in item.purposes if item.value not in (None, "") else ():
            kinds[code][CATEGORIES[item.kind]] = None
            received[code].update(dict.fromkeys(item.recipients))
    graph: list[dict[str, Any]] = [
        {"@id": "#controller", "@type": "dpv:DataController", "title": copy.society},
        *(_process(code, kinds[code], received[code]) for code in PURPOSES if kinds[code]),
    ]
    context = {"@base": f"{copy.url}/held", **CONTEXT}
    yield json.dumps({"@context": context, "@graph": graph}, ensure_ascii=False, indent=1) + "\n"


def _process(code: str, categories: dict[str, None], received: dict[str, None]) -> dict[str, Any]:
    purpose = PURPOSES[code]
    may_receive = [RECIPIENTS[each].name for each in purpose.recipients]
    return {
        "@id": f"#{code}",
        "@type": "dpv:Process",
        "title": purpose.name,
        "dpv:hasPurpose": {"@id": DPV + purpose.dpv},
        "dpv:hasLegalBasis": [{"@id": GROUNDS[purpose.basis]}, {"@id": TRANSFERS[purpose.transfer]}],
        "dpv:hasPersonalData": [{"@id": each} for each in categories],
        "dpv:hasRecipient": [
            {"@type": "dpv:Recipient", "title": each} for each in dict.fromkeys([*may_receive, *received])
        ],
        "dpv:hasStorageCondition": {"@type": "dpv:StorageCondition", "description": purpose.retention},
        "dpv:hasDataController": {"@id": "#controller"},
    }
