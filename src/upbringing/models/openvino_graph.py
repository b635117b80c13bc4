"""The computation of a Llama-like checkpoint as a graph of OpenVINO, built from the network's own tensors.

The graph has the form that OpenVINO GenAI rewrites for continuous batching: keys and values in variables that are
gathered by ``beam_idx`` and grow, and one scaled dot-product attention per layer. Rotary frequencies are taken from
the network, so every static kind of scaling that transformers knows comes out as transformers computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from upbringing.base.errors import MeasurementError

ARCHITECTURES = ("LlamaForCausalLM", "Qwen2ForCausalLM")  # those that the tests compare with transformers
STATIC_ROTARY = ("default", "linear", "llama3", "yarn")  # frequencies that do not depend on the length of the text
MASKED = -65504.0  # the lowest number of half precision, which a graph in bf16 can hold as well


@dataclass(frozen=True)
class Shape:
    """The sizes of a network. ``head``: width of one head."""

    layers: int
    heads: int
    key_heads: int
    head: int
    epsilon: float


def checked_shape(network: Any) -> Shape:
    """Return the sizes of ``network``; raise ``MeasurementError`` for what the graph does not compute."""
    config = network.config
    name = type(network).__name__
    rotary = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    wrong = None
    if name not in ARCHITECTURES:
        wrong = f"its architecture is {name}, known are {', '.join(ARCHITECTURES)}"
    elif config.hidden_act != "silu":
        wrong = f"its activation is {config.hidden_act}, known is silu"
    elif rotary not in STATIC_ROTARY:
        wrong = f"its rotary scaling is {rotary}, known are {', '.join(STATIC_ROTARY)}"
    elif any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        wrong = "it has layers that do not attend to the whole text"
    if wrong is not None:
        raise MeasurementError(f"the engine openvino cannot compute this checkpoint: {wrong}. Use engine: transformers")
    heads = int(config.num_attention_heads)
    return Shape(
        layers=int(config.num_hidden_layers),
        heads=heads,
        key_heads=int(config.num_key_value_heads),
        head=int(getattr(config, "head_dim", None) or config.hidden_size // heads),
        epsilon=float(config.rms_norm_eps),
    )


def network_facts(network: Any) -> dict[str, Any]:
    """Return what decides the graph besides the weights, for its key."""
    return {
        **asdict(checked_shape(network)),
        "frequencies": [float(value) for value in _frequencies(network)],
        "scale": _rotary_scale(network),
    }


def build_graph(network: Any, precision: str) -> Any:
    """Return the ``openvino.Model`` of ``network``: token ids (batch, time) to logits (batch, time, vocabulary).

    ``precision``: ``fp32`` or ``bf16``, in which the matrices are kept; norms, biases and frequencies stay fp32.
    Inputs beside the ids: ``attention_mask`` (batch, past + time), ``position_ids`` (batch, time), ``beam_idx``
    (batch).
    """
    import openvino
    import openvino.opset15 as ops

    shape = checked_shape(network)
    graph = _Graph(ops, shape, network.state_dict(), precision)
    inputs = {
        name: ops.parameter(size, dtype=kind, name=name)
        for name, size, kind in (
            ("input_ids", [-1, -1], np.int64),
            ("attention_mask", [-1, -1], np.int64),
            ("position_ids", [-1, -1], np.int64),
            ("beam_idx", [-1], np.int32),
        )
    }
    for name, node in inputs.items():
        node.output(0).set_names({name})
    logits = graph.logits(inputs, _frequencies(network), _rotary_scale(network))
    result = ops.result(logits, name="logits")
    result.output(0).set_names({"logits"})
    return openvino.Model([result], graph.sinks, list(inputs.values()), "upbringing")


def _frequencies(network: Any) -> Any:
    return network.model.rotary_emb.inv_freq.detach().float().cpu().numpy()  # (head / 2,)


def _rotary_scale(network: Any) -> float:
    return float(getattr(network.model.rotary_emb, "attention_scaling", 1.0))


class _Graph:
    """Builds the nodes; ``sinks`` are the assignments of keys and values."""

    def __init__(self, ops: Any, shape: Shape, tensors: Mapping[str, Any], precision: str) -> None:
        self.ops, self.shape, self.tensors, self.precision = ops, shape, tensors, precision
        self.sinks: list[Any] = []
        self.beams: Any = None
        self.batch: Any = None

    def logits(self, inputs: Mapping[str, Any], frequencies: Any, scale: float) -> Any:
        """Return the node of the logits."""
        ops = self.ops
        ids = inputs["input_ids"]
        self.beams = inputs["beam_idx"]
        self.batch = ops.gather(ops.shape_of(ids), self._ints([0]), self._ints(0))  # (1,)
        embeddings = self._matrix("model.embed_tokens.weight")
        hidden = ops.gather(embeddings, ops.convert(ids, "i32"), np.int32(0))  # (batch, time, width)
        rotary = self._rotary(inputs["position_ids"], frequencies, scale)
        mask = self._mask(ids, inputs["attention_mask"])
        for layer in range(self.shape.layers):
            name = f"model.layers.{layer}"
            normed = self._norm(hidden, f"{name}.input_layernorm.weight")
            hidden = ops.add(hidden, self._attention(normed, layer, rotary, mask))
            normed = self._norm(hidden, f"{name}.post_attention_layernorm.weight")
            gate, up = (self._linear(normed, f"{name}.mlp.{part}_proj") for part in ("gate", "up"))
            hidden = ops.add(hidden, self._linear(ops.multiply(ops.swish(gate), up), f"{name}.mlp.down_proj"))
        hidden = self._norm(hidden, "model.norm.weight")
        tied = "lm_head.weight" not in self.tensors or _same(
            self.tensors, "lm_head.weight", "model.embed_tokens.weight"
        )
        head = embeddings if tied else self._matrix("lm_head.weight")
        return ops.matmul(hidden, head, transpose_a=False, transpose_b=True)

    def _attention(self, hidden: Any, layer: int, rotary: tuple[Any, Any], mask: Any) -> Any:
        ops, shape, name = self.ops, self.shape, f"model.layers.{layer}.self_attn"
        query = self._rotated(self._heads(hidden, f"{name}.q_proj", shape.heads), rotary)
        key = self._rotated(self._heads(hidden, f"{name}.k_proj", shape.key_heads), rotary)
        value = self._heads(hidden, f"{name}.v_proj", shape.key_heads)
        keys, values = self._grown(key, f"{layer}.key"), self._grown(value, f"{layer}.value")
        found = ops.scaled_dot_product_attention(query, self._repeated(keys), self._repeated(values), mask)
        merged = ops.reshape(
            ops.transpose(found, self._ints([0, 2, 1, 3])), self._ints([0, 0, shape.heads * shape.head]), True
        )
        return self._linear(merged, f"{name}.o_proj")

    def _grown(self, new: Any, name: str) -> Any:
        """Return ``new`` (batch, heads, time, head) behind what the variable ``name`` holds, and keep both there."""
        from openvino import PartialShape, Type
        from openvino.op.util import Variable, VariableInfo

        ops, shape = self.ops, self.shape
        info = VariableInfo()
        info.data_shape = PartialShape([-1, shape.key_heads, -1, shape.head])
        info.data_type = Type.f32
        info.variable_id = f"past_key_values.{name}present.{name}"
        variable = Variable(info)
        empty = ops.concat([self.batch, *(self._ints([size]) for size in (shape.key_heads, 0, shape.head))], 0)
        past = ops.read_value(ops.broadcast(np.float32(0), empty), variable)
        grown = ops.concat([ops.gather(past, self.beams, self._ints(0)), new], 2)
        self.sinks.append(ops.assign(grown, variable))
        return grown

    def _repeated(self, states: Any) -> Any:
        """Return keys or values once per query head that shares them."""
        ops, shape = self.ops, self.shape
        if shape.heads == shape.key_heads:
            return states
        groups = shape.heads // shape.key_heads
        sizes = [self._ints([size]) for size in (shape.key_heads, groups, 1, shape.head)]
        wide = ops.broadcast(
            ops.unsqueeze(states, self._ints(2)), ops.concat([self.batch, *sizes], 0), broadcast_spec="BIDIRECTIONAL"
        )
        return ops.reshape(wide, self._ints([0, shape.heads, -1, shape.head]), True)

    def _heads(self, hidden: Any, name: str, heads: int) -> Any:
        split = self.ops.reshape(self._linear(hidden, name), self._ints([0, 0, heads, self.shape.head]), True)
        return self.ops.transpose(split, self._ints([0, 2, 1, 3]))  # (batch, heads, time, head)

    def _rotary(self, positions: Any, frequencies: Any, scale: float) -> tuple[Any, Any]:
        """Return cosines and sines (batch, 1, time, head)."""
        ops = self.ops
        column = ops.constant(frequencies.reshape(1, -1, 1))
        size = ops.concat([self.batch, self._ints([1]), self._ints([1])], 0)
        rows = ops.broadcast(column, size, broadcast_spec="BIDIRECTIONAL")
        angles = ops.matmul(rows, ops.convert(ops.unsqueeze(positions, self._ints(1)), "f32"), False, False)
        half = ops.transpose(angles, self._ints([0, 2, 1]))
        whole = ops.concat([half, half], -1)
        found = []
        for turned in (ops.cos(whole), ops.sin(whole)):
            scaled = turned if scale == 1.0 else ops.multiply(turned, np.float32(scale))
            found.append(ops.unsqueeze(scaled, self._ints(1)))
        return found[0], found[1]

    def _rotated(self, states: Any, rotary: tuple[Any, Any]) -> Any:
        ops, half = self.ops, self.shape.head // 2
        step, axis = self._ints([1]), self._ints([3])
        first = ops.slice(states, self._ints([0]), self._ints([half]), step, axis)
        second = ops.slice(states, self._ints([half]), self._ints([np.iinfo(np.int64).max]), step, axis)
        turned = ops.concat([ops.multiply(second, np.float32(-1)), first], -1)
        return ops.add(ops.multiply(states, rotary[0]), ops.multiply(turned, rotary[1]))

    def _mask(self, ids: Any, attention_mask: Any) -> Any:
        """Return what is added to the scores (batch, 1, time, past + time): causal, and no padding."""
        ops = self.ops
        time = ops.gather(ops.shape_of(ids), self._ints(1), self._ints(0))
        whole = ops.gather(ops.shape_of(attention_mask), self._ints(1), self._ints(0))
        places = ops.range(self._ints(0), whole, self._ints(1), "i64")
        rows = ops.unsqueeze(ops.range(ops.subtract(whole, time), whole, self._ints(1), "i64"), self._ints(1))
        causal = ops.less_equal(ops.unsqueeze(places, self._ints(0)), rows)  # (time, past + time)
        real = ops.unsqueeze(ops.convert(attention_mask, "boolean"), self._ints([1, 2]))
        return ops.select(ops.logical_and(causal, real), np.float32(0), np.float32(MASKED))

    def _norm(self, hidden: Any, name: str) -> Any:
        ops = self.ops
        squares = ops.reduce_mean(ops.power(hidden, np.float32(2)), self._ints([-1]), True)
        root = ops.sqrt(ops.add(squares, np.float32(self.shape.epsilon)))
        return ops.multiply(ops.multiply(ops.divide(np.float32(1), root), hidden), self._vector(name))

    def _linear(self, hidden: Any, name: str) -> Any:
        found = self.ops.matmul(hidden, self._matrix(f"{name}.weight"), transpose_a=False, transpose_b=True)
        bias = f"{name}.bias"
        return self.ops.add(found, self._vector(bias)) if bias in self.tensors else found

    def _vector(self, name: str) -> Any:
        values = self.tensors[name].detach().float().cpu().numpy()
        return self.ops.constant(np.ascontiguousarray(values.reshape(1, 1, -1)))

    def _matrix(self, name: str) -> Any:
        import torch
        from openvino import Tensor, Type
        from openvino.op import Constant

        weight = self.tensors[name].detach().cpu()
        if self.precision == "fp32":
            return self.ops.constant(np.ascontiguousarray(weight.float().numpy()))
        bits = np.ascontiguousarray(weight.to(torch.bfloat16).view(torch.int16).numpy())
        return self.ops.convert(Constant(Tensor(bits, list(bits.shape), Type.bf16), shared_memory=False), "f32")

    def _ints(self, values: Any) -> Any:
        return self.ops.constant(np.asarray(values, dtype=np.int64))


def _same(tensors: Mapping[str, Any], first: str, second: str) -> bool:
    return bool(tensors[first].data_ptr() == tensors[second].data_ptr())
