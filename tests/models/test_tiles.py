"""Tiles cover the whole once and look at their halo where there is one."""

import torch

from models.tiles import tiles


def test_tiles_cover_every_cell_once_and_are_alike() -> None:
    covered, sides = torch.zeros(13, 4, dtype=torch.int), set()
    for y, x in tiles(13, 4, side=5, halo=2):
        covered[y.kept(1), x.kept(1)] += 1
        sides.add((y.stop - y.start, x.stop - x.start))
    assert covered.eq(1).all()
    assert sides == {(4, 4), (5, 4)}


def test_a_tile_is_cut_out_of_what_it_looks_at() -> None:
    cells = torch.arange(13).repeat_interleave(3)
    for y, _ in tiles(13, 1, side=4, halo=2):
        seen = cells[y.seen(3)]
        assert torch.equal(seen[y.inside(3)], cells[y.kept(3)])
        assert seen[0] == max(0, y.start - 2)
        assert seen[-1] == min(12, y.stop + 1)
