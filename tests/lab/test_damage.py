"""A flipped bit is never measured and never read: what is damaged is set aside and made again in the same run."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import IntegrityError, UpbringingWarning
from upbringing.formats.record import RECORD_NAME
from upbringing.lab.measurement.measuring import ROWS
from upbringing.lab.run import Watch, build, measure, run
from upbringing.lab.session import Session, open_session
from upbringing.models.weights import weights_sha256

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

STUDY = """\
name: damaged
seeds: 1
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  pretrain: {kind: pretrain, tokens: 3k, context: 64, batch_size: 8, phases: [{data: world.pretraining_concept}]}
battery: [bits_per_byte]
primary: [bits_per_byte]
"""


def flip(path: Path) -> None:
    """Change one bit in the middle of a file; its size stays."""
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))
    path.chmod(0o444)


@pytest.fixture
def finished(tmp_path: Path, one_process: None) -> Session:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    session = open_session(path, store=tmp_path / "store")
    run(session, Watch())
    return session


def results(session: Session) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in session.results.iterdir() if path.suffix in (".parquet", ".json")}


def trained(session: Session) -> Path:
    (key,) = [
        key
        for key in session.store.keys("checkpoints")
        if b'"pretrain"' in (session.store.path("checkpoints", key) / RECORD_NAME).read_bytes()
    ]
    return session.store.path("checkpoints", key)


def test_a_flipped_bit_of_a_checkpoint_is_rebuilt_and_the_right_bytes_are_measured(finished: Session) -> None:
    folder, rows = trained(finished), finished.store.keys("rows")
    before, weights = (finished.results / "rows.parquet").read_bytes(), weights_sha256(folder)
    flip(folder / "model.safetensors")
    assert weights_sha256(folder) != weights
    with pytest.warns(UpbringingWarning, match=r"model\.safetensors are not the ones"):
        run(finished, Watch())
    assert [each.name.partition("-")[2] for each in (finished.store.root / "quarantine").iterdir()] == [
        f"checkpoints-{folder.name}"
    ]
    assert weights_sha256(folder) == weights
    assert finished.store.keys("rows") == rows
    assert (finished.results / "rows.parquet").read_bytes() == before


def test_a_bit_that_flips_between_building_and_measuring_stops_the_run(finished: Session) -> None:
    built = build(finished, Watch())
    for key in finished.store.keys("rows"):
        finished.store.path("rows", key).rename(finished.store.root / "quarantine" / key)
    flip(trained(finished) / "config.json")
    with pytest.warns(UpbringingWarning, match="config"), pytest.raises(IntegrityError, match="damaged: run the same"):
        measure(finished, Watch(), built)


def test_weights_that_a_manifest_covers_but_the_record_does_not_are_refused(finished: Session) -> None:
    from upbringing.base.manifest import MANIFEST_NAME, write_manifest

    folder = trained(finished)
    flip(folder / "model.safetensors")
    (folder / MANIFEST_NAME).chmod(0o644)
    write_manifest(folder)
    with pytest.raises(IntegrityError, match="its record says"):
        run(finished, Watch())


def test_a_flipped_bit_of_kept_rows_is_measured_again_and_never_read(finished: Session) -> None:
    before = results(finished)
    for key in finished.store.keys("rows"):
        flip(finished.store.path("rows", key) / ROWS)
    with pytest.warns(UpbringingWarning, match=r"rows\.parquet are not the ones"):
        run(finished, Watch())
    assert results(finished) == before


def test_a_folder_is_hashed_once_per_process(finished: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from upbringing.base import manifest

    hashed: list[Path] = []
    real = manifest.file_sha256
    monkeypatch.setattr(manifest, "file_sha256", lambda path: hashed.append(path) or real(path))
    assert finished.store.whole("checkpoints", trained(finished).name) is not None
    assert hashed == []
    trained(finished).joinpath("config.json").touch()
    assert finished.store.whole("checkpoints", trained(finished).name) is not None
    assert hashed
