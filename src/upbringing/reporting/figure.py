"""A chart with its caption and its table twin: what a picture shows can always be read too."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class TableRow:
    """A line of a chart's table twin."""

    label: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A chart with its caption and its table twin."""

    title: str
    note: str
    chart: Markup
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
