"""Files that are whole or not there, also where another library writes them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from upbringing.base.errors import IntegrityError
from upbringing.base.files import make_read_only, replacing
from upbringing.formats.rows import Row, rows_table, write_rows


def half(path: Path, error: Exception) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise error


def test_a_file_takes_its_place_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as temporary:
        temporary.write_text("one", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "one"
    with pytest.raises(KeyError):
        half(path, KeyError())
    assert path.read_text(encoding="utf-8") == "one"
    with pytest.raises(IntegrityError, match="the disk or the file limit is full"):
        half(path, OSError(errno.ENOSPC, "no space left"))
    assert path.read_text(encoding="utf-8") == "one"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_rows_that_cannot_be_written_whole_leave_those_that_were_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.parquet"
    table = rows_table([Row(checkpoint="a", measure="m", item="i", value=1.0)])
    write_rows(table, path)
    before = path.read_bytes()

    def torn(_: object, target: Path, **__: object) -> None:
        Path(target).write_bytes(before[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(pq, "write_table", torn)
    with pytest.raises(KeyboardInterrupt):
        write_rows(table, path)
    assert path.read_bytes() == before
    assert pq.read_table(path).num_rows == 1
    assert [each.name for each in tmp_path.iterdir()] == ["rows.parquet"]


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o444), (0o027, 0o440), (0o077, 0o400), (0o777, 0o400)])
def test_what_is_published_can_be_read_by_whom_the_umask_lets(tmp_path: Path, umask: int, expected: int) -> None:
    (tmp_path / "adapter").mkdir()
    files = {tmp_path / "model.safetensors": 0o600, tmp_path / "adapter" / "a": 0o600, tmp_path / "config": 0o664}
    for path, mode in files.items():
        path.write_bytes(b"")
        path.chmod(mode)
    before = os.umask(umask)
    try:
        make_read_only(tmp_path)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o7777 for path in files} == {expected}
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(files)
