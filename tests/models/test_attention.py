"""Variable-length attention against the plain formula, sample by sample."""

import torch
from torch.nn.functional import softmax

from models.attention import attend, joined_rectangle, rectangle


def test_attention_in_packs_equals_attention_sample_by_sample() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([3, 1, 5])
    q, k, v = torch.randn(9, 4, 8), torch.randn(9, 2, 8), torch.randn(9, 2, 8)
    packed = attend(q, k, v, query_rectangle=rectangle(lengths), key_rectangle=rectangle(lengths))
    start = 0
    for length in lengths.tolist():
        part = slice(start, start + length)
        keys, values = k[part].repeat_interleave(2, dim=1), v[part].repeat_interleave(2, dim=1)
        weights = softmax(torch.einsum("qhe,khe->hqk", q[part], keys) / 8**0.5, dim=-1)
        torch.testing.assert_close(packed[part], torch.einsum("hqk,khe->qhe", weights, values))
        start += length


def test_joined_rectangle_puts_each_sample_of_both_packs_side_by_side() -> None:
    first, second = torch.tensor([2, 0, 1]), torch.tensor([1, 2, 2])
    rows = joined_rectangle(first, second)
    real = [row[mask].tolist() for row, mask in zip(rows.gather, rows.is_real, strict=True)]
    assert real == [[0, 1, 3], [4, 5], [2, 6, 7]]
