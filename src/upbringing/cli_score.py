"""``upbringing data score`` and what trains, checks and sums up scorers of harm."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from upbringing.base.errors import DataError
from upbringing.base.terminal import visible

if TYPE_CHECKING:
    from upbringing.lab.scoring.audit_report import Estimate
    from upbringing.lab.scoring.threshold_report import Rate, ThresholdReport

audit_app = typer.Typer(no_args_is_help=True, help="Label a sample of each score anew, and see its precision.")

TextFile = Annotated[
    Path, typer.Argument(help="A file of texts: .jsonl, .csv, .tsv, .txt (also .gz, .zst) or .parquet.")
]
ScorerOption = Annotated[Path | None, typer.Option("--scorer", help="A scorer file (YAML).")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of everything that is drawn.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]
RepliesOption = Annotated[
    Path | None, typer.Option("--replies", help="Folder that keeps a model's replies, so that none is paid for twice.")
]
DEFAULT_CLASS_WEIGHT = 10.0  # as ClassifierTraining says, which is loaded only when it is used


def add_to(app: typer.Typer) -> None:
    """Add the verbs to ``upbringing data``."""
    app.command()(score)
    app.command(name="train-classifier")(train_classifier)
    app.command(name="threshold-report")(threshold_report)
    app.command(name="report-card")(report_card)
    app.add_typer(audit_app, name="audit")


def score(
    file: TextFile,
    scorer: Annotated[Path, typer.Option("--scorer", help="A scorer file (YAML).")],
    output: Annotated[Path, typer.Option("--output", help="Where the rows go with their scores.")],
    text_column: Annotated[str, typer.Option("--text-column", help="The column that holds the texts.")] = "text",
    replies: RepliesOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
) -> None:
    """Score every text for harm, 0 to 5; what cannot be scored keeps its row, with the reason."""
    from upbringing.lab.scoring.opening import open_scorer_file
    from upbringing.lab.scoring.score_file import score_file

    opened = open_scorer_file(scorer, replies=replies)
    with _progress(quiet=quiet) as on_progress:
        summary = score_file(file, opened, output, text_column=text_column, on_progress=on_progress)
    if as_json:
        _print_json(asdict(summary))
        return
    print(visible(f"{summary.rows} rows scored by {summary.scorer}"))
    for value, num in enumerate(summary.histogram):
        print(f"score {value}: {num} ({num / summary.rows:.2%})")
    for reason, num in summary.unscored.items():
        print(visible(f"unscored, {reason}: {num} ({num / summary.rows:.2%})"))
    if summary.noise is not None:
        found = summary.noise
        print(
            f"noise: {found['unsafe']} are unsafe, {found['called_unsafe']} are called so, {found['rightly']} rightly"
        )
    if summary.lower_bounds:
        print(f"of the scores {summary.lower_bounds} are lower bounds")


def train_classifier(
    file: TextFile,
    output: Annotated[Path, typer.Option("--output", help="The new folder of the classifier.")],
    label_column: Annotated[str, typer.Option("--label-column", help="The column with labels, 0 to 5.")] = "label",
    class_weight: Annotated[
        float, typer.Option("--class-weight", min=1e-6, help="How much more a missed harmful text costs.")
    ] = DEFAULT_CLASS_WEIGHT,
    settings: Annotated[Path | None, typer.Option("--settings", help="All settings (YAML) instead.")] = None,
    anchors: Annotated[Path | None, typer.Option("--anchors", help="Texts that must come out as labelled.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train an n-gram classifier on your own labels; report on texts that it never read."""
    from upbringing.base.strict_yaml import load_yaml
    from upbringing.data.interventions.scoring.ngram_training import ClassifierTraining
    from upbringing.lab.scoring.training import train_classifier as train
    from upbringing.study.loading import validated

    if settings is not None and class_weight != DEFAULT_CLASS_WEIGHT:
        raise DataError("--class-weight and --settings both set the weight: write class_weight into the settings")
    training = ClassifierTraining(class_weight=class_weight)
    if settings is not None:
        training = validated(ClassifierTraining, load_yaml(settings))
    made = train(file, output, training=training, label_column=label_column, seed=seed, anchors=anchors)
    if as_json:
        _print_json(asdict(made))
        return
    print(f"trained on {made.trained_on} texts, {made.held_out} held out, {made.unlabelled} without label or text")
    _print_thresholds(made.thresholds)
    for name, found in (("the score given", made.confidence), *made.events.items()):
        if found is not None:
            print(f"calibration error of {name}: {found.error:.3f} (Brier {found.brier:.3f})")
    for value, terms in made.heaviest_terms.items():
        print(visible(f"speaks for {value}: {', '.join(terms)}"))


def threshold_report(
    file: TextFile,
    label_column: Annotated[str, typer.Option("--label-column", help="The column with labels, 0 to 5.")] = "label",
    score_column: Annotated[str, typer.Option("--score-column", help="The column with scores.")] = "harm_score",
    as_json: JsonOption = False,
) -> None:
    """Compare scores with labels, recall first: what is missed at scores 1 and 3, and what it costs."""
    from upbringing.lab.scoring.threshold_report import threshold_report as report

    made = report(file, label_column=label_column, score_column=score_column)
    if as_json:
        _print_json(asdict(made))
    else:
        _print_thresholds(made)


