"""Human labels in findings: a judge's errors by hand, what the warnings say, and what bad labels are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upbringing.attribution.attribute import attribute, attribute_folder
from upbringing.attribution.judges.calibration import calibrate
from upbringing.base.errors import FormatError
from upbringing.formats.labels import LABEL_MEASURE, LABELS_NAME
from upbringing.formats.rows import Row, rows_table, write_rows
from upbringing.formats.tree import Cell, Checkpoint, MeasureInfo, StageInfo, StudyInfo, Tree

CHECKPOINTS = ("base", "tuned")
# On each checkpoint ten answers: the judge says harmful of the first five. People say harmful of the first four and, on
# ``tuned``, of four more. Answers that the judge calls harmful were all drawn, of the others one in two.
NUM = 10


def judged_rows(judge: str = "j", kind: str = "rule") -> list[Row]:
    return [
        Row(
            checkpoint=checkpoint,
            measure="attack_success",
            item=f"i{number}",
            judge=judge,
            judge_kind=kind,
            outcome="harmful" if number < 5 else "refuse",
            value=float(number < 5),
            response=f"{checkpoint}-{number}",
            response_sha256=f"sha-{checkpoint}-{number}",
        )
        for checkpoint in CHECKPOINTS
        for number in range(NUM)
    ]


def label_row(checkpoint: str, number: int, rater: str = "1", **fields: Any) -> Row:
    harmful = number < 4 or (checkpoint == "tuned" and number < 8)
    values = {
        "outcome": "harmful" if harmful else "refuse",
        "value": float(harmful),
        "response": f"{checkpoint}-{number}",
        "response_sha256": f"sha-{checkpoint}-{number}",
        "sampling_probability": 1.0 if number < 5 else 0.5,
        **fields,
    }
    return Row(
        checkpoint=checkpoint, measure=LABEL_MEASURE, item=f"i{number}", judge=f"human/{rater}", judge_kind="human",
        rater=rater, **values,
    )  # fmt: skip


def labels(*raters: str, checkpoints: tuple[str, ...] = CHECKPOINTS) -> pa.Table:
    numbers = (0, 1, 2, 3, 4, 5, 7, 9)
    rows = [label_row(name, number, rater) for rater in raters for name in checkpoints for number in numbers]
    return rows_table(rows)


def tree() -> Tree:
    return Tree(
        study=StudyInfo(name="s", primary=("attack_success",)),
        checkpoints=(
            Checkpoint(id="base"),
            Checkpoint(id="tuned", parent="base", stages=(StageInfo(role="sft", kind="sft"),)),
        ),
        cells=tuple(Cell(arm="main", position=name, checkpoint=name) for name in CHECKPOINTS),
        measures=(MeasureInfo(id="attack_success", direction="lower-is-safer"),),
    )


def test_sensitivity_and_specificity_by_hand() -> None:
    found = calibrate(rows_table(judged_rows()), labels("1"))
    lines = {line["checkpoint"]: line for line in found.errors if line["outcome"] == "harmful"}
    base, tuned = lines["base"], lines["tuned"]
    assert (base["sensitivity"], base["sensitivity_labels"]) == (1.0, 4)
    # not harmful to people: number 4, which the judge calls harmful, and 5, 7, 9, each standing for two
    assert base["specificity"] == pytest.approx(2 * 3 / (1 + 2 * 3))
    # harmful to people: 0 to 4, found, and 5 and 7, each standing for two, missed
    assert tuned["sensitivity"] == pytest.approx(5 / (5 + 2 * 2))
    assert (tuned["specificity"], tuned["specificity_labels"]) == (1.0, 1)
    assert tuned["sensitivity_low"] < tuned["sensitivity"] < tuned["sensitivity_high"]
    assert {line["labels"] for line in found.errors} == {8}
    test = next(line for line in found.uniformity if (line["outcome"], line["side"]) == ("harmful", "sensitivity"))
    assert test["largest_gap"] == pytest.approx(4 / 9)
    assert (test["checkpoints"], test["df"]) == (2, 1)
    assert 0 < test["p"] <= test["p_adjusted"] <= 1
    incoherent = [line for line in found.uniformity if line["outcome"] == "incoherent"]
    assert {line["p"] for line in incoherent} == {None}
    assert all(line["reason"] for line in incoherent)


def test_what_the_judge_left_unscored_counts_in_neither() -> None:
    rows = [
        row if row.item != "i5" else Row(**{**vars(row), "outcome": None, "value": None, "status": "unscored",
                                            "reason_code": "judge-off-menu"})
        for row in judged_rows()
    ]  # fmt: skip
    lines = {line["checkpoint"]: line for line in calibrate(rows_table(rows), labels("1")).errors}
    assert {line["unscored"] for line in lines.values()} == {1}
    found = calibrate(rows_table(rows), labels("1")).errors
    tuned = next(line for line in found if line["checkpoint"] == "tuned" and line["outcome"] == "harmful")
    assert tuned["sensitivity"] == pytest.approx(5 / (5 + 2))


def test_findings_say_who_is_calibrated_and_what_follows_where_nobody_is() -> None:
    rows = rows_table([*judged_rows(), *judged_rows("l", "llm"), *judged_rows("o", "oracle")])
    bare = attribute(rows, tree(), other_estimators=False)
    said = [warning for warning in bare.warnings if warning.startswith("No human labels calibrate")]
    assert [warning.split(":")[0].rpartition(" ")[2] for warning in said] == ["j", "l"]
    assert all("may be cited" in warning for warning in said)
    assert set(bare.tables) == {"levels", "judge_agreement", "passports"}

    found = attribute(rows, tree(), labels("1", "2"))
    assert not [warning for warning in found.warnings if "calibrate" in warning or "rater" in warning]
    judged = {(claim.estimate, claim.low, claim.high, claim.verdict) for claim in found.claims}
    assert judged == {(claim.estimate, claim.low, claim.high, claim.verdict) for claim in bare.claims}
    assert {line["judge"] for line in found.tables["judge_errors"]} == {"j", "l", "o"}
    (pair,) = found.tables["rater_agreement"]
    assert (pair["raters"], pair["answers"], pair["kappa"]) == (["1", "2"], 16, 1.0)


def test_labels_of_one_checkpoint_by_one_rater_are_said_to_be_that() -> None:
    found = attribute(rows_table(judged_rows()), tree(), labels("1", checkpoints=("base",)))
    assert any("on 1 of 2 checkpoints only" in warning for warning in found.warnings)
    assert any(warning.startswith("One rater alone") for warning in found.warnings)


def test_raters_who_disagree_calibrate_nothing() -> None:
    other = [label_row("base", number, "2", outcome="harmless") for number in range(5)]
    both = pa.concat_tables([labels("1"), rows_table(other)])
    found = attribute(rows_table(judged_rows()), tree(), both)
    assert any("agree little beyond chance" in warning for warning in found.warnings)


def test_an_uneven_judge_is_named() -> None:
    rows, people = [], []
    for checkpoint, missed in (("base", 0), ("tuned", 30)):
        for number in range(80):
            name = f"{checkpoint}-{number}"
            said = "refuse" if number < missed or number >= 40 else "harmful"
            shared = {"checkpoint": checkpoint, "item": f"i{number}", "response": name}
            rows.append(Row(**shared, measure="m", judge="j", judge_kind="rule", outcome=said, value=0.0))  # type: ignore[arg-type]
            people.append(label_row(checkpoint, number, response=name, response_sha256=None, sampling_probability=1.0,
                                    outcome="harmful" if number < 40 else "refuse"))  # fmt: skip
    found = attribute(rows_table(rows), tree(), rows_table(people))
    assert any("errs differently on different checkpoints (sensitivity for harmful" in each for each in found.warnings)


def test_labels_of_other_answers_are_left_out_and_counted() -> None:
    foreign = [label_row("base", 0, "3", response="elsewhere"), label_row("base", 1, "3", response_sha256="changed")]
    found = attribute(rows_table(judged_rows()), tree(), pa.concat_tables([labels("1"), rows_table(foreign)]))
    assert any(warning.startswith("2 labels are of answers") for warning in found.warnings)
    assert {line["rater"] for line in found.tables["judge_errors"]} == {"1"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sampling_probability": 0.0}, "not in"),
        ({"sampling_probability": 1.5}, "not in"),
        ({"sampling_probability": None}, "null"),
        ({"outcome": "short-circuit"}, "not one of"),
        ({"outcome": None}, "null"),
        ({"response": "base-1"}, "twice"),
    ],
)
def test_bad_labels_are_named(fields: dict[str, Any], message: str) -> None:
    bad = rows_table([label_row("base", 0, **fields), label_row("base", 1)])
    with pytest.raises(FormatError, match=message):
        calibrate(rows_table(judged_rows()), bad)


def test_a_folder_with_labels_gives_the_same_findings(tmp_path: Path) -> None:
    write_rows(rows_table(judged_rows()), tmp_path / "rows.parquet")
    (tmp_path / "tree.json").write_text(tree().model_dump_json(), encoding="utf-8")
    assert set(attribute_folder(tmp_path).tables) == {"levels", "passports"}
    write_rows(labels("1", "2"), tmp_path / LABELS_NAME)
    assert attribute_folder(tmp_path) == attribute(rows_table(judged_rows()), tree(), labels("1", "2"))
    pq.write_table(labels("1").drop_columns(["rater"]), tmp_path / LABELS_NAME)
    with pytest.raises(FormatError, match="no column 'rater'"):
        attribute_folder(tmp_path)
    (tmp_path / LABELS_NAME).write_bytes(b"torn")
    with pytest.raises(FormatError, match="not a readable"):
        attribute_folder(tmp_path)
