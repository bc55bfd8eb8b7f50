"""Variable-length attention against the plain formula, sample by sample, in every way that runs here."""

from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, softmax

from models.attention import Backend, Lengths, Rectangles, attend, backend_for, layout, starts, within

QUERIES, CLEAN = [3, 1, 5, 0, 70], [2, 0, 1, 4, 200]
"""Tokens of samples; clean ones are in a pack of their own."""


class Given(NamedTuple):
    """Queries, keys and values."""

    q: Tensor
    k: Tensor
    v: Tensor


def tokens(num_tokens: int, num_heads: int) -> Tensor:
    return torch.randn(num_tokens, num_heads, 16)


def sample_by_sample(q: Tensor, k: Tensor, v: Tensor, *, first: list[int], second: list[int]) -> Tensor:
    """The plain formula; keys of a sample lie in ``cat(first pack, second pack)``."""
    starts, found, query = ([0, sum(first)], [], 0)
    for clean, noisy in zip(first, second, strict=True):
        rows = [*range(starts[0], starts[0] + clean), *range(starts[1], starts[1] + noisy)]
        keys, values = (each[rows].repeat_interleave(q.shape[1] // k.shape[1], dim=1) for each in (k, v))
        weights = softmax(torch.einsum("qhe,khe->hqk", q[query : query + noisy], keys) / q.shape[2] ** 0.5, dim=-1)
        found.append(torch.einsum("hqk,khe->qhe", weights, values))
        starts, query = [starts[0] + clean, starts[1] + noisy], query + noisy
    return torch.cat(found)


def packs() -> tuple[Tensor, Tensor, Tensor, Lengths]:
    torch.manual_seed(0)
    num_keys = sum(QUERIES) + sum(CLEAN)
    clean = torch.tensor(CLEAN)
    lengths = Lengths(torch.tensor(QUERIES), starts(clean), clean, torch.tensor(QUERIES), sum(CLEAN))
    return tokens(sum(QUERIES), 4), tokens(num_keys, 2), tokens(num_keys, 2), lengths


def shared_runs() -> tuple[Tensor, Tensor, Tensor, Lengths]:
    """Two groups see the same five keys, a third one the first three of them, a fourth keys of its own alone."""
    torch.manual_seed(1)
    own = torch.tensor([2, 3, 1, 4])
    lengths = Lengths(own, torch.tensor([1, 1, 1, 0]), torch.tensor([5, 5, 3, 0]), own, 7)
    return tokens(10, 4), tokens(17, 2), tokens(17, 2), lengths


@pytest.mark.parametrize("backend", ["sdpa", "flex"])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
def test_groups_may_see_the_same_run_of_keys_or_a_part_of_it(backend: Backend) -> None:
    q, k, v, lengths = shared_runs()
    rows = [[*range(1, 6), 7, 8], [*range(1, 6), 9, 10, 11], [1, 2, 3, 12], [13, 14, 15, 16]]
    alone = [
        attend(q[begin:end], k[each], v[each], layout(_one(end - begin, len(each)), "sdpa"))
        for (begin, end), each in zip(pairwise([0, 2, 5, 6, 10]), rows, strict=True)
    ]
    torch.testing.assert_close(attend(q, k, v, layout(lengths, backend)), torch.cat(alone), atol=1e-5, rtol=1e-5)


def _one(num_queries: int, num_keys: int) -> Lengths:
    """A group that sees all keys."""
    zero = torch.zeros(1, dtype=torch.long)
    return Lengths(zero + num_queries, zero, zero + num_keys, zero, num_keys)


@pytest.mark.parametrize("backend", ["sdpa", "flex"])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
def test_every_backend_equals_the_formula_sample_by_sample(backend: Backend) -> None:
    q, k, v, lengths = packs()
    expected = sample_by_sample(q, k, v, first=CLEAN, second=QUERIES)
    torch.testing.assert_close(attend(q, k, v, layout(lengths, backend)), expected, atol=1e-5, rtol=1e-5)


def test_the_variable_length_kernel_is_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def kernel(q: Tensor, k: Tensor, v: Tensor, q_starts: Tensor, k_starts: Tensor, max_q: int, max_k: int, *, enable_gqa: bool):
        assert q_starts.dtype == k_starts.dtype == torch.int32
        assert (max_q, max_k, enable_gqa) == (70, 270, True)
        k, v = (each.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for each in (k, v))
        bounds = zip(pairwise(q_starts.tolist()), pairwise(k_starts.tolist()), strict=True)
        q, k, v = (each.transpose(0, 1) for each in (q, k, v))
        parts = [scaled_dot_product_attention(q[:, a:b], k[:, c:d], v[:, c:d]) for (a, b), (c, d) in bounds]
        return torch.cat(parts, dim=1).transpose(0, 1)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    q, k, v, lengths = packs()
    expected = sample_by_sample(q, k, v, first=CLEAN, second=QUERIES)
    torch.testing.assert_close(attend(q, k, v, layout(lengths, "varlen")), expected, atol=1e-5, rtol=1e-5)


def test_sequences_may_look_at_themselves() -> None:
    lengths = torch.tensor([3, 1, 5])
    q, k, v = tokens(9, 4), tokens(9, 2), tokens(9, 2)
    expected = sample_by_sample(q, k, v, first=[0, 0, 0], second=lengths.tolist())
    torch.testing.assert_close(attend(q, k, v, layout(within(lengths), "sdpa")), expected)


def test_gradients_in_bf16_are_those_of_fp32_up_to_rounding() -> None:
    q, k, v, lengths = packs()
    weights, seen = torch.randn_like(q), layout(lengths, "sdpa")
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        given = Given(*(each.to(torch.bfloat16).to(dtype).requires_grad_() for each in (q, k, v)))
        (attend(given.q, given.k, given.v, seen) * weights.to(dtype)).sum().backward()
        gradients.append([each.grad.float() for each in given if each.grad is not None])
    for exact, rounded in zip(*gradients, strict=True):
        assert (exact - rounded).norm() / exact.norm() < 0.01


def test_long_sequences_are_differentiated_in_chunks_to_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v, lengths = packs()
    seen, gradients = layout(lengths, "sdpa"), []
    for chunk_scores in (1 << 19, 1 << 10):
        monkeypatch.setattr("models.attention._CHUNK_SCORES", chunk_scores)
        given = Given(*(each.to(torch.bfloat16).requires_grad_() for each in (q, k, v)))
        attend(given.q, given.k, given.v, seen).float().square().sum().backward()
        gradients.append([each.grad for each in given if each.grad is not None])
    for whole, chunked in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, chunked, atol=2e-2, rtol=2e-2)


def test_samples_of_like_length_share_a_rectangle_and_a_long_one_has_its_own() -> None:
    lengths = torch.tensor([20, 600, 21, 19, 600])
    seen = layout(within(lengths), "sdpa")
    assert isinstance(seen, Rectangles)
    assert [place.num_groups for place in seen.rectangles] == [2, 3]
    assert seen.query_sizes == (1200, 63)


def test_the_variable_length_kernel_is_for_gpus_in_half_precision() -> None:
    assert backend_for(torch.device("cuda"), torch.bfloat16) == "varlen"
    assert backend_for(torch.device("cuda"), torch.float32) == "sdpa"
    assert backend_for(torch.device("cpu"), torch.bfloat16) == "sdpa"


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["varlen", "flex", "sdpa"])
def test_backends_on_a_gpu_agree_in_values_and_gradients(backend: Backend) -> None:
    q, k, v, lengths = packs()
    whole = Given(*(each.repeat(1, 1, 4).requires_grad_() for each in (q, k, v)))        # heads of 64: kernels want wide ones
    expected = sample_by_sample(whole.q, whole.k, whole.v, first=CLEAN, second=QUERIES)
    expected.square().sum().backward()
    given = Given(*(each.detach().to("cuda", torch.bfloat16).requires_grad_() for each in whole))
    found = attend(given.q, given.k, given.v, layout(lengths.to("cuda"), backend))
    found.float().square().sum().backward()
    torch.testing.assert_close(found.float().cpu(), expected, atol=2e-2, rtol=2e-2)
    for one, other in zip(given, whole, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert (one.grad.float().cpu() - other.grad).norm() / other.grad.norm() < 0.02
