"""Attention over a sequence of n tokens: 8 heads of 64 features."""

from typing import Any

from tensorcli.workloads import FLOATS, Parts, Variant, Workload, no_compiler, uniform

HEADS, FEATURES = 8, 64


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> dict[str, Any]:
    q, k, v = uniform(3, 1, HEADS, n, FEATURES, device=device, dtype=dtype, seed=seed)
    return {"q": q, "k": k, "v": v}


def by_hand(q: Any, k: Any, v: Any) -> Any:
    """softmax(q k / sqrt(features)) v (Vaswani et al., Attention Is All You Need, 2017)."""
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    return scores.softmax(dim=-1) @ v


def loop_over_tokens(q: Any, k: Any, v: Any, parts: int | None) -> Any:
    """One token's question at a time."""
    import torch

    out = torch.zeros_like(q)
    for i in range(q.shape[-2] if parts is None else parts):
        out[..., i : i + 1, :] = by_hand(q[..., i : i + 1, :], k, v)
    return out


WORKLOAD = Workload(
    name="attention",
    title="attention over a sequence of n tokens: 8 heads of 64 features",
    sizes=(128, 512),
    dtypes=FLOATS,
    inputs=_inputs,
    variants=(
        Variant("loop over tokens", "loop_over_tokens(q, k, v, parts)", parts=Parts(lambda n: n, steps=lambda n: 1)),
        Variant("by hand", "by_hand(q, k, v)", scratch_nbytes=lambda n, itemsize: 3 * HEADS * n * n * itemsize),
        Variant("scaled_dot_product_attention", "F.scaled_dot_product_attention(q, k, v)"),
        Variant("compiled", "fused(q, k, v)", setup="fused = torch.compile(by_hand)", lacking=no_compiler),
    ),
    functions={"loop_over_tokens": loop_over_tokens, "by_hand": by_hand},
    reference="F.scaled_dot_product_attention(q, k, v)",
    # The scores' own rounding goes through the exponential: FEATURES terms of at most 8 / sqrt(64) * 8 each.
    terms=lambda n: n + 16 * FEATURES,
    roundings=5,
    # two products, as torch.utils.flop_counter counts
    flops=lambda n: 2 * HEADS * 2 * n * n * FEATURES,
    nbytes=lambda n, itemsize: 4 * HEADS * n * FEATURES * itemsize,
)
