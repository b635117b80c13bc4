"""Items from a file: one JSON object per line in the public form of ``formats.items.Item``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from upbringing.base.description import Description
from upbringing.base.errors import DataError
from upbringing.formats.items import Item


class ItemFile(Description):
    """A JSON Lines file of items to ask. ``licence`` and ``origin`` of the prompts are the writer's to state.

    ``clusters``: ask only the items of so many clusters, the first in the file; ``None`` = all.
    """

    kind: Literal["items"] = "items"
    path: str
    licence: str = "unknown"
    origin: str = "unknown"
    clusters: int | None = Field(default=None, ge=1)


def read_items(source: ItemFile, folder: Path) -> tuple[Item, ...]:
    """Return the items of ``source``; raises ``DataError`` naming file, row and field of what is not an item."""
    path = folder / source.path
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # texts may hold what else Python takes for a line's end
    except UnicodeDecodeError as error:
        raise DataError(f"{source.path}: byte {error.start + 1} is not UTF-8: save the file as UTF-8") from None
    except OSError as error:
        raise DataError(f"cannot read {source.path}: {error.strerror}") from None
    items: dict[str, Item] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = Item.model_validate(json.loads(line))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise DataError(f"{path.name} row {number}: {field}: {first['msg']}") from None
        except ValueError as error:
            raise DataError(f"{path.name} row {number} is not JSON: {error}") from None
        if item.id in items:
            raise DataError(f"{path.name} row {number}: the id {item.id!r} stands twice")
        items[item.id] = item
    if not items:
        raise DataError(f"{path.name} holds no items")
    kept = set(list(dict.fromkeys(item.cluster for item in items.values()))[: source.clusters])
    return tuple(item for item in items.values() if item.cluster in kept)
