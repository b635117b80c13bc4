"""Before anything is trained: chats need a template, and what starts from a checkpoint keeps the folder's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from upbringing.base.errors import DataError, StudyError
from upbringing.data.tokenizer import chat_template
from upbringing.study.tree import StudyTree
from upbringing.training.existing import Existing


def require_templates(tree: StudyTree, tokenizers: Mapping[str, Path]) -> None:
    """Raise ``DataError`` if a stage trains on chats from a start whose tokenizer has no chat template.

    ``StudyError``: a stage trains from a checkpoint that is asked in another template than its folder's.
    """
    for lineage in tree.lineages:
        folder = tokenizers.get(lineage.start_key)
        for run in lineage.runs:
            came_from = tree.nodes[run.parent].existing
            place_of_template = (("start", "template"), ("arms", lineage.arm.name, "start", "template"))
            if came_from is not None and came_from.template is not None and not isinstance(run.stage, Existing):
                raise StudyError(
                    f"stage {run.stage_name!r} of arm {lineage.arm.name!r} starts from {came_from.checkpoint!r}, "
                    "whose template is declared for asking it only: what starts from it would keep the folder's own. "
                    "Put the template as chat_template.jinja beside its tokenizer instead",
                    *place_of_template,
                )
            is_chats = run.stream is not None and run.stream.form != "documents"
            if is_chats and folder is not None and chat_template(folder) is None:
                raise DataError(
                    f"stage {run.stage_name!r} of arm {lineage.arm.name!r} trains on chats, but {folder.name} has no "
                    "chat template: start from a checkpoint that has one, or put chat_template.jinja beside its "
                    "tokenizer"
                )
