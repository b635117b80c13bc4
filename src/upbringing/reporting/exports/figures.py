"""The report's figures as files of their own: SVG with its looks inside, and PNG for what takes no SVG."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup

from upbringing.attribution.statistics.adjusted_intervals import simultaneous_intervals
from upbringing.base.errors import MissingExtraError
from upbringing.formats.findings import Claim
from upbringing.reporting.alike import alike_of
from upbringing.reporting.build import asset
from upbringing.reporting.chart import swatch, text
from upbringing.reporting.deciding import of_claim
from upbringing.reporting.depths import depths_of
from upbringing.reporting.designs import designs_of
from upbringing.reporting.differences import interval_of
from upbringing.reporting.exports.names import FileNames
from upbringing.reporting.fidelity import fidelity_of
from upbringing.reporting.forest import ForestRow, forest, forest_axis
from upbringing.reporting.inputs import Inputs
from upbringing.reporting.power import power_of
from upbringing.reporting.runs import Runs, runs_of
from upbringing.reporting.shares import shares_of
from upbringing.reporting.together import together_of
from upbringing.reporting.trade_off import trade_offs_of
from upbringing.reporting.upbringing import Upbringing, upbringing_of
from upbringing.reporting.words import LOG_ODDS, interval, on_scale, signed, verdict_of

PIXELS_PER_UNIT = 3  # a chart unit is 1/96 inch, so this is 288 dots per inch
KEY_ROW, KEY_COLUMN = 20.0, 172.0  # the room of one arm in a key
NO_CHARACTERS = re.compile("[\ufffe\uffff]")  # which XML forbids
NAMESPACE = "http://www.w3.org/2000/svg"
MISSING = "PNG figures need the package resvg-py: pip install 'upbringing[png]', or take the SVG files"
NO_FONT = "no font was found to draw the labels of PNG figures with: install one (DejaVu, for example), or take the SVG"


def figures_of(inputs: Inputs) -> dict[str, str]:
    """Return every figure of the report as a whole SVG file, by file name without ending."""
    names = FileNames()
    return {names.of(name): standalone(chart) for name, chart in _charts(inputs)}


def _charts(inputs: Inputs) -> Iterator[tuple[str, Markup]]:
    runs = runs_of(inputs)
    upbringing = upbringing_of(inputs, runs)
    yield from ((f"tree {figure.title}", figure.chart) for figure in upbringing.trees)
    yield from (
        (f"along the tree {figure.title}", _with_key(figure.chart, upbringing)) for figure in upbringing.multiples
    )
    for trade_off in trade_offs_of(inputs, runs):
        yield f"trade-off {trade_off.figure.title}", _with_key(trade_off.figure.chart, upbringing)
    yield from _forests(inputs, runs)
    for claim in inputs.findings.claims:
        figure = alike_of(inputs, claim, interval_of(claim, runs), runs)
        if figure is not None:
            yield f"alike {figure.title}", figure.chart
    for design in (*designs_of(inputs, runs), *depths_of(inputs, runs)):
        yield f"{design.figure.title} {design.figure.note.partition(' · ')[0]}", design.figure.chart
    together = together_of(inputs)
    yield from ((figure.title, figure.chart) for figure in together.indices if figure.chart)
    yield from ((view.figure.title, view.figure.chart) for view in fidelity_of(inputs).views if view.figure.chart)
    for name, chart in (
        ("power", power_of(inputs).chart),
        ("shares", shares_of(inputs).chart),
        *((f"over the orders {unit}", chart) for unit, chart in together.orders_charts.items()),
    ):
        if chart is not None:
            yield name, chart


def _forests(inputs: Inputs, runs: Runs) -> Iterator[tuple[str, Markup]]:
    """Yield the primary claims of every measure as a forest plot, those in log-odds apart."""
    groups: dict[tuple[str, str], list[Claim]] = {}
    for claim in inputs.findings.claims:
        if claim.role == "primary" and claim.kind != "level":
            groups.setdefault((claim.measure, claim.scale), []).append(claim)
    together = simultaneous_intervals(inputs.findings.claims)
    for (measure, scale), claims in groups.items():
        found = [(claim, interval_of(claim, runs, together.get(claim.id))) for claim in claims]
        rows = [
            ForestRow(claim.contrast, each, verdict_of(claim), _number(claim), claim.margin) for claim, each in found
        ]
        values = [value for _, each in found if each is not None for value in each.values]
        reach = max((abs(value) for value in (*values, *(claim.margin or 0.0 for claim in claims))), default=1.0) or 1.0
        label = inputs.label(measure)
        title = f"Primary differences in {label}"
        unit = LOG_ODDS if scale == "logit" else claims[0].unit
        yield title, forest(rows, forest_axis(-reach, reach), title=title, unit=unit)


def _number(claim: Claim) -> str:
    found = of_claim(claim)
    return on_scale(claim, f"{signed(found.estimate)} {interval(found.low, found.high)}")


def _with_key(chart: Markup, upbringing: Upbringing) -> Markup:
    """Return ``chart`` with the key of the arms below it, which the report shows once for all charts."""
    size = re.match(r'<svg class="([a-z ]+)" viewBox="0 0 ([0-9.]+) ([0-9.]+)"', chart)
    if not upbringing.key or size is None:
        return chart
    width, height = float(size[2]), float(size[3])
    columns = max(1, int(width // KEY_COLUMN))
    parts = []
    for index, entry in enumerate(upbringing.key):
        x, y = (index % columns) * KEY_COLUMN, height + 6 + (index // columns) * KEY_ROW
        parts.append(f'<g transform="translate({x:g} {y:g})">{swatch(index)}{text(42, 12, entry.label, "label")}</g>')
    total = height + 6 + -(-len(upbringing.key) // columns) * KEY_ROW
    head = f'<svg class="{size[1]}" viewBox="0 0 {width:g} {total:g}" width="{width:g}" height="{total:g}" role="img">'
    return Markup(f"{head}{chart}{''.join(parts)}</svg>")  # noqa: S704 - parts are charts, and texts that are escaped


def standalone(chart: Markup) -> str:
    """Return a chart of the report as a whole SVG file, with the light theme's looks and a white ground."""
    inside = f'<style>{figure_style()}</style><rect width="100%" height="100%" fill="#ffffff"/>'
    head, end, rest = NO_CHARACTERS.sub("\ufffd", chart).partition(">")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head} xmlns="{NAMESPACE}"{end}{inside}{rest}\n'


