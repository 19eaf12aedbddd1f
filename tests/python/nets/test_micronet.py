"""MicroNet-M0 to M3: the paper's sizes, the authors' nets by their checkpoints, and the parts by their definitions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from authors_micronet import AuthorsMicroNet
from torch import Tensor, nn

from dftiny.nets.micronet import MicroNet, Permute, ShiftMax, from_authors, shifted, shuffled
from dftiny.nets.micronet_tables import M0, M1, M2, M3, Variant
from dftiny.nets.registry import count, create
from dftiny.nets.thesis import MEAN, STD


def products(net: nn.Module, tile: int) -> int:
    """Products of the Shift-Max coefficients for one tile."""
    total = 0

    def visit(module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, ShiftMax)
        total += module.products(inputs[0])

    for module in net.modules():
        if isinstance(module, ShiftMax):
            module.register_forward_hook(visit)
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, tile, tile))
    return total


def first(blocks: int) -> Variant:
    """MicroNet-M1 cut short."""
    return replace(M1, rows=M1.rows[:blocks])


VARIANTS = [pytest.param(v, id=n) for n, v in (("m0", M0), ("m1", M1), ("m2", M2), ("m3", M3))]


# Of the paper: its table of parameters and multiply-adds, in millions, as it rounds them.
@pytest.mark.parametrize(
    ("variant", "parameters", "macs", "paper"),
    [
        (M0, 1_019_590, 4_054_128, (1.0, 4)),
        (M1, 1_777_587, 6_120_032, (1.8, 6)),
        (M2, 2_393_876, 12_743_440, (2.4, 12)),
        (M3, 2_622_960, 20_807_520, (2.6, 21)),
    ],
)
def test_size_is_the_papers(variant: Variant, parameters: int, macs: int, paper: tuple[float, float]) -> None:
    """With the ImageNet head at 224 px, Shift-Max products counted: exact here, within 2.5 % and 7 % of the paper."""
    net = MicroNet(variant, imagenet=True)
    counted, without = count(net, 224)
    assert (counted, without + products(net, 224)) == (parameters, macs)
    assert counted == pytest.approx(paper[0] * 1e6, rel=0.025)
    assert macs == pytest.approx(paper[1] * 1e6, rel=0.07)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_authors_weights_give_the_authors_logits(variant: Variant) -> None:
    """Their plain net on normalised pixels and ours on raw ones, no tensor left as it began, in double precision."""
    torch.manual_seed(1)
    theirs, ours = AuthorsMicroNet(variant).double(), MicroNet(variant, imagenet=True).double().eval()
    pixels = torch.randint(0, 256, (2, 3, 96, 96)).double()
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (MEAN, STD))
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for module in theirs.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.momentum = 1.0
        theirs.train()((pixels - mean) / std)  # so the norms keep the signal alive
        want = theirs.eval()((pixels - mean) / std)
        ours.load_state_dict(ours.adopt(theirs.state_dict()))
        got = ours(pixels)
    torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-8)
    assert (want[0] - want[1]).abs().max() > 0.1  # the logits hang on the picture


@pytest.mark.parametrize(("variant", "residuals", "scale"), [(M2, 1, 1.0), (M3, 4, -1.0)])
def test_residual_blocks_take_away_what_they_negated(variant: Variant, residuals: int, scale: float) -> None:
    blocks = [b for b in MicroNet(variant).blocks if getattr(b, "residual", False)]
    assert len(blocks) == residuals
    assert all((b.project[1].weight == scale).all() for b in blocks)


def test_size_with_the_thesis_head() -> None:
    assert count(create("micronet_m1"), 96) == (554_684, 1_175_584)


def test_shuffle_deals_the_groups_out() -> None:
    assert shuffled(torch.arange(6), 3).tolist() == [0, 2, 4, 1, 3, 5]


def test_two_shuffles_are_one() -> None:
    x = torch.randn(1, 24, 2, 2)
    twice = Permute(shuffled(torch.arange(24), 12))(Permute(shuffled(torch.arange(24), 6))(x))
    assert torch.equal(Permute(shuffled(shuffled(torch.arange(24), 6), 12))(x), twice)


def test_shift_goes_by_one_group_and_one_channel() -> None:
    # Channel c of group g reads channel c + 1 of group g + 1, both circular.
    groups, size = 3, 4
    order = shifted(groups * size, groups).tolist()
    for g in range(groups):
        for c in range(size):
            assert order[g * size + c] == (g + 1) % groups * size + (c + 1) % size


def test_indices_are_int32() -> None:
    permutes = [m for m in MicroNet().modules() if isinstance(m, Permute)]
    assert sum(not m.idle for m in permutes) == 30
    assert {m.order.dtype for m in permutes} == {torch.int32}
    x = torch.randn(1, 6, 2, 2)
    assert Permute(torch.arange(6))(x) is x


def test_shift_max_by_its_definition() -> None:
    """max_k sum_j a[j, k](x) * shift_j(x), a = 4 (h_sigmoid(...) - .5) + start (paper, section 4), then a shuffle."""
    torch.manual_seed(0)
    starts, order = (1.0, 0.0, 1.0, 0.0), shuffled(torch.arange(24), 4)
    net = ShiftMax(24, 6, 2, starts, order).double()
    x = torch.randn(2, 24, 3, 3).double()
    squeezed = (net.squeeze(x.mean((2, 3), keepdim=True))).relu()
    other = x[:, shifted(24, 6)]
    a = []
    for coefficient, start in zip(net.coefficients, starts, strict=True):
        linear = nn.functional.conv2d(squeezed, coefficient.conv.weight, coefficient.conv.bias - 3.0)
        shuffled_a = 4.0 * (nn.functional.hardsigmoid(linear) - 0.5) + start
        a.append(torch.empty_like(shuffled_a).index_copy(1, order, shuffled_a))
    want = torch.maximum(a[0] * x + a[1] * other, a[2] * x + a[3] * other)[:, order]
    torch.testing.assert_close(net(x), want, rtol=0, atol=1e-12)
    assert not torch.equal(a[0], a[2])


def authors_names(net: MicroNet, prefix: str = "") -> dict[str, Tensor]:
    """A MicroNet of two blocks under the authors' names, written out by hand; their coefficients are not shuffled."""
    state = net.state_dict()
    spatial = {f"spatial.{i}.{j}": f"layers.0.conv.{2 * i + j}" for i in range(2) for j in range(2)}
    pairs = {"stem": "features.0.stem.0.conv.0", "stem_norm": "features.0.stem.0.conv.1"}
    pairs |= {"stem_wide.0": "features.0.stem.0.conv.2", "stem_wide.1": "features.0.stem.0.conv.3"}
    for block in range(2):
        for ours, other in (
            spatial | {"project.0": "layers.4.conv.0", "project.1": "layers.4.conv.1"}
        ).items():
            pairs[f"blocks.{block}.{ours}"] = f"features.{block + 1}.{other}"
    pairs |= {"head.hidden": "classifier.0", "head.logit": "classifier.2"}
    parts = {k: k.rpartition(".") for k in state}
    named = {f"{prefix}{pairs[p[0]]}.{p[2]}": state[k] for k, p in parts.items() if p[0] in pairs}
    for block, layer, act in ((0, 5, "mix"), (1, 1, "act"), (1, 5, "mix")):
        shift_max = net.blocks[block].get_submodule(act)
        other, order = f"{prefix}features.{block + 1}.layers.{layer}.fc", shift_max.straight.order.long()
        named[f"{other}.0.weight"] = shift_max.squeeze.weight.flatten(1)
        named[f"{other}.0.bias"] = shift_max.squeeze.bias
        weights, biases = [], []
        for c in shift_max.coefficients:
            weights.append(torch.empty_like(c.conv.weight).index_copy(0, order, c.conv.weight).flatten(1))
            biases.append(torch.empty_like(c.conv.bias).index_copy(0, order, c.conv.bias - 3.0))
        named |= {f"{other}.2.weight": torch.cat(weights), f"{other}.2.bias": torch.cat(biases)}
    return {k: v.detach() for k, v in named.items()}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_authors_names(prefix: str) -> None:
    net = MicroNet(first(2))
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.normal_()
    state = net.state_dict()
    adopted = from_authors(authors_names(net, prefix), net.blocks)
    assert adopted.keys() == state.keys()
    for key, value in state.items():
        torch.testing.assert_close(adopted[key], value)


def test_other_names_are_left_alone() -> None:
    net = MicroNet(first(1))
    assert from_authors(net.state_dict(), net.blocks).keys() == net.state_dict().keys()
    # A layer that has no Shift-Max in this block, and one that does not exist.
    strange = {
        "features.1.layers.1.fc.0.weight": torch.zeros(2, 2),
        "features.9.layers.0.conv.0.weight": torch.zeros(1),
    }
    known = {"features.1.layers.4.conv.1.bias": torch.zeros(8)}
    assert set(from_authors(strange | known, net.blocks)) >= {
        "features.9.layers.0.conv.0.weight",
        "blocks.0.project.1.bias",
    }
