"""Built-in study templates: a study file and its README, to list, to copy and to edit."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from upbringing.base.errors import FormatError, StudyError
from upbringing.base.nearest import did_you_mean
from upbringing.study.loading import load_study
from upbringing.study.recipes import DataBook
from upbringing.study.seeds import replicates
from upbringing.study.tree import study_tree
from upbringing.training.settings import TrainedStage

FOLDER = Path(__file__).parent / "studies"
STUDY, README = "study.yaml", "README.md"
QUICK = "quick.yaml"  # overrides that make a study small; not every study has them, and some have other overrides
NEEDS = "**Needs.**"  # begins the paragraph of a README that says what a study needs


@dataclass(frozen=True)
class Template:
    """A built-in study. ``num_trainings``: distinct stages that are trained, over all seeds."""

    name: str
    question: str
    needs: str
    num_arms: int
    num_seeds: int
    num_trainings: int


def studies() -> tuple[Template, ...]:
    """Return the built-in study templates, by name."""
    return tuple(_template(name) for name in template_names())


def template_names() -> tuple[str, ...]:
    """Return the names of the built-in study templates, sorted."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob(f"*/{STUDY}")))


def copy_study(name: str, to: Path | str) -> tuple[Path, ...]:
    """Copy the files of the template ``name`` (study, README, files of overrides) into ``to``; return their new paths.

    Raises ``StudyError`` for an unknown name and for a folder in which one of them stands already.
    """
    names = template_names()
    if name not in names:
        hint = did_you_mean(name, names)
        raise StudyError(f"there is no built-in study {name!r} ({', '.join(names)}){hint}")
    overrides = sorted(path.name for path in (FOLDER / name).glob("*.yaml") if path.name != STUDY)
    to = Path(to)
    targets = tuple(to / file for file in (STUDY, README, *overrides))
    for target in targets:
        if target.exists():
            raise StudyError(f"{target} is there already, and may have been edited: name another folder")
    to.mkdir(parents=True, exist_ok=True)
    for target in targets:
        shutil.copyfile(FOLDER / name / target.name, target)
    return targets


def _template(name: str) -> Template:
    study = load_study(FOLDER / name / STUDY)
    tree = study_tree(study, DataBook(study.data, FOLDER / name, study.seed))
    trained = {run.key() for each in tree.lineages for run in each.runs if isinstance(run.stage, TrainedStage)}
    return Template(
        name=name,
        question=study.question,
        needs=_needs((FOLDER / name / README).read_text(encoding="utf-8"), name),
        num_arms=len(study.declared_arms()),
        num_seeds=len(replicates(study.seeds)),
        num_trainings=len(trained),
    )


def _needs(readme: str, name: str) -> str:
    """Return what the README says that the study needs; raises ``FormatError`` where it does not say it."""
    _, found, rest = readme.partition(NEEDS)
    if not found:
        raise FormatError(f"the README of the built-in study {name!r} has no paragraph that begins with {NEEDS}")
    return " ".join(rest.partition("\n\n")[0].split())