@audit_app.command()
def draw(
    file: TextFile,
    output: Annotated[Path, typer.Option("--output", help="The new folder of the audit.")],
    per_score: Annotated[int, typer.Option("--per-score", min=1, help="Texts of each score.")] = 50,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="A sheet for long texts, which spreadsheets cut.")] = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Draw texts of each score of a scored file, and write a blinded sheet to be labelled."""
    from upbringing.lab.scoring.audit_drawing import draw_audit

    sheet = draw_audit(file, output, per_score=per_score, seed=seed, sheet_format="jsonl" if as_jsonl else "csv")
    if as_json:
        _print_json({"sheet": str(sheet)})
    else:
        print(visible(str(sheet)))


@audit_app.command()
def read(
    folder: Annotated[Path, typer.Argument(help="The folder of a drawn audit.")],
    sheet: Annotated[Path | None, typer.Option("--sheet", help="The filled-in sheet, if it lies elsewhere.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read the filled-in sheet: precision of each score, and what it means for the whole corpus."""
    from upbringing.lab.scoring.audit_report import read_audit

    made = read_audit(folder, sheet)
    if as_json:
        _print_json(asdict(made))
        return
    for each in made.strata:
        name = "unscored" if each.score is None else f"score {each.score}"
        print(f"{name}: {each.corpus} texts, {each.labelled} of {each.drawn} drawn are labelled")
        for what, rate in (
            ("exactly so", each.exact),
            *((f"{least} or more", r) for least, r in each.at_least.items()),
        ):
            if rate.num:
                print(f"  labelled {what}: {_rate(rate)}")
    for found in made.corpus:
        print(f"corpus, harm {found.least} or more: {_estimate(found.prevalence)} of all texts")
        print(f"  precision {_estimate(found.precision)}, recall {_estimate(found.recall)}")


def report_card(
    before: TextFile,
    after: Annotated[Path | None, typer.Option("--after", help="The same mixture after an intervention.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Folder for card.json and card.md.")] = None,
    scorer: ScorerOption = None,
    lists: Annotated[Path | None, typer.Option("--lists", help="Word lists by category (YAML).")] = None,
    component_column: Annotated[str, typer.Option("--component", help="The column of the component.")] = "source",
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", help="Folder; counts per million tokens too.")
    ] = None,
    replies: RepliesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sum up scores and word lists of each component of a mixture, before and after an intervention."""
    from upbringing.data.interventions.scoring.harm_lists import read_lists
    from upbringing.data.interventions.scoring.report_card import card_markdown
    from upbringing.lab.scoring.opening import open_scorer_file
    from upbringing.lab.scoring.report_card import report_card as make_card
    from upbringing.lab.scoring.report_card import write_card

    opened = None if scorer is None else open_scorer_file(scorer, replies=replies)
    used = None if lists is None else read_lists(lists)
    card = make_card(before, after, scorer=opened, lists=used, component_column=component_column, tokenizer=tokenizer)
    if output is not None:
        write_card(card, output)
    if as_json:
        _print_json(asdict(card))
    else:
        print(card_markdown(card))


def _print_thresholds(report: ThresholdReport) -> None:
    num_unscored = sum(report.unscored.values())
    print(f"{report.labelled} labelled texts, {num_unscored} of them unscored; {report.unlabelled} without label")
    for each in report.thresholds:
        print(f"score {each.score} or more: recall {_rate(each.recall)}, precision {_rate(each.precision)}")
        if num_unscored and each.recall_if_missed is not None and each.recall_if_caught is not None:
            print(f"  recall with the unscored: {each.recall_if_missed:.1%} to {each.recall_if_caught:.1%}")
    if report.macro_f1 is not None:
        print(f"macro F1 {report.macro_f1:.3f} [{report.macro_f1_low:.3f}, {report.macro_f1_high:.3f}]")
    print("label  " + "".join(f"{f'as {value}':>8}" for value in range(6)) + "  unscored")
    for label, (row, missing) in enumerate(zip(report.confusion, report.unscored_by_label, strict=True)):
        print(f"{label:<7}" + "".join(f"{num:>8}" for num in row) + f"{missing:>10}")


def _rate(rate: Rate) -> str:
    if rate.rate is None:
        return "- (no cases)"
    return f"{rate.rate:.1%} [{rate.low:.1%}, {rate.high:.1%}] ({rate.hits} of {rate.num})"


def _estimate(estimate: Estimate) -> str:
    if estimate.estimate is None:
        return f"- ({estimate.reason})"
    return f"{estimate.estimate:.2%} [{estimate.low:.2%}, {estimate.high:.2%}]"


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Give a function that shows how many rows are done."""
    if quiet:
        yield lambda rows: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:.0f} rows"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("score", total=None)
        yield lambda rows: progress.update(task, completed=rows)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, sort_keys=True))
