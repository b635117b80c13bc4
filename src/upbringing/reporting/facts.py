"""What stands behind every exploratory claim, once per page: drawn by the page's script when a reader asks for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from upbringing.reporting.answers import Strings
from upbringing.reporting.differences import ClaimView, Group

# Letters that could end a script element or an attribute; a pair of backslashes is matched so as to step over it.
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", '\\"': "\\u0022"}
_UNSAFE = re.compile(r'\\\\|\\"|[<>&]')


def facts_block(groups: Iterable[Group]) -> Markup:
    """Return ``{strings, claims}`` as JSON that no markup can be in; empty without exploratory claims.

    A claim, by its place in the page, is ``[sentence, facts]``; a fact is ``[name, value]`` and then, where there are
    any, ``[text, place]`` pairs. All are indices into ``strings``.
    """
    strings = Strings()
    claims = {view.anchor: _claim(view, strings) for group in groups for view in group.others}
    if not claims:
        return Markup("")
    text = json.dumps({"strings": list(strings.places), "claims": claims}, ensure_ascii=True, separators=(",", ":"))
    return Markup(_UNSAFE.sub(lambda found: ESCAPES.get(found[0], found[0]), text))  # noqa: S704 - no markup is left


def _claim(view: ClaimView, strings: Strings) -> list[Any]:
    facts = [
        [
            strings.index(fact.name),
            strings.index(fact.value),
            *([strings.index(text), strings.index(place)] for text, place in fact.links),
        ]
        for fact in view.facts
    ]
    return [strings.index(view.sentence), facts]