def figure_style() -> str:
    """Return the page's rules for charts in the light theme, without custom properties, which few viewers know."""
    style = asset("style.css")
    light = dict(re.findall(r"--([a-z0-9]+): ([^;]+);", style.partition("}")[0]))
    light["paper"] = "#ffffff"
    rules = []
    for selectors, looks in re.findall(r"([^{}]+)\{([^{}]*)\}", style):
        if all(each.strip().startswith("svg ") for each in selectors.split(",")):
            rules.append(f"{selectors.strip()}{{{_resolved(looks.strip(), light)}}}")
    return "\n".join(rules)


def _resolved(looks: str, light: dict[str, str]) -> str:
    return re.sub(r"var\(--([a-z0-9]+)\)", lambda found: light[found[1]], looks).replace('"', "'")


def png_of(figure: str) -> bytes:
    """Return a figure as PNG, 288 dots per inch, drawn with this machine's fonts.

    Raises ``MissingExtraError`` without the extra ``png``, and where the machine has no font.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise MissingExtraError(MISSING) from None
    return svg_to_bytes(svg_string=figure, zoom=PIXELS_PER_UNIT, background="#ffffff")


def require_png() -> None:
    """Raise ``MissingExtraError`` where PNG figures cannot be drawn, or would be drawn without their labels."""
    pictures = [
        png_of(f'<svg xmlns="{NAMESPACE}" width="20" height="20"><text x="2" y="16">{letter}</text></svg>')
        for letter in ("M", " ")
    ]
    if pictures[0] == pictures[1]:
        raise MissingExtraError(NO_FONT)
