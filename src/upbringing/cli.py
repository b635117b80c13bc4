"""The command line: verbs with the same names as the Python functions, each a few lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upbringing.base.errors import StudyError
from upbringing.base.terminal import visible
from upbringing.cli_data import app as data_app
from upbringing.cli_ending import ending_in_words
from upbringing.cli_gate import add_to as add_gate
from upbringing.cli_judges import add_to as add_judges
from upbringing.cli_label import app as label_app
from upbringing.cli_look import add_to as add_look
from upbringing.cli_power import add_to as add_power_verb
from upbringing.cli_results import add_to as add_result_verbs
from upbringing.cli_score import add_to as add_scoring
from upbringing.cli_store import add_to as add_store_verbs
from upbringing.cli_studies import add_to as add_study_verbs
from upbringing.cli_validate import add_to as add_validate

if TYPE_CHECKING:
    from upbringing.formats.findings import Findings
    from upbringing.lab.session import Session

app = typer.Typer(
    name="upbringing",
    help="Which stage of a language model's training made it safe, and how to put safety in so that it stays.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

add_scoring(data_app)
app.add_typer(data_app, name="data")
app.add_typer(label_app, name="label")

StudyFile = Annotated[Path, typer.Argument(help="The study file (YAML).")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value changes (stages.sft.epochs=2), or @FILE.")]
StoreOption = Annotated[Path, typer.Option("--store", help="Folder of checkpoints, data, rows and results.")]
SeedsOption = Annotated[int | None, typer.Option("--seeds", min=1, help="Whole pipelines instead of the study's.")]
OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", help="An arm, or a pattern such as 'concept+*'; repeat it for several.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]
RayOption = Annotated[
    str | None, typer.Option("--ray", help="Work on a Ray cluster: local, auto or host:port; it must see the store.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")]

DEFAULT_STORE = Path("store")
SUSTAINED_FLOPS = 2e13  # as lab.plan says, which is loaded only when it is used


def _session(
    study: Path, overrides: list[str] | None, store: Path, seeds: int | None, only: list[str] | None, ray: str | None
) -> Session:
    """Open a study for work, here or on a Ray cluster, whose workers stand in other folders."""
    from upbringing.lab.session import open_session

    path = study if ray is None else study.absolute()
    session = open_session(path, store=store, overrides=tuple(overrides or ()), seeds=seeds, only=tuple(only or ()))
    if ray is None:
        return session
    from upbringing.lab.building.ray_workshop import on_ray

    return on_ray(session, ray)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=1, sort_keys=True, default=str))


@app.command()
def plan(
    study: StudyFile,
    overrides: Overrides = None,
    store: StoreOption = DEFAULT_STORE,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    read_data: Annotated[
        bool, typer.Option(help="Read data whose size is not known: exact tokens, templates, leaked prompts.")
    ] = True,
    calibrate: Annotated[bool, typer.Option(help="Time a few real steps and questions, once per machine.")] = True,
    sustained_flops: Annotated[
        float, typer.Option(min=1.0, help="FLOP/s assumed of a GPU where nothing can be timed.")
    ] = SUSTAINED_FLOPS,
    as_json: JsonOption = False,
) -> None:
    """Show the tree: what is done, missing or stale and why, what it costs, what a claim will lack."""
    from dataclasses import asdict

    from rich.console import Console

    from upbringing.lab.planning.plan import plan as make_plan
    from upbringing.lab.planning.plan_drawing import print_plan
    from upbringing.lab.session import open_session

    session = open_session(
        study, store=store, overrides=tuple(overrides or ()), seeds=seeds, only=tuple(only or ()), reads_only=True
    )
    made = make_plan(session, read_data=read_data, calibrate=calibrate, sustained_flops=sustained_flops)
    if as_json:
        _print_json(asdict(made))
    else:
        print_plan(made, Console())


@app.command()
def build(
    study: StudyFile,
    overrides: Overrides = None,
    store: StoreOption = DEFAULT_STORE,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    ray: RayOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train every checkpoint of the study that is missing."""
    from upbringing.lab.building.boards import BoardWatch
    from upbringing.lab.remembering import labels
    from upbringing.lab.verbs import build as build_study

    session = _session(study, overrides, store, seeds, only, ray)
    built = build_study(session, watch=BoardWatch(quiet=quiet))
    num_present = len(session.tree.nodes) - built.num_built
    if as_json:
        named = labels(session)
        keys = {named.get(node, session.tree.nodes[node].label): key for node, key in built.prepared.keys.items()}
        _print_json({"built": built.num_built, "present": num_present, "checkpoints": keys})
    else:
        print(f"{built.num_built} built, {num_present} were there")


