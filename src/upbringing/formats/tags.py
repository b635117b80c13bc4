"""The tag that marks unsafe text: what a transform inserts, a model learns and a decoder steers away from."""

from __future__ import annotations

from typing import Final

UNSAFE_TAG: Final = "<potentially unsafe content>"  # Safety Pretraining's (pretraining-interventions.md, section 2.4)
