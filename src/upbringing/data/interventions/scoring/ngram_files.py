"""Saved n-gram classifiers: JSON and plain arrays under a manifest of hashes, never a pickle.

Every class is stored with the meaning of its score, and a check text with the probabilities it had when it was saved:
classes in another order, weights of another classifier and a changed library cannot pass unseen.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from upbringing.base.errors import DataError, IntegrityError
from upbringing.base.files import write_bytes_atomic, write_json_atomic
from upbringing.base.manifest import check_manifest, read_manifest, write_manifest
from upbringing.data.interventions.scoring.meanings import MEANINGS
from upbringing.data.interventions.scoring.ngrams import Calibrated, Floats, NgramClassifier, NgramFeatures

SCHEMA_VERSION = 1
KIND = "ngram-classifier"
DESCRIPTION, TERMS, WEIGHTS, RARITY = "classifier.json", "terms.json", "weights.npy", "rarity.npy"
CHECK_TERMS = 5  # of each score, joined into one check text
CHECK_TOLERANCE = 1e-6


def save_ngrams(classifier: NgramClassifier, folder: Path, facts: dict[str, Any]) -> str:
    """Write ``classifier`` into the new ``folder`` and return its digest. ``facts``: what is known of its training."""
    if folder.exists():
        raise DataError(f"{folder} exists: a classifier is never overwritten, name another folder")
    folder.mkdir(parents=True)
    content = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "features": classifier.features.model_dump(mode="json"),
        "classes": [{"score": score, "meaning": MEANINGS[score]} for score in classifier.scores],
        "biases": list(classifier.biases),
        "temperature": classifier.calibrated.temperature,
        "offsets": list(classifier.calibrated.offsets),
        "noise": classifier.calibrated.noise,
        "base": list(classifier.calibrated.base),
        "check": _check(classifier),
    }
    write_json_atomic(folder / DESCRIPTION, content)
    write_json_atomic(folder / TERMS, list(classifier.terms))
    for name, array in ((WEIGHTS, classifier.weights), (RARITY, classifier.rarity)):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        write_bytes_atomic(folder / name, buffer.getvalue())
    return write_manifest(folder, kind=KIND, **facts)


def _check(classifier: NgramClassifier) -> list[dict[str, Any]]:
    texts = [" ".join(terms) for terms in classifier.heaviest_terms(CHECK_TERMS).values()]
    rows = classifier.rate(texts).weighted
    return [{"text": text, "probabilities": row.tolist()} for text, row in zip(texts, rows, strict=True)]


def open_ngrams(folder: Path) -> tuple[NgramClassifier, str]:
    """Return the classifier in ``folder`` and its digest.

    Raises ``IntegrityError`` for altered or torn files and ``DataError`` where its classes are not in the order of the
    scores or mean something else.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: train a classifier with `upbringing data train-classifier`")
    check_manifest(folder, full=True)
    try:
        content = json.loads((folder / DESCRIPTION).read_bytes())
        if content["kind"] != KIND or content["schema_version"] != SCHEMA_VERSION:
            raise DataError(f"{folder.name} holds {content['kind']!r} {content['schema_version']}, expected {KIND!r} 1")
        scores = _scores(content["classes"], folder)
        terms = tuple(str(term) for term in json.loads((folder / TERMS).read_bytes()))
        classifier = NgramClassifier(
            features=NgramFeatures.model_validate(content["features"]),
            terms=terms,
            rarity=_array(folder / RARITY, (len(terms),)),
            scores=scores,
            weights=_array(folder / WEIGHTS, (len(scores), len(terms))),
            biases=_numbers(content["biases"], len(scores)),
            calibrated=Calibrated(
                temperature=float(content["temperature"]),
                offsets=_numbers(content["offsets"], len(scores)),
                noise=float(content["noise"]),
                base=_numbers(content["base"], len(scores)),
            ),
        )
        _recheck(classifier, content["check"], folder)
    except (KeyError, TypeError, AttributeError, OSError) as error:
        raise IntegrityError(f"{folder.name} is no saved classifier: {type(error).__name__} {error}") from None
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise IntegrityError(f"{folder.name} is no saved classifier: {error}") from None
    return classifier, str(_digest(folder))


def _digest(folder: Path) -> str:
    read_manifest(folder)  # raises where it is altered
    return str(json.loads((folder / "manifest.json").read_bytes())["sha256"])


def _scores(classes: list[dict[str, Any]], folder: Path) -> tuple[int, ...]:
    scores = tuple(each["score"] for each in classes)
    for each in classes:
        if MEANINGS.get(each["score"]) != each["meaning"]:
            raise DataError(
                f"{folder.name}: the score {each['score']!r} is stored as {each['meaning']!r}, which is not what it "
                "means here: the label order is wrong; train it again from the labels"
            )
    if list(scores) != sorted(set(scores)):
        raise DataError(
            f"{folder.name}: the classes stand in the order {list(scores)}, not from 0 upwards: train again"
        )
    return scores


def _numbers(values: list[Any], num: int) -> tuple[float, ...]:
    if len(values) != num:
        raise IntegrityError(f"a saved classifier of {num} classes holds {len(values)} numbers for them")
    return tuple(float(value) for value in values)


def _array(path: Path, shape: tuple[int, ...]) -> Floats:
    found = np.load(path, allow_pickle=False, mmap_mode=None)
    if found.shape != shape or found.dtype != np.float64 or not np.isfinite(found).all():
        raise IntegrityError(f"{path.name} holds {found.dtype} {found.shape}, expected finite float64 {shape}")
    return np.asarray(found, dtype=np.float64)


def _recheck(classifier: NgramClassifier, check: list[dict[str, Any]], folder: Path) -> None:
    found = classifier.rate([each["text"] for each in check]).weighted
    saved = np.array([each["probabilities"] for each in check], dtype=np.float64).reshape(found.shape)
    worst = float(np.abs(found - saved).max())
    if not worst <= CHECK_TOLERANCE:
        raise DataError(
            f"{folder.name}: the check texts get probabilities that differ by {worst:.3g} from when it was saved: its "
            "classes are in another order, or a library reads texts differently; train it again"
        )
