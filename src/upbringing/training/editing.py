"""Write an edited checkpoint: safetensors in, safetensors out, one tensor after the other, nothing trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from upbringing.base.errors import DataError, TrainingError
from upbringing.base.files import write_json_atomic
from upbringing.base.streams import derived_seed
from upbringing.data.tokenizer import token_ids
from upbringing.models.loading import check_folder
from upbringing.models.weights import TensorPlace, read_tensor, tensor_places, weight_files
from upbringing.training.edit_weights import EditWeights, matches

COPIED = ("config.json", "generation_config.json")
INDEX_FILES = "*.safetensors.index.json"
TYPE_KEYS = ("dtype", "torch_dtype")  # of a configuration, in newer and in older libraries
METADATA = {"format": "pt"}  # without it transformers does not read the file


@dataclass(frozen=True)
class EditPlaces:
    """Where an edit reads and writes: the checkpoint that is edited, both ends of the delta, an empty folder."""

    parent: Path
    start: Path
    to: Path
    output: Path

    @property
    def read(self) -> tuple[Path, Path, Path]:
        """The checkpoints that are read."""
        return self.parent, self.start, self.to


def edit_checkpoint(name: str, stage: EditWeights, places: EditPlaces, seed: int) -> bool:
    """Write the edited weights and their configuration into ``places.output``; return whether any weight changed.

    ``name``: the stage's, for errors. The tokenizer is not copied. Raises ``TrainingError`` naming the tensor where
    the checkpoints do not have the same tensors, a pattern that names none, and an edit that is not finite;
    ``DataError`` naming the token where their tokenizers differ. A random delta draws from the streams
    ``(seed, "random delta", tensor)``.
    """
    for folder in places.read:
        check_folder(folder)
    tensors = {folder: tensor_places(folder) for folder in dict.fromkeys(places.read)}
    others = (places.start, places.to)
    require_one_architecture(name, places.parent, others, tensors)
    require_one_vocabulary(name, places.parent, others)
    _require_matches(name, stage, tensors[places.parent])
    if stage.identity:
        for path in weight_files(places.parent):
            shutil.copyfile(path, places.output / path.name)
        copy_configuration(places.parent, places.output)
        return False
    edit = _Edit(name, stage, seed, tensors, places)
    changed = [edit.write_file(path) for path in weight_files(places.parent)]
    copy_configuration(places.parent, places.output, is_widened=edit.is_widened)
    return any(changed)


def require_one_architecture(
    name: str, own: Path, others: Sequence[Path], tensors: Mapping[Path, Mapping[str, TensorPlace]]
) -> None:
    """Raise ``TrainingError`` naming the first tensor that ``others`` lack, have besides or have in another shape.

    ``tensors``: by checkpoint and name.
    """
    for folder in others:
        for tensor in sorted(tensors[own].keys() | tensors[folder].keys()):
            if tensor not in tensors[own] or tensor not in tensors[folder]:
                has, lacks = (own, folder) if tensor in tensors[own] else (folder, own)
                raise TrainingError(
                    f"stage {name!r}: the tensor {tensor} stands in {has.name} and not in {lacks.name}: an edit needs "
                    "checkpoints of one architecture"
                )
            shape, other = tensors[own][tensor].shape, tensors[folder][tensor].shape
            if shape != other:
                raise TrainingError(
                    f"stage {name!r}: the tensor {tensor} has the shape {list(shape)} in {own.name} and {list(other)} "
                    f"in {folder.name}: an edit needs checkpoints of one architecture"
                )


def require_one_vocabulary(name: str, own: Path, others: Sequence[Path]) -> None:
    """Raise ``DataError`` naming the first token that has another id in the tokenizers of ``others``."""
    ids = token_ids(own)
    for folder in others:
        other = token_ids(folder)
        for token in sorted(ids.keys() | other.keys()):
            if ids.get(token) != other.get(token):
                raise DataError(
                    f"stage {name!r}: the token {token!r} has the id {ids.get(token)} in {own.name} and "
                    f"{other.get(token)} in {folder.name}, so rows of the tensors of embeddings are not the same "
                    "tokens': an edit needs one tokenizer"
                )


def _require_matches(name: str, stage: EditWeights, own: dict[str, TensorPlace]) -> None:
    for pattern in stage.modules:
        if not any(matches(tensor, pattern) for tensor in own):
            shown = ", ".join(sorted(own)[:3])
            raise TrainingError(
                f"stage {name!r}: modules names {pattern!r}, which matches none of {len(own)} tensors ({shown}, ...)"
            )


@dataclass(frozen=True)
class _Edit:
    """An edit under way. ``tensors``: by checkpoint and name."""

    name: str
    stage: EditWeights
    seed: int
    tensors: dict[Path, dict[str, TensorPlace]]
    places: EditPlaces

    @cached_property
    def is_widened(self) -> bool:
        """Whether an edited tensor has another type in the delta's checkpoints: then all are saved in fp32."""
        own = self.tensors[self.places.parent]
        others = (self.tensors[self.places.start], self.tensors[self.places.to])
        return any(
            other[tensor].kind != place.kind
            for tensor, place in own.items()
            for other in others
            if self.stage.concerns(tensor)
        )

    def write_file(self, path: Path) -> bool:
        """Write the edited tensors of one file of the checkpoint; return whether any of them changed."""
        import torch
        from safetensors.torch import save_file

        written: dict[str, Any] = {}
        changed = False
        for tensor, place in self.tensors[self.places.parent].items():
            if place.path != path:
                continue
            own = self._read(self.places.parent, tensor)
            found = self._edited(tensor, own)
            changed = changed or not torch.equal(found.float(), own.float())
            written[tensor] = found.contiguous()
        save_file(written, str(self.places.output / path.name), metadata=METADATA)
        return changed

    def _read(self, folder: Path, tensor: str) -> Any:
        return read_tensor(self.tensors[folder][tensor], tensor)

    def _edited(self, tensor: str, own: Any) -> Any:
        """Return the tensor after the edit, in its own type or in fp32 where the checkpoint is widened."""
        import torch

        if not own.is_floating_point():
            return own
        kept = torch.float32 if self.is_widened else own.dtype
        if not self.stage.concerns(tensor):
            return own.to(kept)
        later = self._read(self.places.to, tensor)
        if self.stage.ends_at_later and self.stage.strength == 1:
            return later.to(kept)
        difference = later.float() - self._read(self.places.start, tensor).float()
        if self.stage.delta.random:
            difference = matched_noise(difference, derived_seed(self.seed, "random delta", tensor))
        strength = -self.stage.strength if self.stage.edit == "subtract" else self.stage.strength
        found = (own.float() + strength * difference).to(kept)
        if not torch.isfinite(found).all():
            raise TrainingError(
                f"stage {self.name!r}: the edited tensor {tensor} is not finite: lower the strength, or look whether "
                "the checkpoints are"
            )
        return found


def matched_noise(difference: Any, seed: int) -> Any:
    """Return normal noise with the shape and the norm (Frobenius) of ``difference``, drawn from ``seed``."""
    import torch

    noise = torch.randn(difference.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    norm, own = float(difference.double().norm()), float(noise.norm())
    return (noise * (norm / own if own > 0 else 0.0)).float()


def copy_configuration(parent: Path, output: Path, *, is_widened: bool = False) -> None:
    """Copy what stands beside the weights of ``parent``; where they were widened it says that they are fp32."""
    for path in (*(parent / name for name in COPIED), *sorted(parent.glob(INDEX_FILES))):
        if path.exists():
            shutil.copyfile(path, output / path.name)
    if is_widened:
        path = output / COPIED[0]
        config = json.loads(path.read_bytes())
        widened = {key: "float32" for key in TYPE_KEYS if config.get(key) is not None}
        write_json_atomic(path, {**config, **widened})
