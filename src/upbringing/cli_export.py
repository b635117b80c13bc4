"""What ``report --export`` writes, with a line of progress for people."""

from __future__ import annotations

import sys
from pathlib import Path

from upbringing.base.errors import StudyError
from upbringing.base.terminal import visible


def exported(results: Path, folder: Path | None, *, png: bool, inspect: bool, shareable: bool) -> list[Path]:
    """Export ``results`` into ``folder`` and return the files; nothing without a folder.

    Raises ``StudyError`` for kinds of files without a folder to write them to.
    """
    if folder is None:
        if png or inspect:
            raise StudyError("--png and --inspect say what to export: name the folder with --export FOLDER")
        return []
    from rich.console import Console
    from rich.text import Text

    from upbringing.reporting.exports.folder import export_results

    console = Console(stderr=True)
    if not sys.stderr.isatty():
        return export_results(results, folder, png=png, inspect=inspect, shareable=shareable)
    with console.status("exporting") as status:
        num_written = 0

        def told(path: Path) -> None:
            nonlocal num_written
            num_written += 1
            status.update(Text(f"exporting: {num_written} files, {visible(path.name)}"))

        return export_results(results, folder, png=png, inspect=inspect, shareable=shareable, watch=told)
