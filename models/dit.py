"""Causal, packed, single-stream diffusion transformer: one network for text-to-image, editing and composition.

Choices:

* One stream of weights for text, reference and target tokens; pre-RMSNorm, RMSNorm of queries and keys, SwiGLU, grouped
  queries, a sigmoid gate on the attention output, no biases except in the input, output and time projections.
* Causal diffusion: clean tokens (text, references) see clean tokens only and are modulated at t = 0; noisy tokens see
  their whole sample. So the clean half does not depend on the noisy half or on the time, and its keys and values are
  computed once a request. Training runs the very same two passes, `remember` and `velocity`; there is no other forward.
* AdaLN-single: one projection of the time for all blocks plus a table per block (Chen et al. 2023, arXiv:2310.00426). Labels
  (tasks and tags, as in SeedEdit 3.0, Wang et al. 2025, arXiv:2506.05083) and a guidance weight to imitate (Meng et al. 2022,
  arXiv:2210.03142) are added to the time. They modulate noisy tokens only, so what is remembered does not depend on them.
* Pictures of a set are drawn one after the other, each in sight of those before it: `remember` goes on from what it knew.
* The last block of the clean pass stops at its keys and values: nobody reads further.

n clean tokens · m noisy tokens · d width · h heads · g key-value heads · e head width · c latent channels
s samples or segments of samples · v noisy targets · l labels
"""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.attention import Backend, Layout, Lengths, attend, backend_for, layout, starts
from models.context import Context, Share, require_heads
from models.glyphs import GlyphEncoder
from models.layers import PartwiseRMSNorm, Spread, SwiGLU, TimeEmbedding, rotate, rotations, scaled, shifted, spread
from models.routing import Route
from models.sequence import CleanTokens, NoisyTokens
from models.sizes import DiTConfig


class Memory(NamedTuple):
    """Keys and values of the clean tokens in every block: all that noisy tokens need to know of their conditions."""

    keys: tuple[Float[Tensor, "n g e"], ...]
    values: tuple[Float[Tensor, "n g e"], ...]
    first: Int[Tensor, " s"]
    """Where the tokens begin that a group of others sees."""
    seen: Int[Tensor, " s"]
    """How many they are."""

    def of(self, groups: Int[Tensor, " v"]) -> "Memory":
        """What each of these groups remembers, any of them any number of times; nothing is copied."""
        return self._replace(first=self.first[groups], seen=self.seen[groups])


class Marks(NamedTuple):
    """What modulates noisy targets besides their time."""

    labels: Float[Tensor, "v l"]
    """1 where a target bears a label, in the order of `DiTConfig.labels`."""
    guidance: Float[Tensor, " v"] | None = None
    """Weight of the guidance to imitate, in [0, 20]; for transformers that `imitates_guidance`."""

    def to(self, device: torch.device) -> "Marks":
        """The same on a device."""
        return Marks(self.labels.to(device), None if self.guidance is None else self.guidance.to(device))


class Watched(NamedTuple):
    """Noisy tokens of this worker in the middle of the transformer."""

    tokens: Float[Tensor, "n d"]
    rows: Int[Tensor, " n"] | None
    """Which of the worker's tokens they are, where some had gone past; None for all."""


class _Place(NamedTuple):
    """Rotations of the tokens at hand, whose samples they are, which keys they see, and how a pack of several workers does so."""

    rotation: Float[Tensor, "n half 2"]
    samples: Spread
    seen: Layout
    share: Share | None


