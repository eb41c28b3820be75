"""Every text of the report that depends on a number: pure functions from records to sentences, a file a subject.

Each says the direction of its number, its n, and what it does not show. Fractions come in, per cent and
percentage points go out.
"""

from reports.wording import (
    cases,
    compare,
    controls,
    copies,
    data,
    detail,
    diversity,
    feature_map,
    further,
    glossary,
    index,
    machine,
    names,
    paste,
    pictures,
    readers,
    training,
    transfer,
    verdict,
    watch,
    ways,
)

__all__ = [
    "cases",
    "compare",
    "controls",
    "copies",
    "data",
    "detail",
    "diversity",
    "feature_map",
    "further",
    "glossary",
    "index",
    "machine",
    "names",
    "paste",
    "pictures",
    "readers",
    "training",
    "transfer",
    "verdict",
    "watch",
    "ways",
]
