"""The n-gram classifier: a planted word decides and is found, shuffled labels are not; its files cannot lie."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from upbringing.base.errors import DataError, IntegrityError
from upbringing.base.manifest import MANIFEST_NAME, write_manifest
from upbringing.base.streams import stream
from upbringing.data.documents import Document
from upbringing.data.interventions.scoring.classifier import ClassifierScorer
from upbringing.data.interventions.scoring.deciding import at_least, calibration, decide, over_scores
from upbringing.data.interventions.scoring.ngram_files import open_ngrams, save_ngrams
from upbringing.data.interventions.scoring.ngram_training import (
    ClassifierTraining,
    LabelledText,
    distinct,
    fit_calibration,
    split,
    train_ngrams,
)
from upbringing.data.interventions.scoring.ngrams import NgramClassifier, NgramFeatures, rarities, softmax, weigh
from upbringing.data.interventions.scoring.tools import ScoringTools

PLANTED = {0: "meadow", 3: "rumour", 5: "venom"}


def planted_rows(num: int, seed: int, *, noise: float = 0.0) -> list[LabelledText]:
    """Random words with one word that decides the score; ``noise``: share of texts whose label is another."""
    random = stream(seed, "planted rows")
    scores = sorted(PLANTED)
    rows = []
    for number in range(num):
        true = scores[int(random.integers(len(scores)))]
        words = [f"w{int(each)}" for each in random.integers(0, 60, size=12)]
        words[int(random.integers(12))] = PLANTED[true]
        label = scores[int(random.integers(len(scores)))] if random.random() < noise else true
        rows.append(LabelledText(f"{' '.join(words)} n{number}", label))
    return rows


@pytest.fixture(scope="module")
def trained() -> NgramClassifier:
    return train_ngrams(planted_rows(400, 1), ClassifierTraining(), seed=0)


@pytest.fixture
def saved(trained: NgramClassifier, tmp_path: Path) -> Path:
    save_ngrams(trained, tmp_path / "classifier", {"note": "test"})
    return tmp_path / "classifier"


def accuracy(classifier: NgramClassifier, rows: list[LabelledText]) -> float:
    given = decide(classifier.rate([row.text for row in rows]).weighted, None)
    return float((given == np.array([row.score for row in rows])).mean())


def test_features_by_hand() -> None:
    from scipy import sparse

    counts = sparse.csr_matrix(np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    rarity = rarities(counts)
    assert rarity == pytest.approx([np.log(4 / 3) + 1, np.log(4 / 2) + 1])
    rows = weigh(counts, rarity).toarray()
    assert rows[0] == pytest.approx([1.0, 0.0])
    assert rows[1] == pytest.approx(np.array(rarity) / np.hypot(*rarity))
    assert rows[2] == pytest.approx([0.0, 0.0])


def test_decisions_by_hand() -> None:
    found = over_scores(np.array([[0.5, 0.2, 0.3]]), (0, 5, 5))
    assert found[0].tolist() == [0.5, 0, 0, 0, 0, 0.5]
    assert at_least(found)[0].tolist() == [1.0, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert decide(found, None).tolist() == [0]  # the lower of equals
    assert decide(found, (0.5,) * 5).tolist() == [5]
    assert decide(found, (0.4, 0.6, 0.6, 0.6, 0.6)).tolist() == [1]
    assert decide(found, (0.6,) * 5).tolist() == [0]


def test_calibration_error_by_hand() -> None:
    found = calibration([0.95, 0.95, 0.25, 0.25], [True, False, False, False])
    assert found is not None
    assert found.error == pytest.approx(0.5 * abs(0.95 - 0.5) + 0.5 * 0.25)
    assert found.brier == pytest.approx((0.05**2 + 0.95**2 + 2 * 0.25**2) / 4)
    assert [each.num for each in found.bins] == [2, 2]
    assert calibration([], []) is None


def test_the_planted_word_is_found(trained: NgramClassifier) -> None:
    assert accuracy(trained, planted_rows(300, 2)) > 0.98
    assert {score: terms[0] for score, terms in trained.heaviest_terms(1).items()} == PLANTED


def test_shuffled_labels_are_not_learned() -> None:
    rows = planted_rows(400, 1)
    order = stream(3, "shuffle").permutation(len(rows))
    shuffled = [LabelledText(row.text, rows[int(place)].score) for row, place in zip(rows, order, strict=True)]
    classifier = train_ngrams(shuffled, ClassifierTraining(class_weight=1.0), seed=0)
    assert accuracy(classifier, planted_rows(300, 2)) < 0.45  # guessing among three is 0.33
    stated = classifier.rate([row.text for row in planted_rows(300, 2)]).calibrated
    assert float(stated.max(axis=1).mean()) < 0.5  # and it says that it does not know


@pytest.mark.parametrize("class_weight", [1.0, 10.0, 100.0])
def test_probabilities_are_calibrated_on_held_out_rows_whatever_the_weight(class_weight: float) -> None:
    noisy = planted_rows(1200, 5, noise=0.4)
    classifier = train_ngrams(noisy, ClassifierTraining(class_weight=class_weight), seed=0)
    fresh = planted_rows(1500, 6, noise=0.4)
    rating, labels = classifier.rate([row.text for row in fresh]), np.array([row.score for row in fresh])
    best = rating.calibrated.argmax(axis=1)
    ours = calibration(list(rating.calibrated.max(axis=1)), list(best == labels))
    event = calibration(list(at_least(rating.calibrated)[:, 1]), list(labels >= 1))
    raw = calibration(list(at_least(rating.weighted)[:, 1]), list(labels >= 1))
    assert ours is not None
    assert event is not None
    assert raw is not None
    assert ours.error < 0.05
    assert event.error < 0.06
    if class_weight == 100.0:
        assert raw.error > 0.1  # what the weighted loss says is no probability


def test_the_weight_buys_recall() -> None:
    noisy, fresh = planted_rows(400, 5, noise=0.5), planted_rows(400, 6, noise=0.5)
    harmful = np.array([row.score > 0 for row in fresh])

    def recall(weight: float) -> float:
        classifier = train_ngrams(noisy, ClassifierTraining(class_weight=weight), seed=0)
        return float((decide(classifier.rate([row.text for row in fresh]).weighted, None)[harmful] > 0).mean())

    assert recall(100.0) > recall(1.0) + 0.05


def test_temperature_and_offsets_are_recovered() -> None:
    random = stream(0, "logits")
    honest = random.normal(size=(20_000, 3)) * 2
    drawn = (softmax(honest).cumsum(axis=1) > random.random((20_000, 1))).argmax(axis=1)
    found = fit_calibration(honest * 3.0 + np.array([0.0, 2.3, -1.0]), drawn)
    assert found.temperature == pytest.approx(3.0, rel=0.05)
    assert found.offsets == pytest.approx((0.0, -2.3 / 3, 1.0 / 3), abs=0.06)
    assert found.noise == pytest.approx(0.0, abs=0.02)
    base = np.bincount(drawn, minlength=3) / len(drawn)
    replaced = np.where(random.random(len(drawn)) < 0.3, random.choice(3, p=base, size=len(drawn)), drawn)
    noisy = fit_calibration(honest * 3.0, replaced)
    assert noisy.noise == pytest.approx(0.3, abs=0.03)
    assert noisy.temperature == pytest.approx(3.0, rel=0.1)


def test_two_trainings_give_the_same_bytes(trained: NgramClassifier, saved: Path, tmp_path: Path) -> None:
    again = train_ngrams(planted_rows(400, 1), ClassifierTraining(), seed=0)
    save_ngrams(again, tmp_path / "again", {"note": "test"})
    for path in saved.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_what_is_saved_reads_texts_alike(trained: NgramClassifier, saved: Path) -> None:
    texts = [row.text for row in planted_rows(50, 9)]
    opened, digest = open_ngrams(saved)
    assert np.array_equal(opened.rate(texts).calibrated, trained.rate(texts).calibrated)
    scorer = ClassifierScorer(folder="classifier").open(ScoringTools(saved.parent))
    assert scorer.id.startswith(f"classifier/1:{digest[:12]}:")
    found = scorer.score([Document(text=text, source="x") for text in (*texts[:1], "", "zzz qqq", "venom " * 200_000)])
    assert found[0].confidence is not None
    assert [each.score for each in found[1:]] == [None, None, 5]  # the last has 1.2 million characters
    assert [each.reason for each in found[1:3]] == ["empty-text", "no-known-term"]
    long = ClassifierScorer(folder="classifier", max_characters=1000).open(ScoringTools(saved.parent))
    cut = long.score([Document(text="meadow " * 1000 + "venom", source="x")])[0]
    assert (cut.score, cut.lower_bound) == (0, True)
    assert cut.reason.startswith("lower bound, read 1000 of 7005 characters")
    assert {path.suffix for path in saved.iterdir()} == {".json", ".npy"}


def rewrite(folder: Path, change: dict[str, object]) -> None:
    """Alter a saved classifier as somebody would who also mends its hashes."""
    path = folder / "classifier.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    (folder / MANIFEST_NAME).unlink()
    write_manifest(folder)


def test_classes_in_another_order_are_refused(trained: NgramClassifier, saved: Path) -> None:
    classes = json.loads((saved / "classifier.json").read_text())["classes"]
    rewrite(saved, {"classes": classes[::-1]})
    with pytest.raises(DataError, match="not from 0 upwards"):
        open_ngrams(saved)
    scores = [each["score"] for each in classes]
    rewrite(saved, {"classes": [{**each, "score": score} for each, score in zip(classes[::-1], scores, strict=True)]})
    with pytest.raises(DataError, match="label order is wrong"):
        open_ngrams(saved)
    rewrite(saved, {"classes": classes})
    open_ngrams(saved)
    np.save(saved / "weights.npy", trained.weights[::-1], allow_pickle=False)
    rewrite(saved, {})
    with pytest.raises(DataError, match="classes are in another order"):
        open_ngrams(saved)


def test_altered_and_torn_files_are_refused(saved: Path, tmp_path: Path) -> None:
    for name in ("weights.npy", "terms.json", "classifier.json"):
        copy = tmp_path / f"copy-{name}"
        shutil.copytree(saved, copy)
        data = bytearray((copy / name).read_bytes())
        data[-3] ^= 1
        (copy / name).write_bytes(bytes(data))
        with pytest.raises(IntegrityError):
            open_ngrams(copy)
    rewrite(saved, {"biases": [0.0]})
    with pytest.raises(IntegrityError, match="holds 1 numbers"):
        open_ngrams(saved)
    rewrite(saved, {"features": {"unit": "word", "max_terms": -1}})
    with pytest.raises(IntegrityError, match="no saved classifier"):
        open_ngrams(saved)
    with pytest.raises(DataError, match="is no folder"):
        open_ngrams(tmp_path / "gone")


def test_labels_that_cannot_be_learned_from_are_named() -> None:
    with pytest.raises(DataError, match="two are needed"):
        train_ngrams([LabelledText("a b", 0), LabelledText("b c", 0)], ClassifierTraining(), seed=0)
    with pytest.raises(DataError, match=r"3 \(x 1\)"):
        train_ngrams(
            [LabelledText("a b", 0), LabelledText("b c", 0), LabelledText("c a", 3)], ClassifierTraining(), seed=0
        )
    with pytest.raises(DataError, match="an equal text before it 0"):
        distinct([LabelledText("a", 0), LabelledText("a", 5)])
    with pytest.raises(DataError, match="whole number from 0 to 5"):
        distinct([LabelledText("a", 6)])
    with pytest.raises(DataError, match="no term stands in 2 texts"):
        train_ngrams([LabelledText(word, place % 2) for place, word in enumerate("pqrstu")], ClassifierTraining(), 0)


def test_the_split_moves_nothing_when_rows_are_added() -> None:
    rows = planted_rows(300, 1)
    kept, apart = split(rows, 0.2, seed=4)
    assert len(kept) + len(apart) == 300
    assert 30 < len(apart) < 90
    more_kept, more_apart = split(planted_rows(20, 8) + rows[::-1], 0.2, seed=4)
    assert set(kept) <= set(more_kept)
    assert set(apart) <= set(more_apart)
    assert split(rows, 0.2, seed=5)[1] != apart


def test_two_classes_and_characters_work_too() -> None:
    rows = [LabelledText(row.text, 4 if row.score else 0) for row in planted_rows(200, 1)]
    training = ClassifierTraining(features=NgramFeatures(unit="character", shortest=3, longest=5))
    classifier = train_ngrams(rows, training, seed=0)
    assert classifier.scores == (0, 4)
    assert accuracy(classifier, [LabelledText("xx venomous xx", 4), LabelledText("two meadows", 0)]) == 1.0
