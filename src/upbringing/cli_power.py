"""The verb ``power``: what a study can decide, what would decide it, and what each design buys."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upbringing.base.errors import StudyError

if TYPE_CHECKING:
    from upbringing.attribution.statistics.variance import VarianceComponents

DEFAULT_STORE = Path("store")
PARTS = ("prompt", "seed", "cell", "subseed")
STATED = "difference of two cells"

Source = Annotated[Path | None, typer.Argument(help="A study file, or a folder of results.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value changes of a study file.")]
Components = Annotated[
    str | None,
    typer.Option("--components", help="Instead of a study: prompt=0.15,seed=0.05,cell=0.45 (standard deviations)."),
]


def power(
    source: Source = None,
    overrides: Overrides = None,
    store: Annotated[Path, typer.Option("--store", help="Where the study was run.")] = DEFAULT_STORE,
    pilot: Annotated[Path | None, typer.Option("--pilot", help="Results whose noise stands for the study's.")] = None,
    wanted: Annotated[float, typer.Option("--power", min=0.5, max=0.999, help="The probability wanted.")] = 0.8,
    components: Components = None,
    prompts: Annotated[int, typer.Option("--prompts", min=2, help="With --components.")] = 200,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="With --components or --designs.")] = 5,
    subseeds: Annotated[int, typer.Option("--subseeds", min=1, help="With --components: runs of each seed.")] = 1,
    margin: Annotated[float | None, typer.Option("--margin", help="With --components.")] = None,
    tests: Annotated[int, typer.Option("--tests", min=1, help="With --components: corrected together.")] = 1,
    measures: Annotated[int, typer.Option("--measures", min=1, help="With --components: that must all pass.")] = 1,
    designs: Annotated[int | None, typer.Option("--designs", help="Compare designs for this many stages.")] = None,
    runs: Annotated[
        int | None, typer.Option("--runs", help="With --designs: pipelines to spend, instead of seeds.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print machine-readable JSON.")] = False,
) -> None:
    """Say what a study can find, and how many prompts, seeds and hours would decide its margins."""
    chosen = [
        name for name, value in (("a source", source), ("--components", components), ("--designs", designs)) if value
    ]
    if len(chosen) != 1:
        found = " and ".join(chosen) or "nothing"
        raise StudyError(f"power takes a study or results, or --components, or --designs; found {found}")
    if designs is not None:
        _designs(designs, seeds, runs, as_json=as_json)
        return
    from rich.console import Console

    from upbringing.attribution.power.outlook import ContrastFacts
    from upbringing.attribution.power.sampling import SampleSize
    from upbringing.lab.planning.power import stated_power
    from upbringing.lab.planning.power_drawing import print_power
    from upbringing.lab.verbs import power as power_of

    if components is not None:
        facts = ContrastFacts("stated", STATED, margin, num_tests=tests, num_measures=measures)
        size = SampleSize(prompts, seeds, subseeds)
        report = stated_power(facts, _stated(components), size, power=wanted)
    else:
        assert source is not None
        report = power_of(source, store=store, overrides=tuple(overrides or ()), pilot=pilot, power=wanted)
    if as_json:
        print(json.dumps(asdict(report), indent=1, sort_keys=True))
    else:
        print_power(report, Console())


def _designs(num_stages: int, seeds: int, runs: int | None, *, as_json: bool) -> None:
    from rich.console import Console

    from upbringing.attribution.power.design_power import design_table, designs_for_runs
    from upbringing.lab.planning.power_drawing import print_designs

    stages = [f"stage {number + 1}" for number in range(num_stages)]
    found = design_table(stages, seeds) if runs is None else designs_for_runs(stages, runs)
    if as_json:
        lines = [{**asdict(each), "runs": each.num_runs, "stages_trained": each.num_trained} for each in found]
        print(json.dumps({"designs": lines}, indent=1, sort_keys=True))
    else:
        print_designs(found, Console())


def _stated(text: str) -> VarianceComponents:
    """Return the components in ``prompt=0.15,seed=0.05,cell=0.45``."""
    from upbringing.attribution.statistics.variance import VarianceComponents

    found: dict[str, float] = {}
    for part in text.split(","):
        name, separator, value = part.strip().partition("=")
        try:
            if not separator or name not in PARTS or name in found:
                raise ValueError
            found[name] = float(value)
        except ValueError:
            raise StudyError(
                f"components read prompt=0.15,seed=0.05,cell=0.45 (and subseed), each once; found {part.strip()!r}"
            ) from None
    missing = [name for name in PARTS[:3] if name not in found]
    if missing:
        raise StudyError(f"the component {missing[0]!r} is missing: state it, 0 if it does not vary")
    return VarianceComponents(found["prompt"], found["seed"], found["cell"], found.get("subseed", 0.0))


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(power)
