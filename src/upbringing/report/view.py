"""From inputs to what the page shows: plain values in a fixed order, nothing computed that is a statistic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from upbringing.formats.findings import Claim
from upbringing.formats.tree import Tree
from upbringing.report.answers import cells_of_checkpoints
from upbringing.report.chart import NUM_STYLES, Interval, Series, forest, lines, loss_curve, swatch
from upbringing.report.inputs import Inputs

MARKS = {
    "changed": "▲",
    "equivalent": "=",
    "negligible": "≈",
    "inconclusive": "?",
    "not-measurable": "⊘",
    "blocked": "⊘",
}
WORDS = {"changed": "changed", "equivalent": "alike within the margin", "negligible": "changed, but negligibly"}
ESTIMANDS = {
    "artefact": "about these checkpoints only",
    "recipe-given-start": "about the recipe, given its start",
    "recipe": "about the recipe",
}
MAX_PRIMARY = 8
HEADLINE_SPLIT = "held-out-item"


def page(inputs: Inputs) -> dict[str, Any]:
    """Return everything the template needs but the answers block."""
    tree, findings = inputs.tree, inputs.findings
    return {
        "name": tree.study.name,
        "question": tree.study.question or f"What happened in {tree.study.name}?",
        "size": _size(tree),
        "primary": [_headline(claim) for claim in _primary(findings.claims)],
        "missing": _missing(inputs),
        "key": _key(tree),
        "paths": list(_paths(inputs)),
        "path_note": f"Questions that no chat has shown (split {HEADLINE_SPLIT}) where a property has them.",
        "edges": list(_edges(inputs)),
        "contrasts": list(_contrasts(inputs)),
        "levels": list(_levels(inputs)),
        "cards": list(_cards(inputs)),
        "gates": [gate.model_dump() for gate in tree.gates],
        "warnings": list(tree.warnings),
        "judges": ", ".join(inputs.judges) or "none",
        "registered": tree.study.registered.sha256 or "nothing was registered",
        "amendments": tree.study.registered.amendments,
        "checkpoints": list(_checkpoints(inputs)),
        "versions": _versions(inputs),
        "splits": sorted({item.split for item in tree.items if item.split}),
    }


def _size(tree: Tree) -> str:
    seeds = {
        max((seed for seed in cell.seeds.model_dump().values() if isinstance(seed, int)), default=0)
        for cell in tree.cells
    }
    arms = {cell.arm for cell in tree.cells}
    counts = f"{len(tree.checkpoints)} checkpoints, {len(arms)} arms"
    return f"{counts}, {max(len(seeds), 1)} seeds, {len(tree.items)} items"


def _primary(claims: Sequence[Claim]) -> list[Claim]:
    primary = [claim for claim in claims if claim.role == "primary"]
    return (primary or [claim for claim in claims if claim.level != "L1"] or list(claims))[:MAX_PRIMARY]


def _verdict(claim: Claim) -> dict[str, str]:
    verdict = claim.verdict or "inconclusive"
    return {"verdict": verdict, "mark": MARKS[verdict], "verdict_text": WORDS.get(verdict, verdict.replace("-", " "))}


def _headline(claim: Claim) -> dict[str, str]:
    units = claim.units
    evidence = (
        f"Evidence {claim.level}, {ESTIMANDS[claim.estimand]}; {units.seeds} seeds, {units.roots} root runs, "
        f"{units.items} items in {units.clusters} clusters"
    )
    robust = {True: "; holds under every judge", False: "; depends on the judge", None: ""}[claim.judge_robust]
    return {**_verdict(claim), "sentence": claim.sentence or claim.contrast, "evidence": f"{evidence}{robust}."}


def _missing(inputs: Inputs) -> list[str]:
    failed = [gate.sentence for gate in inputs.tree.gates if not gate.passed]
    return list(dict.fromkeys((*failed, *inputs.findings.warnings, *inputs.tree.warnings)))


def _arms(tree: Tree) -> list[str]:
    return list(dict.fromkeys(cell.arm for cell in tree.cells))


def _drawn_arms(tree: Tree) -> list[str]:
    """Return the arms that have a line of their own: a copy would only hide the arm it copies."""
    copies = {cell.arm for cell in tree.cells if cell.control == "copy"}
    return [arm for arm in _arms(tree) if arm not in copies]


def _positions(tree: Tree) -> list[str]:
    return list(dict.fromkeys(cell.position for cell in tree.cells))


def _key(tree: Tree) -> list[dict[str, Any]]:
    return [{"label": arm, "swatch": swatch(style)} for style, arm in enumerate(_drawn_arms(tree))]


def _level_rows(inputs: Inputs) -> list[dict[str, Any]]:
    rows = inputs.findings.tables.get("levels", [])
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _label(inputs: Inputs, measure: str) -> str:
    found = next((info.label for info in inputs.tree.measures if info.id == measure), None)
    return found or measure


def _paths(inputs: Inputs) -> Iterable[dict[str, Any]]:
    """Yield a small multiple per (measure, condition): its headline split, else all items."""
    arms, positions = _drawn_arms(inputs.tree), _positions(inputs.tree)
    groups: dict[tuple[str, str], dict[str | None, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in _level_rows(inputs):
        groups[row["measure"], row["condition"]][row.get("split")].append(row)
    known = dict.fromkeys((*inputs.tree.study.primary, *(info.id for info in inputs.tree.measures)))
    order = {measure: index for index, measure in enumerate(known)}
    for (measure, condition), by_split in sorted(groups.items(), key=lambda each: (order.get(each[0][0], 99), each[0])):
        split = HEADLINE_SPLIT if HEADLINE_SPLIT in by_split else next(iter(sorted(by_split, key=str)))
        found = {row["cell"]: row for row in by_split[split]}
        series = [Series(arm, tuple(_point(found.get(f"{arm}@{place}")) for place in positions)) for arm in arms]
        several = sum(1 for other, _ in groups if other == measure) > 1
        title = _label(inputs, measure) + (f" ({condition})" if several else "")
        share = next((info.unit == "share" for info in inputs.tree.measures if info.id == measure), True)
        yield {
            "title": title,
            "positions": positions,
            "chart": lines(
                series[:NUM_STYLES],
                positions,
                title=title,
                description=f"{len(series)} arms along {', '.join(positions)}; the table below holds the values",
                bounded=share,
            ),
            "note": f"condition {condition}, split {split or 'all items'}",
            "rows": [{"arm": each.label, "cells": [_shown_point(point) for point in each.points]} for each in series],
        }


def _point(row: dict[str, Any] | None) -> tuple[float, float, float] | None:
    if row is None or row.get("estimate") is None:
        return None
    estimate = float(row["estimate"])
    low, high = row.get("low"), row.get("high")
    return estimate, estimate if low is None else float(low), estimate if high is None else float(high)


def _shown_point(point: tuple[float, float, float] | None) -> str:
    return "not measurable" if point is None else f"{point[0]:.3f} [{point[1]:.3f}, {point[2]:.3f}]"


def _edges(inputs: Inputs) -> Iterable[dict[str, str]]:
    for claim in inputs.findings.claims:
        if claim.kind != "path" or claim.measure not in (inputs.tree.study.primary or (claim.measure,)):
            continue
        if claim.split not in (None, HEADLINE_SPLIT):
            continue
        moved = claim.verdict in ("changed", "negligible") and claim.estimate is not None
        word = (
            ("rose" if (claim.estimate or 0) > 0 else "fell")
            if moved
            else {"equivalent": "kept"}.get(claim.verdict or "", "not decided")
        )
        yield {
            "measure": _label(inputs, claim.measure),
            "step": claim.contrast,
            "word": word,
            "verdict": claim.verdict or "inconclusive",
            "difference": _interval_text(claim),
        }


def _interval_text(claim: Claim) -> str:
    if claim.estimate is None or claim.low is None or claim.high is None:
        return "–"
    return f"{claim.estimate:+.3f} [{claim.low:+.3f}, {claim.high:+.3f}]"


def _contrasts(inputs: Inputs) -> Iterable[dict[str, Any]]:
    """Yield a forest plot per measure (paths stand with the upbringing, not here)."""
    groups: dict[tuple[str, str | None], list[Claim]] = defaultdict(list)
    for claim in inputs.findings.claims:
        if claim.kind not in ("path", "level"):
            groups[claim.measure, claim.split].append(claim)
    primary = inputs.tree.study.primary
    ordered = sorted(
        groups.items(), key=lambda each: (each[0][0] not in primary, each[0][1] != HEADLINE_SPLIT, str(each[0]))
    )
    for (measure, split), claims in ordered:
        title = _label(inputs, measure) + (f", {split}" if split else ", all items")
        rows = [
            Interval(
                claim.contrast, claim.estimate, claim.low, claim.high, _note(claim), claim.verdict or "inconclusive"
            )
            for claim in claims
        ]
        margin = next((claim.margin for claim in claims if claim.margin is not None), None)
        chart = forest(
            rows,
            title=f"Differences in {title}",
            description=f"{len(rows)} differences with 95 % intervals; the table below holds the values",
            margin=margin,
            unit=f"difference ({claims[0].unit})",
        )
        shown = measure in primary or not primary
        yield {"title": title, "chart": chart, "open": shown, "rows": [_contrast_row(claim) for claim in claims]}


def _note(claim: Claim) -> str:
    return f"{(claim.verdict or '').replace('-', ' ')}{': ' + claim.blocked_by[0] if claim.blocked_by else ''}"[:60]


def _contrast_row(claim: Claim) -> dict[str, str]:
    flips = claim.flips
    interval = "–" if claim.low is None or claim.high is None else f"[{claim.low:+.3f}, {claim.high:+.3f}]"
    return {
        **_verdict(claim),
        "contrast": claim.contrast,
        "estimate": "–" if claim.estimate is None else f"{claim.estimate:+.3f}",
        "interval": interval,
        "level": claim.level,
        "p": "–" if claim.p_adjusted is None else f"{claim.p_adjusted:.3g}",
        "radius": "–" if claim.equivalence_radius is None else f"{claim.equivalence_radius:.3f}",
        "flips": "–" if flips is None else f"{flips.rose}, {flips.fell}, {flips.kept}",
        "units": f"{claim.units.items}, {claim.units.seeds}",
        "unscored": str(claim.unscored),
    }


def _levels(inputs: Inputs) -> Iterable[dict[str, Any]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _level_rows(inputs):
        point = _point(row)
        groups[row["measure"]].append(
            {
                "cell": row["cell"],
                "split": row.get("split") or "all",
                "condition": row["condition"],
                "estimate": "–" if point is None else f"{point[0]:.3f}",
                "interval": "–" if point is None else f"[{point[1]:.3f}, {point[2]:.3f}]",
                "num_items": row.get("items", "–"),
                "seeds": row.get("seeds", "–"),
                "unscored": row.get("unscored", "–"),
            }
        )
    for measure, rows in groups.items():
        yield {"title": _label(inputs, measure), "rows": rows}


def _cards(inputs: Inputs) -> Iterable[dict[str, Any]]:
    places = cells_of_checkpoints(inputs)
    for identity, record in sorted(inputs.records.items(), key=lambda each: (places.get(each[0], ""), each[0])):
        curve = [(float(step), float(loss)) for step, loss in record.get("loss_curve", [])]
        title = f"{record.get('stage', 'checkpoint')}: {places.get(identity, 'between measured places')}"
        warned = " ".join(record.get("warnings", []))
        yield {
            "title": title,
            "summary": (
                f"{record.get('kind', '?')}, {record.get('steps', 0)} of {record.get('total_steps', 0)} steps, "
                f"{record.get('tokens', 0):,} tokens, {record.get('supervised_tokens', 0):,} supervised, "
                f"{record.get('seconds', 0):.0f} s; guard: {record.get('guard', '?')}. {warned}"
            ),
            "curve": loss_curve(curve, title=f"Training loss of {title}") if len(curve) > 1 else "",
            "sources": [_source(source) for source in record.get("sources", [])],
        }


def _source(source: dict[str, Any]) -> dict[str, str]:
    share = source.get("planned_share")
    return {
        "source": str(source.get("source", "?")),
        "planned": "–" if share is None else f"{share:.0%}",
        "tokens": f"{source.get('realised_tokens', 0):,}",
        "supervised": f"{source.get('supervised_tokens', 0):,}",
        "examples": f"{source.get('examples', 0):,}",
        "repetition": f"{source.get('repetition', 0):.2f}",
        "teachers": ", ".join(source.get("teachers", [])) or "–",
    }


def _checkpoints(inputs: Inputs) -> Iterable[dict[str, str]]:
    places = cells_of_checkpoints(inputs)
    for checkpoint in inputs.tree.checkpoints:
        yield {
            "id": checkpoint.id,
            "cells": places.get(checkpoint.id, "–"),
            "guard": checkpoint.guard or "unknown",
            "weights": (checkpoint.weights_sha256 or "unknown")[:16],
        }


def _versions(inputs: Inputs) -> str:
    found = {
        f"{name} {version}"
        for record in inputs.records.values()
        for name, version in record.get("profile", {}).get("versions", {}).items()
    }
    return ", ".join(sorted(found)) or "unknown"
