"""What a window may move under selective gradient masking: its mode, one number per window."""

from __future__ import annotations

DEFAULT, FORGET, RETAIN = range(3)  # everything moves; only the forget slice; everything but it, which is switched off
