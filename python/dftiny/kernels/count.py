"""What a model's calls and constants take on a 32-bit chip, counted without a compiler. Called by the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dftiny.graph import Graph
from dftiny.kernels.calls import STRUCT_BYTES, Call, Const, calls
from dftiny.steps import steps

# Beside the arrays: digest 32, dft_engine 36, dft_aot_model 36, one dft_region_need 12, the name "aot" and a
# region's name.
_ENGINE_BYTES = 128


@dataclass(frozen=True)
class ConstBytes:
    """Bytes of constants on a 32-bit chip, each array rounded up to a word: int8 weights, per-channel bias and
    multiplier records, lookup tables, parameter structs (with the engine object's own)."""

    weights: int
    channels: int
    tables: int
    params: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.channels + self.tables + self.params


@dataclass(frozen=True)
class ModelCode:
    """What the generator will write, counted: constants, kernel functions used, number of calls, the tensors
    passed to them in order, how many operands are constants, and constant bytes by operator."""

    const: ConstBytes
    functions: tuple[str, ...]
    calls: int
    operands: tuple[int, ...]
    const_operands: int
    op_bytes: Mapping[int, int]


def model_code(graph: Graph) -> ModelCode:
    """Count the generated code of `graph`. Raises DftError naming an operator the engine cannot run."""
    made = calls(steps(graph))
    sizes = {"weights": 0, "channels": 0, "tables": 0, "params": 0}
    for const in distinct_constants(made).values():
        sizes[const.role] += _word(const.nbytes)
    sizes["params"] += sum(_word(STRUCT_BYTES[c.struct]) for c in made) + _ENGINE_BYTES
    return ModelCode(
        ConstBytes(**sizes),
        tuple(sorted({c.function for c in made} | _shared(made))),
        len(made),
        tuple(t for c in made for t in (*c.inputs, c.output) if isinstance(t, int)),
        sum(isinstance(t, Const) for c in made for t in c.inputs),
        _op_bytes(made),
    )


def _shared(made: Sequence[Call]) -> set[str]:
    """Functions that kernels call in other files, whether or not the model needs them at run time."""
    products = ("dft_conv", "dft_depthwise", "dft_fully_connected")
    return {"dft_output_wide"} if any(c.struct in products for c in made) else set()


def _op_bytes(made: Sequence[Call]) -> dict[int, int]:
    """Constant bytes by operator; an array shared by several counts for the first."""
    seen: set[tuple[str, bytes]] = set()
    out: dict[int, int] = {}
    for call in made:
        own = _word(STRUCT_BYTES[call.struct])
        for const in call_constants(call):
            own += 0 if const.key in seen else _word(const.nbytes)
            seen.add(const.key)
        out[call.op.index] = out.get(call.op.index, 0) + own
    return out


def call_constants(call: Call) -> tuple[Const, ...]:
    return (*(c for _, c in call.pointers), *(c for c in call.inputs if isinstance(c, Const)))


def _word(n: int) -> int:
    return (n + 3) // 4 * 4


def distinct_constants(made: Sequence[Call]) -> dict[tuple[str, bytes], Const]:
    """Distinct constants in order of first use."""
    found: dict[tuple[str, bytes], Const] = {}
    for call in made:
        for const in call_constants(call):
            found.setdefault(const.key, const)
    return found