@app.command()
def measure(
    study: StudyFile,
    overrides: Overrides = None,
    store: StoreOption = DEFAULT_STORE,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    ray: RayOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure every checkpoint of the study with its battery; builds what is missing."""
    from upbringing.lab.building.boards import BoardWatch
    from upbringing.lab.verbs import measure as measure_study

    session = _session(study, overrides, store, seeds, only, ray)
    results = measure_study(session, watch=BoardWatch(quiet=quiet))
    if as_json:
        _print_json({"results": results})
    else:
        print(results)


add_result_verbs(app)  # here, so that help lists the verbs in the order of a study
add_look(app)
add_judges(app)


@app.command()
def run(
    study: StudyFile,
    overrides: Overrides = None,
    store: StoreOption = DEFAULT_STORE,
    seeds: SeedsOption = None,
    only: OnlyOption = None,
    ray: RayOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Build, measure, attribute and report."""
    from upbringing.lab.building.boards import BoardWatch
    from upbringing.lab.verbs import run as run_study

    session = _session(study, overrides, store, seeds, only, ray)
    _show(*run_study(session, watch=BoardWatch(quiet=quiet)), as_json=as_json)


@app.command()
def trace(
    checkpoints: Annotated[list[str], typer.Argument(help="stage=folder or stage=org/name@revision, in order.")],
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", help="JSON Lines of items to ask (docs/formats.md); none = the shipped sets."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare existing checkpoints stage by stage; trains nothing."""
    from upbringing.lab.building.boards import BoardWatch
    from upbringing.lab.verbs import first_look
    from upbringing.lab.verbs import trace as trace_checkpoints

    pairs = [each.partition("=") for each in checkpoints]
    for stage, separator, folder in pairs:
        if not separator or not stage or not folder:
            raise StudyError(f"a checkpoint reads stage=folder, found {stage + separator + folder!r}")
    named = {stage: folder for stage, _, folder in pairs}
    if len(named) < len(pairs):
        raise StudyError(f"two checkpoints of a trace have the same name ({', '.join(stage for stage, *_ in pairs)})")
    watch = BoardWatch(quiet=quiet)
    if not as_json and (first := first_look(named, prompts, store=store, watch=watch)) is not None:
        _show_first(first)
    _show(*trace_checkpoints(named, prompts, store=store, watch=watch), as_json=as_json)


def _show_first(findings: Findings) -> None:
    from rich.console import Console

    from upbringing.lab.tables import print_findings

    print("first look, at a few prompts; all of them follow:")
    print_findings(findings, Console())


@app.command()
def demo(
    store: StoreOption = DEFAULT_STORE,
    seeds: SeedsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run the built-in study on the controlled world: minutes on two CPU cores, ends with a report."""
    from upbringing.lab.building.boards import BoardWatch
    from upbringing.lab.verbs import demo as run_demo

    _show(*run_demo(store=store, seeds=seeds, watch=BoardWatch(quiet=quiet)), as_json=as_json)


def _show(findings: Findings, path: Path, *, as_json: bool) -> None:
    from rich.console import Console

    from upbringing.lab.tables import print_findings, tree_warnings

    if as_json:
        print(findings.model_dump_json(indent=1))
        print(path, file=sys.stderr)
    else:
        print_findings(findings, Console(), tree_warnings(path.parent))
        print(f"report: {path}")


@app.command()
def verify(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Re-hash everything in the store; damaged entries are named and quarantined."""
    from upbringing.lab.storage.verify import verify as verify_store

    checked = verify_store(store)
    if as_json:
        _print_json({"whole": checked.num_whole, "damaged": checked.damaged})
    else:
        print(f"{checked.num_whole} entries are whole, {len(checked.damaged)} are damaged")
        for name in checked.damaged:
            print(visible(name))
    if checked.damaged:
        raise typer.Exit(4)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Say whether this machine is ready: Python, torch, processor, memory, disk, browser, keys (present or not)."""
    from upbringing.lab.doctor import doctor as examine

    checks = examine()
    if as_json:
        _print_json([check.__dict__ for check in checks])
    else:
        for check in checks:
            print(f"{'ok ' if check.is_good else 'see'} {check.name}: {visible(check.found)}")
    if not all(check.is_good or not check.is_needed for check in checks):
        raise typer.Exit(1)


add_power_verb(app)
add_store_verbs(app)
add_validate(app)
add_gate(app)
add_study_verbs(app)


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from upbringing.study.loading import schema as study_schema

    _print_json(study_schema())


def main() -> None:
    """Run the command line."""
    with ending_in_words():
        app()
