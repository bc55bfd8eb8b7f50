"""Flow matching of latents under text and references, all tasks in one batch.

Loss: mean squared error of the predicted velocity (Lipman et al. 2022, arXiv:2210.02747, eq. 23, in the time direction of
`models.flow`). Several noise draws share one clean pass: the conditions do not depend on the noise, so a second draw costs
only its noisy tokens. Targets of a set have noise and times of their own; later ones see earlier ones as they are.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int
from pydantic import BaseModel, model_validator
from torch import Tensor, nn

from curation.tasks import TASKS
from models.attention import starts
from models.bundle import Contents, GeneratorBundle
from models.context import Context
from models.convolutions import unfold
from models.cost import Cost, transformer_cost
from models.dit import DiT, Marks, Watched
from models.flow import logit_normal_times, point_on_path, shift_at, velocity_target
from models.generate import Generator, load_autoencoder
from models.glyphs import MAX_BYTES, quoted
from models.minilm import MINILM
from models.picture_sizes import ImageSize
from models.repa import Projector, RepaConfig, Teacher, alignment, require_block
from models.routing import Route, RoutingConfig, joined, kept_rows, require_blocks
from models.samplers import SamplerConfig
from models.sequence import CleanTokens, Condition, NoisyTokens, flat, pack_clean, pack_noisy, target_index
from models.sizes import DiTConfig
from models.text import WEIGHTS, TextEncoderConfig, text_width
from models.vlm import VlmConfig
from train.decoding import RowReading, decode_latent, row_reading
from train.objectives.contract import MAIN, Drawn, LossTerms, Meter, ParameterGroup, Phase
from train.texts import TextSource, TextStates

Share = Annotated[float, Ge(0.0), Le(1.0)]


class FlowConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Training of the generator."""

    kind: Literal["flow"] = "flow"
    dit: DiTConfig
    """Shape of the transformer."""
    autoencoder: str
    """Folder of the bundle whose latents are learnt."""
    text_encoder: TextSource = MINILM
    """What reads the texts."""
    text_dropout: Share
    """Share of samples shown an empty text, so that guidance has something to push away from."""
    reference_dropout: Share = 0.0
    """Share of samples shown no references, for samplers that guide towards them (`SamplerConfig.reference_guidance`)."""
    tag_dropout: Share = 0.5
    """Share of samples that bear no tags, only the label of their task, so that tags may be left out of a request."""
    masks_defects: bool = False
    """Whether parts of a target under text laid over it (`text_boxes` of the signal `overlay`) are left out of the loss."""
    uniform_share: Share
    """Share of times drawn uniformly."""
    shift: Annotated[float, Gt(0.0)]
    """Time shift of the training times towards noise, of pictures of `shift_tokens` noisy tokens."""
    shift_tokens: Annotated[int, Gt(0)]
    """Other pictures' shift is by the square root of their tokens (`models.flow.shift_at`)."""
    num_draws: Annotated[int, Gt(0)]
    """Noise draws per sample and step, sharing one clean pass."""
    sampler: SamplerConfig
    """How pictures are drawn from the trained bundle."""
    size_px: Annotated[int, Gt(0)] | None = None
    """Side of the square that the bundle draws when no size is asked for; None for that of the autoencoder's training."""
    routing: RoutingConfig | None = None
    """Tokens of large pictures that leave out blocks, which makes steps cheaper; None for none."""
    repa: RepaConfig | None = None
    """What tokens are drawn to amid the transformer, so that what pictures show is learnt sooner; None for nothing."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "FlowConfig":
        if self.routing is not None:
            require_blocks(self.routing, depth=self.dit.depth)
        if self.repa is not None:
            require_block(self.repa, depth=self.dit.depth)
        if self.dit.imitates_guidance:
            raise ValueError("dit.imitates_guidance is for students of a guided teacher; flow matching has none, so turn it off")
        return self


class UnfitAutoencoder(ValueError):
    """The transformer cannot learn the latents of that autoencoder."""


class UnfitTextEncoder(ValueError):
    """The transformer cannot read the states of that encoder."""


class FlowBatch(NamedTuple):
    """Samples of any tasks; noisy tokens are `num_draws` copies of every target, one target's copies side by side."""

    clean: CleanTokens
    """A segment for every target, in order."""
    data: NoisyTokens
    noise: Float[Tensor, "m c"]
    time: Float[Tensor, " v"]
    target: Int[Tensor, " v"]
    """Number of the target, and so of its segment, of every noisy copy."""
    task: Int[Tensor, " v"]
    """Index into TASKS of every noisy copy."""
    marks: Marks
    learnt: Float[Tensor, " m"]
    """1 for noisy tokens that are in the loss, 0 for those under defects."""
    route: Route | None
    """Tokens that take every block, when not all do."""
    patches: tuple[Float[Tensor, "k _ _"], ...]
    """Pixels of every target, cell by cell, where tokens are drawn to what a network sees in them."""