class Block(nn.Module):
    """Attention and feed-forward, each shifted, scaled and gated by the time."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, head_width = config.num_heads, config.num_kv_heads, config.head_width
        inner = self.heads * head_width
        self.norm_attention = nn.RMSNorm(config.width, elementwise_affine=False, eps=1e-6)
        self.norm_ffn = nn.RMSNorm(config.width, elementwise_affine=False, eps=1e-6)
        self.query_gate = nn.Linear(config.width, 2 * inner, bias=False)
        self.key_value = nn.Linear(config.width, 2 * self.kv_heads * head_width, bias=False)
        self.norm_query = nn.RMSNorm(head_width, eps=1e-6)
        self.norm_key = nn.RMSNorm(head_width, eps=1e-6)
        self.out = nn.Linear(inner, config.width, bias=False)
        self.ffn = SwiGLU(config.width, config.ffn_width)
        self.table = nn.Parameter(torch.empty(6, config.width))
        self.reset_parameters()

    entries = ("keys_values",)
    """Methods that are called besides `forward`."""

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Gates start open: closed ones (Peebles & Xie 2022) hold short runs up."""
        self.table[[0, 1, 3, 4]] = 0.0
        self.table[[2, 5]] = 1.0

    def keys_values(
        self, x: Float[Tensor, "n d"], modulation: Float[Tensor, "6 s d"], place: _Place
    ) -> tuple[Float[Tensor, "n g e"], Float[Tensor, "n g e"]]:
        """What these tokens offer to others in this block."""
        shift, scale = (modulation[:2] + self.table[:2, None]).unbind(0)
        return self._offer(_modulated(self.norm_attention(x), shift, scale, place), place)

    def forward(
        self, x: Float[Tensor, "n d"], modulation: Float[Tensor, "6 s d"], place: _Place, *,
        memory: tuple[Float[Tensor, "m g e"], Float[Tensor, "m g e"]] | None,
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n g e"], Float[Tensor, "n g e"]]:  # fmt: skip
        """The tokens after this block, and the keys and values they offered; `memory` is seen besides them."""
        shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = (modulation + self.table[:, None]).unbind(0)
        read = _modulated(self.norm_attention(x), shift, scale, place)
        key, value = self._offer(read, place)
        keys, values = (key, value) if memory is None else (torch.cat([memory[0], key]), torch.cat([memory[1], value]))
        x = x + scaled(self.out(self._attended(read, keys, values, place)), gate, place.samples)
        x = x + scaled(self.ffn(_modulated(self.norm_ffn(x), shift_ffn, scale_ffn, place)), gate_ffn, place.samples)
        return x, key, value

    def _attended(
        self, read: Float[Tensor, "n d"], keys: Float[Tensor, "m g e"], values: Float[Tensor, "m g e"], place: _Place
    ) -> Float[Tensor, "n inner"]:
        query, gate = rearrange(self.query_gate(read), "n (two h e) -> two n h e", two=2, h=self.heads)
        query = rotate(self.norm_query(query.float()), place.rotation).to(values.dtype)
        if place.share is None:
            seen = attend(query, keys, values, place.seen)
        else:
            seen = place.share.by_tokens(attend(place.share.by_heads(query), keys, values, place.seen))
        return rearrange(seen * torch.sigmoid(gate), "n h e -> n (h e)")

    def _offer(self, read: Float[Tensor, "n d"], place: _Place) -> tuple[Float[Tensor, "n g e"], Float[Tensor, "n g e"]]:
        key, value = rearrange(self.key_value(read), "n (two g e) -> two n g e", two=2, g=self.kv_heads)
        key = rotate(self.norm_key(key.float()), place.rotation).to(value.dtype)
        return (key, value) if place.share is None else (place.share.by_heads(key), place.share.by_heads(value))


def _modulated(
    x: Float[Tensor, "n d"], shift: Float[Tensor, "s d"], scale: Float[Tensor, "s d"], place: _Place
) -> Float[Tensor, "n d"]:
    return shifted(scaled(x, 1 + scale, place.samples), shift, place.samples)


class DiT(nn.Module):
    """Predicts the velocity of noisy latent tokens from their time and their sample's clean tokens."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        if config.num_heads % config.num_kv_heads:
            raise ValueError(f"num_kv_heads={config.num_kv_heads} must divide num_heads={config.num_heads}")
        if any(width % 2 for width in config.rope_axes):
            raise ValueError(f"rope_axes={config.rope_axes} must be even: channels are turned in pairs")
        self.config = config
        self.attention: Backend | None = None
        self.norm_text = PartwiseRMSNorm(config.text_width, config.text_layers)
        self.text_in = nn.Linear(config.text_width, config.width)
        self.glyph_in = None if config.glyphs is None else GlyphEncoder(config.glyphs, into=config.width)
        self.latent_in = nn.Linear(config.latent_channels, config.width)
        self.time_in = TimeEmbedding(config.width)
        self.label_in = nn.Linear(len(config.labels), config.width, bias=False) if config.labels else None
        self.guidance_in = TimeEmbedding(config.width) if config.imitates_guidance else None
        self.time_out = nn.Sequential(nn.SiLU(), nn.Linear(config.width, 6 * config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm_out = nn.RMSNorm(config.width, elementwise_affine=False, eps=1e-6)
        self.table_out = nn.Parameter(torch.empty(2, config.width))
        self.latent_out = nn.Linear(config.width, config.latent_channels)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """The first prediction is zero velocity, and neither time nor labels nor guidance move the modulation yet."""
        last = self.time_out[1]
        assert isinstance(last, nn.Linear)
        for zero in (self.table_out, last.weight, last.bias, self.latent_out.weight, self.latent_out.bias):
            zero.zero_()
        if self.label_in is not None:
            self.label_in.weight.zero_()
        if self.guidance_in is not None:
            self.guidance_in.mute()

    def block_matrices(self) -> list[nn.Parameter]:
        """The matrices inside the blocks, which Muon trains; everything else is AdamW's."""
        return [
            parameter
            for block in self.blocks
            for name, parameter in block.named_parameters()
            if name.endswith("weight") and parameter.dim() == 2
        ]

    def remember(self, clean: CleanTokens, context: Context | None = None, *, before: Memory | None = None) -> Memory:
        """Run the clean tokens once, at t = 0, and keep what every block's noisy tokens will look at.

        Args:
            context: workers that share the tokens, each of which is given all of them and remembers its share of the heads.
            before: what the samples remember already, one group each; the clean tokens then are one segment a sample more.

        Returns:
            A group for every segment, in order: the sample's clean tokens up to the segment's end.
        """
        rows, share = self._part(len(clean.order), context)
        read = [self.text_in(self.norm_text(clean.text)), self.latent_in(clean.latents)]
        if self.glyph_in is not None:
            read.insert(1, self.glyph_in(*clean.glyphs).to(read[0].dtype))
        assert self.glyph_in is not None or not len(clean.glyphs.bytes), "letters for a transformer that reads none"
        x = torch.cat(read).index_select(0, clean.order[rows])  # n d
        modulation = self._time(torch.zeros(1, device=x.device), None)[1]  # 6 1 d
        everywhere = Spread(1, len(x), torch.zeros(len(x), dtype=torch.long, device=x.device))
        place = _Place(self._rotations(clean.positions[rows]), everywhere, self._seen(x, _by_clean(clean, before)), share)
        keys, values = [], []
        for number, block in enumerate(self.blocks[:-1]):
            known = None if before is None else (before.keys[number], before.values[number])
            x, key, value = block(x, modulation, place, memory=known)
            keys.append(key)
            values.append(value)
        last = self.blocks[-1]
        assert isinstance(last, Block)
        key, value = last.keys_values(x, modulation, place)
        found = Memory((*keys, key), (*values, value), clean.first, clean.seen)
        return found if before is None else _continued(before, found)

    def velocity(
        self, noisy: NoisyTokens, time: Float[Tensor, " v"], memory: Memory, context: Context | None = None, *,
        route: Route | None = None, marks: Marks | None = None,
    ) -> Float[Tensor, "m c"]:  # fmt: skip
        """Velocity of every noisy token; see `velocity_and_watched`."""
        return self.velocity_and_watched(noisy, time, memory, context, route=route, marks=marks, after=self.config.depth)[0]

    def velocity_and_watched(
        self, noisy: NoisyTokens, time: Float[Tensor, " v"], memory: Memory, context: Context | None = None, *,
        route: Route | None, marks: Marks | None, after: int,
    ) -> tuple[Float[Tensor, "m c"], Watched]:  # fmt: skip
        """Velocity of every noisy token, and what the tokens were after so many blocks.

        Args:
            time: one per target, in [0, 1].
            memory: with a group for every target (`Memory.of`).
            context: workers that share the tokens, as they did in `remember`; each gets the velocity of its own `Context.rows`.
            route: in training, the tokens that take the blocks in the middle; None for all.
            marks: labels and guidance of every target; None for targets that bear no label.

        Raises:
            ValueError: guidance is given to a transformer that does not imitate it, or none to one that does.
        """
        if (marks is not None and marks.guidance is not None) != self.config.imitates_guidance:
            given = "no" if marks is None or marks.guidance is None else "a"
            raise ValueError(f"{given} guidance is given, but imitates_guidance={self.config.imitates_guidance}; make them agree")
        rows, share = self._part(len(noisy.latents), context)
        x = self.latent_in(noisy.latents[rows])  # m d
        embedding, modulation = self._time(time, marks)  # v d, 6 v d
        place = _Place(
            self._rotations(noisy.positions[rows]), spread(noisy.lengths, rows),
            self._seen(x, _by_noisy(noisy.lengths, memory)), share,
        )  # fmt: skip
        if route is None:
            x, watched = self._through(range(self.config.depth), x, modulation, place, memory, after)
        else:
            x, early = self._through(range(route.first), x, modulation, place, memory, after)
            x, middle = self._routed(route, x, modulation, noisy.positions, memory, context, after)
            x, late = self._through(range(route.end, self.config.depth), x, modulation, place, memory, after)
            watched = early or middle or late
        assert watched is not None, after
        shift, scale = (self.table_out[:, None] + embedding[None]).unbind(0)
        return self.latent_out(_modulated(self.norm_out(x), shift, scale, place)).float(), watched

    def forward(
        self, clean: CleanTokens, noisy: NoisyTokens, time: Float[Tensor, " v"], context: Context | None = None
    ) -> Float[Tensor, "m c"]:
        """Both passes, of as many noisy targets as there are clean segments."""
        return self.velocity(noisy, time, self.remember(clean, context), context)

    def _through(
        self, blocks: range, x: Float[Tensor, "m d"], modulation: Float[Tensor, "6 s d"], place: _Place, memory: Memory,
        after: int,
    ) -> tuple[Float[Tensor, "m d"], Watched | None]:  # fmt: skip
        watched = None
        for number in blocks:
            x, _, _ = self.blocks[number](x, modulation, place, memory=(memory.keys[number], memory.values[number]))
            watched = Watched(x, None) if number + 1 == after else watched
        return x, watched

    def _routed(
        self, route: Route, x: Float[Tensor, "m d"], modulation: Float[Tensor, "6 s d"], positions: Int[Tensor, "m 3"],
        memory: Memory, context: Context | None, after: int,
    ) -> tuple[Float[Tensor, "m d"], Watched | None]:  # fmt: skip
        """This worker's tokens after the blocks in the middle, which only those of the route went through."""
        run, share, rows = slice(None), None, route.rows
        if context is not None:
            bounds = context.bounds(len(positions))
            ends = torch.searchsorted(route.rows, torch.tensor(bounds, device=rows.device)).tolist()
            run, share = slice(*ends[context.rank : context.rank + 2]), context.share(ends)
            rows = rows[run] - bounds[context.rank]
        inside = x.index_select(0, rows)
        place = _Place(
            self._rotations(positions[route.rows[run]]), spread(route.lengths, run),
            self._seen(inside, _by_noisy(route.lengths, memory)), share,
        )  # fmt: skip
        inside, watched = self._through(range(route.first, route.end), inside, modulation, place, memory, after)
        return x.to(inside.dtype).index_copy(0, rows, inside), watched and watched._replace(rows=rows)

    def _part(self, num_tokens: int, context: Context | None) -> tuple[slice, Share | None]:
        if context is None:
            return slice(num_tokens), None
        require_heads(context.size, num_heads=self.config.num_heads, num_kv_heads=self.config.num_kv_heads)
        return context.rows(num_tokens), context.share(context.bounds(num_tokens))

    def _time(
        self, time: Float[Tensor, " s"], marks: Marks | None
    ) -> tuple[Float[Tensor, "s d"], Float[Tensor, "6 s d"]]:
        embedding = self.time_in(time)
        if marks is not None and self.label_in is not None:
            embedding = embedding + self.label_in(marks.labels)
        if marks is not None and marks.guidance is not None and self.guidance_in is not None:
            embedding = embedding + self.guidance_in(marks.guidance / MOST_GUIDANCE)
        return embedding, rearrange(self.time_out(embedding), "s (six d) -> six s d", six=6)

    def _seen(self, x: Float[Tensor, "n d"], lengths: Lengths) -> Layout:
        return layout(lengths, self.attention or backend_for(x.device, x.dtype), x.device)

    def _rotations(self, positions: Int[Tensor, "n 3"]) -> Float[Tensor, "n half 2"]:
        return rotations(positions, axis_widths=self.config.rope_axes, theta=self.config.rope_theta)


MOST_GUIDANCE = 20.0
"""The largest weight of guidance that can be imitated."""


def _by_clean(clean: CleanTokens, before: Memory | None) -> Lengths:
    """Segments see their sample up to their own end, or all that was remembered before, and themselves."""
    if before is None:
        return Lengths(clean.lengths, clean.first, clean.seen, torch.zeros_like(clean.lengths), len(clean.order))
    return Lengths(clean.lengths, before.first, before.seen, clean.lengths, len(before.keys[0]))


def _by_noisy(lengths: Int[Tensor, " v"], memory: Memory) -> Lengths:
    return Lengths(lengths, memory.first, memory.seen, lengths, len(memory.keys[0]))


def _continued(before: Memory, found: Memory) -> Memory:
    """Each sample's tokens of before, and behind them those that were found."""
    both = torch.stack([before.seen, found.seen], dim=1)             # s 2
    begins = torch.stack([before.first, len(before.keys[0]) + found.first], dim=1)
    lengths = both.flatten()
    cell = torch.arange(int(lengths.sum()), device=lengths.device)
    rows = cell + torch.repeat_interleave(begins.flatten() - starts(lengths), lengths)
    keys, values = (
        tuple(torch.cat(pair).index_select(0, rows) for pair in zip(*each, strict=True))
        for each in ((before.keys, found.keys), (before.values, found.values))
    )
    return Memory(keys, values, starts(both.sum(1)), both.sum(1))