class Flow:
    """The generator's objective."""

    unit: Literal["noisy tokens", "pictures"] = "noisy tokens"
    phases: tuple[Phase, ...] = (MAIN,)

    def __init__(self, config: FlowConfig) -> None:
        autoencoder, contents = load_autoencoder(Path(config.autoencoder))
        if contents.autoencoder.latent_channels != config.dit.latent_channels:
            raise UnfitAutoencoder(
                f"dit.latent_channels={config.dit.latent_channels}, but the autoencoder in {config.autoencoder} "
                f"has {contents.autoencoder.latent_channels}; make them equal"
            )
        self.size_px = config.size_px or contents.size_px
        if self.size_px % contents.autoencoder.factor:
            raise UnfitAutoencoder(
                f"size_px={self.size_px} is no multiple of the factor {contents.autoencoder.factor} of {config.autoencoder}"
            )
        self.config = config
        self._reading = _reading(config)
        self.columns, self.decode = self._reading.columns, partial(decode_latent, beside=self._reading.beside)
        self._teacher = None if config.repa is None else Teacher(config.repa)
        with torch.device("meta"):                                   # weights are drawn where they will live
            self._trained = _Trained(config, feature_width=0 if self._teacher is None else self._teacher.width)
        self.dit = self._trained.dit
        self._autoencoder, self._autoencoder_contents = autoencoder, contents
        self._text = TextStates(config.text_encoder)
        if (width := text_width(self._text.config)) != config.dit.text_width:
            raise UnfitTextEncoder(
                f"dit.text_width={config.dit.text_width}, but the text encoder ({config.text_encoder.kind}) gives "
                f"states of {width} channels; make them equal"
            )

    @property
    def network(self) -> nn.Module:
        return self.dit if self._trained.projector is None else self._trained

    @property
    def blocks(self) -> Sequence[nn.Module]:
        return list(self.dit.blocks)

    @property
    def companions(self) -> Sequence[nn.Module]:
        return () if self._teacher is None else (self._teacher,)

    @property
    def text_encoder(self) -> TextEncoderConfig:
        return self._text.config

    @property
    def max_letters(self) -> int:
        return 0 if self.config.dit.glyphs is None else MAX_BYTES

    @property
    def cost(self) -> Cost:
        return transformer_cost(self.config.dit, num_draws=self.config.num_draws, routing=self.config.routing)

    def groups(self) -> list[ParameterGroup]:
        matrices = self.dit.block_matrices()
        inside = {id(parameter) for parameter in matrices}
        rest = [parameter for parameter in self.network.parameters() if id(parameter) not in inside]
        return [ParameterGroup("muon", matrices), ParameterGroup("adamw", rest)]

    def prepare(self, targets: Iterable[list[Tensor]]) -> None:
        """Nothing depends on the whole data: latents arrive normalised."""

    def learn_texts(self, texts: Sequence[str]) -> None:
        self._text.device = self.dit.latent_out.weight.device        # by its number: batches are made in another thread
        self._text.learn([*texts, ""])

    def collate(self, drawn: Sequence[Drawn]) -> FlowBatch:
        shown = [self._shown(sample) for sample in drawn]
        states = self._text([each.text for each in shown], [each.seen for each in shown])
        conditions = [
            Condition(state, each.references, each.targets[:-1], quoted(each.text) if self.config.dit.glyphs else b"")
            for state, each in zip(states, shown, strict=True)
        ]
        copies = self.config.num_draws
        targets = [target for each in shown for target in each.targets for _ in range(copies)]
        indices = [index for each in shown for index in each.indices for _ in range(copies)]
        noise = [each.noise(target, copies) for each in shown for target in each.targets]
        times = [self._times(target, each.generator) for each in shown for target in each.targets]
        counts = torch.tensor([copies * len(each.targets) for each in shown])
        data = pack_noisy(targets, indices=indices)
        return FlowBatch(
            clean=pack_clean(conditions, latent_channels=self.config.dit.latent_channels), data=data,
            noise=torch.cat(noise), time=torch.cat(times), target=torch.arange(len(noise)).repeat_interleave(copies),
            task=torch.tensor([TASKS.index(sample.task) for sample in drawn]).repeat_interleave(counts),
            marks=Marks(torch.stack([each.labels for each in shown]).repeat_interleave(counts, dim=0)),
            learnt=torch.cat([flat(each)[:, 0] for one in shown for each in one.learnt for _ in range(copies)]),
            route=self._route(data.lengths, [each.generator for each in shown for _ in range(copies * len(each.targets))]),
            patches=tuple(each for one in shown for each in one.patches),
        )  # fmt: skip

    def loss(self, batch: FlowBatch, phase: str, context: Context | None = None) -> LossTerms:  # noqa: ARG002  there is one phase
        token_time = batch.time.repeat_interleave(batch.data.lengths)
        point = point_on_path(batch.data.latents, batch.noise, token_time)
        memory = self.dit.remember(batch.clean, context).of(batch.target)
        noisy, repa = batch.data._replace(latents=point), self.config.repa
        predicted, watched = self.dit.velocity_and_watched(
            noisy, batch.time, memory, context, route=batch.route, marks=batch.marks,
            after=self.config.dit.depth if repa is None else repa.block,
        )  # fmt: skip
        own = slice(None) if context is None else context.rows(len(point))
        error = (predicted - velocity_target(batch.data.latents, batch.noise)[own]).square().mean(1) * batch.learnt[own]
        total, meters = error.sum() / len(point), _by_task_and_time(error.detach(), batch, own)
        if repa is None:
            return LossTerms(total, meters)
        cosine = self._alignment(batch, watched, own)
        num_tokens = len(point) if watched.rows is None or batch.route is None else len(batch.route.rows)
        total = total - repa.weight * cosine.sum() / num_tokens
        count = torch.tensor(float(len(cosine)), device=cosine.device)
        return LossTerms(total, {**meters, "repa_cosine": Meter(cosine.detach().sum(), count)})

    def finish(self, targets: Iterable[list[Tensor]]) -> None:
        """Nothing depends on the whole data: latents arrive normalised."""

    def export(self) -> tuple[Contents, Mapping[str, Mapping[str, Tensor]]]:
        contents = GeneratorBundle(
            dit=self.config.dit, autoencoder=self._autoencoder_contents.autoencoder, text_encoder=self._text.config,
            sampler=self.config.sampler, size_px=self.size_px,
        )  # fmt: skip
        weights: dict[str, Mapping[str, Tensor]] = {"dit": self.dit.state_dict(), "autoencoder": self._autoencoder.state_dict()}
        return contents, weights if self._text.weights is None else {**weights, WEIGHTS: self._text.weights}

    def generator(self, weights: Mapping[str, Tensor]) -> Generator:
        """What draws with these weights of the transformer, which are not copied."""
        with torch.device("meta"):
            dit = DiT(self.config.dit)
        prefix = "" if self._trained.projector is None else "dit."
        own = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
        dit.load_state_dict(own, assign=True)
        size = ImageSize(self.size_px, self.size_px)
        return Generator(dit, self._autoencoder, self._text.encoder, sampler=self.config.sampler, size=size)

    def _alignment(self, batch: FlowBatch, watched: Watched, own: slice) -> Float[Tensor, " n"]:
        """Cosine of every watched token's projection and what the frozen network sees at its cell."""
        assert self._teacher is not None
        assert self._trained.projector is not None
        cells = batch.data.lengths[:: self.config.num_draws]         # of every target, whose copies lie side by side
        shift = (starts(cells)[batch.target] - starts(batch.data.lengths)).repeat_interleave(batch.data.lengths)
        rows = (torch.arange(len(shift), device=shift.device) + shift)[own]
        here = slice(None) if watched.rows is None else watched.rows
        features = self._teacher(batch.patches)[rows[here]]
        return alignment(self._trained.projector(watched.tokens), features) * batch.learnt[own][here]

    def _seen(self, sample: Drawn) -> tuple[Float[Tensor, "3 _ _"], ...]:
        """References as a text encoder that sees is shown them."""
        if not self._text.sees:
            return ()
        pixels = [decoded[self._reading.read :] for decoded in sample.references]
        return tuple(unfold(each[None], math.isqrt(len(each) // 3))[0] for each in pixels)

    def _route(self, lengths: Int[Tensor, " s"], generators: Sequence[torch.Generator]) -> Route | None:
        routing = self.config.routing
        if routing is None:
            return None
        drawn = [kept_rows(num, routing, generator=each) for num, each in zip(lengths.tolist(), generators, strict=True)]
        return joined(drawn, lengths, routing, depth=self.config.dit.depth)

    def _times(self, target: Tensor, generator: torch.Generator) -> Float[Tensor, " k"]:
        """One for each draw; a target of a set has its own (Chen et al. 2024, arXiv:2407.01392)."""
        shift = shift_at(target[0].numel(), shift=self.config.shift, of_tokens=self.config.shift_tokens)
        return logit_normal_times(
            self.config.num_draws, generator=generator, shift=shift, uniform_share=self.config.uniform_share
        )

    def _shown(self, sample: Drawn) -> "_Shown":
        """What the transformer is given of a sample."""
        config, generator = self.config, torch.Generator().manual_seed(sample.key)
        is_dropped = torch.rand((), generator=generator) < config.text_dropout
        text = sample.told(float(torch.rand((), generator=generator)))
        references = tuple(self._latent(each) for each in sample.references)
        seen = self._seen(sample)
        if config.reference_dropout and torch.rand((), generator=generator) < config.reference_dropout:
            references, seen = (), ()
        tags = frozenset(sample.tags)
        if config.dit.labels and torch.rand((), generator=generator) < config.tag_dropout:
            tags = frozenset()
        labels = torch.tensor([float(label == sample.task or label in tags) for label in config.dit.labels])
        whole = (sample.target, *sample.further)
        return _Shown(
            "" if is_dropped else text, references, tuple(map(self._latent, whole)), tuple(map(self._learnt, whole)),
            tuple(map(self._patches, whole)) if config.repa is not None else (), seen, labels, generator,
        )  # fmt: skip

    def _latent(self, decoded: Tensor) -> Float[Tensor, "c y x"]:
        return decoded[: self.config.dit.latent_channels]

    def _learnt(self, decoded: Tensor) -> Float[Tensor, "1 y x"]:
        channel = self.config.dit.latent_channels
        return decoded[channel : channel + 1] if self.config.masks_defects else torch.ones_like(decoded[:1])

    def _patches(self, decoded: Tensor) -> Float[Tensor, "k y x"]:
        return decoded[self._reading.patches : self._reading.read]


class _Trained(nn.Module):
    """The transformer and what is trained beside it, but is in no bundle."""

    def __init__(self, config: FlowConfig, *, feature_width: int) -> None:
        super().__init__()
        self.dit = DiT(config.dit)
        repa = config.repa
        self.projector = None if repa is None else Projector(config.dit.width, repa.hidden, feature_width)


def _reading(config: FlowConfig) -> RowReading:
    patch_px = 0 if config.repa is None else config.repa.patch_px
    read_px = config.text_encoder.picture_px if isinstance(config.text_encoder, VlmConfig) else 0
    return row_reading(config.dit.latent_channels, masks_defects=config.masks_defects, patch_px=patch_px, read_px=read_px)


class _Shown(NamedTuple):
    """A sample as the transformer is given it, and what draws its randomness."""

    text: str
    references: tuple[Float[Tensor, "c _ _"], ...]
    targets: tuple[Float[Tensor, "c _ _"], ...]
    learnt: tuple[Float[Tensor, "1 _ _"], ...]
    """1 where a target is in the loss."""
    patches: tuple[Float[Tensor, "k _ _"], ...]
    seen: tuple[Float[Tensor, "3 _ _"], ...]
    """References as pictures."""
    labels: Float[Tensor, " l"]
    generator: torch.Generator

    @property
    def indices(self) -> list[int]:
        """Image index of every target."""
        return [target_index(number, len(self.references)) for number in range(len(self.targets))]

    def noise(self, target: Float[Tensor, "c y x"], copies: int) -> Float[Tensor, "m c"]:
        """Of all copies of a target."""
        return torch.randn(copies * target[0].numel(), len(target), generator=self.generator)


def _by_task_and_time(error: Float[Tensor, " _"], batch: FlowBatch, own: slice) -> dict[str, Meter]:
    """Mean squared error per token, of each task and of each quarter of the times; `error` is of the tokens `own`."""
    quarter = (batch.time * NUM_TIME_BINS).long().clamp(max=NUM_TIME_BINS - 1)
    return {
        **_grouped(error, batch.task.repeat_interleave(batch.data.lengths)[own], [f"flow_mse_{task}" for task in TASKS]),
        **_grouped(
            error, quarter.repeat_interleave(batch.data.lengths)[own],
            [f"flow_mse_t{100 * i // NUM_TIME_BINS:02d}" for i in range(NUM_TIME_BINS)],
        ),
    }  # fmt: skip


def _grouped(error: Float[Tensor, " m"], group: Int[Tensor, " m"], names: Sequence[str]) -> dict[str, Meter]:
    zeros = error.new_zeros(len(names))
    sums, counts = zeros.index_add(0, group, error), zeros.index_add(0, group, torch.ones_like(error))
    return {name: Meter(sums[i], counts[i]) for i, name in enumerate(names)}


NUM_TIME_BINS = 4
