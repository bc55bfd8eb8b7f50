"""The bilingual text encoder: what means the same is near, in English, in Chinese and in pictures.

Four losses on the mean of a text's token states, or on the states themselves:

* translation: of all texts in the batch, an English text's Chinese partner is the nearest, and the other way round;
* picture: the same between a picture's features and one text that tells what it shows, in either language (Radford et al. 2021,
  arXiv:2103.00020; for an edit that is the caption of the result, never the instruction);
* teaching: MiniLM's embedding of an English text is found from the student's of that text and of its Chinese partner (Reimers &
  Gurevych 2020, arXiv:2004.09813). Single words of MiniLM's vocabulary are taught as well, so that a word that no caption holds
  lands near those that mean the like;
* token: some tokens are hidden and told from the states around them, others from their own (Devlin et al. 2018,
  arXiv:1810.04805). Without it all states of a text would become its meaning, and the generator could not tell its words apart.

Chinese and English are told apart by Han characters. Selections without Chinese give an encoder of English.

b pictures · f features · p pairs · q lessons · e teacher width · s texts · n tokens · h hidden tokens · k text width
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Ge, Gt
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel
from torch import Tensor, nn
from torch.nn import functional

from models import minilm
from models.bilingual import BilingualConfig, BilingualEncoder, meanings
from models.bundle import Contents, TextBundle
from models.byte_pairs import MASK, START, learnt_merges
from models.context import Context
from models.cost import PER_SAMPLE
from models.minilm import MiniLmEncoder
from models.perception.contrastive import MAX_LOGIT_SCALE, ContrastiveConfig, ContrastiveHead
from models.perception.efficientnet import LiteFeatures
from models.spelling import has_han, normalised
from models.text import ALIGNMENT, WEIGHTS, TextEncoderConfig
from train.objectives.contract import MAIN, Drawn, LossTerms, Meter, ParameterGroup, Phase
from train.objectives.contrastive import decode_features

_TEXTS_AT_ONCE = 64
_TEXT_COPIES = 8
"""How often each training text counts against a single word of the teacher's where the vocabulary is learnt."""
_HIDDEN_SHARE = 0.15
_KEPT_SHARE = 0.5
"""Of the hidden tokens, shown all the same."""

Weight = Annotated[float, Ge(0.0)]


class BilingualObjectiveConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Training of the bilingual encoder."""

    kind: Literal["bilingual"] = "bilingual"
    encoder: BilingualConfig
    """Shape of the encoder."""
    head: ContrastiveConfig
    """Shape of the head that brings pictures and texts together."""
    num_words: Annotated[int, Ge(0)]
    """Most common single words of the teacher's vocabulary that are taught beside the texts; 0 for none."""
    words_per_sample: Annotated[int, Gt(0)]
    """How many of them beside every sample."""
    translation: Weight
    """Weight of the loss between languages."""
    picture: Weight
    """Weight of the loss between texts and pictures."""
    teaching: Weight
    """Weight of the loss towards the teacher."""
    token: Weight
    """Weight of the loss of hidden tokens."""


class TextBatch(NamedTuple):
    """Every distinct text of some samples, packed, and what is known of them; numbers are places among the texts."""

    tokens: Int[Tensor, " n"]
    lengths: Int[Tensor, " s"]
    hidden: Int[Tensor, " h"]
    """Places among the tokens."""
    hidden_tokens: Int[Tensor, " h"]
    """What stands there."""
    english: Int[Tensor, " p"]
    chinese: Int[Tensor, " p"]
    """Their translations."""
    shown: Int[Tensor, " b"]
    """What every picture is told by."""
    features: Float[Tensor, "b f"]
    noise: Float[Tensor, "b f"]
    taught: Int[Tensor, " q"]
    lessons: Float[Tensor, "q e"]
    """What the teacher makes of them."""


class BilingualNetwork(nn.Module):
    """The encoder, and the heads that only training and comparing need."""

    def __init__(self, config: BilingualObjectiveConfig) -> None:
        super().__init__()
        encoder = config.encoder
        self.encoder = BilingualEncoder(encoder)
        self.alignment = ContrastiveHead(config.head, text_width=encoder.text_width)
        self.to_teacher = nn.Linear(encoder.text_width, minilm.TEXT_WIDTH)
        self.to_token = nn.Linear(encoder.text_width, encoder.width, bias=False)
        self.log_scales = nn.Parameter(torch.full((2,), 3.0))
        """Of translation and of teaching."""
        nn.init.normal_(self.encoder.embedding.weight, std=encoder.width**-0.5)


_Part = tuple[Float[Tensor, ""], int]
"""A loss, and over how many it is a mean."""


class _Told(NamedTuple):
    """The texts drawn for a sample."""

    english: str
    chinese: str | None
    shown: str
    words: tuple[str, ...]


class Bilingual:
    """The bilingual encoder's objective."""

    columns: tuple[str, ...] = ("image",)
    unit: Literal["noisy tokens", "pictures"] = "pictures"
    phases: tuple[Phase, ...] = (MAIN,)
    cost = PER_SAMPLE
    blocks: Sequence[nn.Module] = ()
    companions: Sequence[nn.Module] = ()
    text_encoder: TextEncoderConfig | None = None
    max_letters = 0

    def __init__(self, config: BilingualObjectiveConfig) -> None:
        self.config = config
        self.net = BilingualNetwork(config)
        self.decode = partial(decode_features, features=LiteFeatures.load())
        self._lessons: dict[str, Float[Tensor, " e"]] = {}
        self._texts: list[str] = []
        self._words: list[str] = []

    @property
    def network(self) -> nn.Module:
        return self.net

    def groups(self) -> list[ParameterGroup]:
        matrices = [parameter for parameter in self.net.encoder.blocks.parameters() if parameter.dim() == 2]
        inside = {id(matrix) for matrix in matrices}
        rest = [parameter for parameter in self.net.parameters() if id(parameter) not in inside]
        return [ParameterGroup("muon", matrices), ParameterGroup("adamw", rest)]

    def learn_texts(self, texts: Sequence[str]) -> None:
        """Ask the teacher about every English text, and about the words of its own vocabulary."""
        self._texts += texts
        asked = {text for text in texts if not has_han(text)}
        if self.config.num_words and not self._words:
            self._words = minilm.words()[: self.config.num_words]
            asked.update(self._words)
        teacher, missing = MiniLmEncoder.load(), sorted(asked - self._lessons.keys(), key=len)  # like lengths pad little
        for start in range(0, len(missing), _TEXTS_AT_ONCE):
            part = missing[start : start + _TEXTS_AT_ONCE]
            self._lessons.update(zip(part, teacher.pooled(part), strict=True))

    def prepare(self, targets: Iterable[list[Tensor]]) -> None:
        """Learn the vocabulary from the training texts, and take the statistics of the pictures."""
        texts = [normalised(text) for text in self._texts] * _TEXT_COPIES
        self.net.encoder.learn_words(learnt_merges([*texts, *self._words], num_tokens=self.config.encoder.num_tokens))
        self.net.alignment.calibrate(torch.cat([torch.cat(part) for part in targets]))

    def collate(self, drawn: Sequence[Drawn]) -> TextBatch:
        generators = [torch.Generator().manual_seed(sample.key) for sample in drawn]
        told = [self._told(sample, generator) for sample, generator in zip(drawn, generators, strict=True)]
        features = [_view(sample, generator) for sample, generator in zip(drawn, generators, strict=True)]
        noise = [torch.randn(each.shape, generator=generator) for each, generator in zip(features, generators, strict=True)]
        lessons, owners = _lessons_of(told), _owners_of(told, generators)
        place = {text: number for number, text in enumerate(owners)}
        pairs = sorted({(place[each.english], place[each.chinese]) for each in told if each.chinese is not None})
        return TextBatch(
            *self._packed(owners),
            english=torch.tensor([english for english, _ in pairs], dtype=torch.long),
            chinese=torch.tensor([chinese for _, chinese in pairs], dtype=torch.long),
            shown=torch.tensor([place[each.shown] for each in told]), features=torch.stack(features), noise=torch.stack(noise),
            taught=torch.tensor([place[text] for text in lessons]),
            lessons=torch.stack([self._lessons[english] for english in lessons.values()]),
        )  # fmt: skip

    def loss(self, batch: TextBatch, phase: str, context: Context | None = None) -> LossTerms:  # noqa: ARG002  one phase, no tokens
        states = self.net.encoder(batch.tokens, batch.lengths)
        meaning = functional.normalize(meanings(states, batch.lengths), dim=1)
        parts = {
            "translation": self._translation(batch, meaning), "picture": self._picture(batch, meaning),
            "teaching": self._teaching(batch, meaning), "token": self._token(batch, states),
        }  # fmt: skip
        total = sum((getattr(self.config, name) * loss for name, (loss, _) in parts.items()), start=meaning.new_zeros(()))
        meters = {f"text_{name}": Meter.mean(loss, count) for name, (loss, count) in parts.items()}
        return LossTerms(total, meters)

    def finish(self, targets: Iterable[list[Tensor]]) -> None:
        """Nothing is left to do: vocabulary and statistics were taken before the first step."""

    def export(self) -> tuple[Contents, Mapping[str, Mapping[str, Tensor]]]:
        contents = TextBundle(encoder=self.config.encoder, head=self.config.head)
        return contents, {WEIGHTS: self.net.encoder.state_dict(), ALIGNMENT: self.net.alignment.state_dict()}

    def _told(self, sample: Drawn, generator: torch.Generator) -> _Told:
        by_language = [[], []]
        for text, weight in zip(sample.texts, sample.text_weights, strict=True):
            by_language[has_han(text)].append((text, weight))
        all_english, all_chinese = by_language
        all_english = all_english or [(sample.score_text, 1.0)]
        number, other, coin = torch.rand(3, generator=generator).tolist()
        place = _drawn(all_english, number)
        is_level_by_level = len(all_chinese) == len(all_english)
        chinese = all_chinese[place if is_level_by_level else _drawn(all_chinese, other)][0] if all_chinese else None
        english = all_english[place][0]
        is_asked = bool(sample.references) or sample.task == "set"    # texts then are instructions
        shown = sample.score_text if is_asked else chinese if chinese is not None and coin < 0.5 else english
        return _Told(english, chinese, shown, self._some_words(generator))

    def _some_words(self, generator: torch.Generator) -> tuple[str, ...]:
        if not self._words:
            return ()
        places = torch.randint(len(self._words), (self.config.words_per_sample,), generator=generator)
        return tuple(self._words[place] for place in places.tolist())

    def _packed(
        self, owners: Mapping[str, torch.Generator]
    ) -> tuple[Int[Tensor, " n"], Int[Tensor, " s"], Int[Tensor, " h"], Int[Tensor, " h"]]:
        """Tokens with some of them masked, lengths of the texts, places of the hidden tokens, and these tokens."""
        tokens = self.net.encoder.tokens(list(owners))
        lengths = [len(each) for each in tokens]
        draws = [torch.rand(2, length, generator=own) for length, own in zip(lengths, owners.values(), strict=True)]
        hides, keeps = torch.cat(draws, dim=1)
        flat = torch.tensor([token for each in tokens for token in each])
        is_hidden = (hides < _HIDDEN_SHARE) & (flat != START)
        hidden = is_hidden.nonzero()[:, 0]
        masked = torch.where(is_hidden & (keeps >= _KEPT_SHARE), MASK, flat)
        return masked, torch.tensor(lengths), hidden, flat[hidden]

    def _translation(self, batch: TextBatch, meaning: Float[Tensor, "s k"]) -> _Part:
        english, chinese = batch.english, batch.chinese
        is_same = (english[:, None] == english) | (chinese[:, None] == chinese)
        return found_each_other(meaning[english], meaning[chinese], self._scale(0), is_same), len(english)

    def _picture(self, batch: TextBatch, meaning: Float[Tensor, "s k"]) -> _Part:
        head = self.net.alignment
        pictures, texts = head.encode_images(batch.features, noise=batch.noise), head.encode_texts(meaning[batch.shown])
        is_same = batch.shown[:, None] == batch.shown
        return found_each_other(pictures, texts, head.scale(), is_same), len(pictures)

    def _teaching(self, batch: TextBatch, meaning: Float[Tensor, "s k"]) -> _Part:
        learnt = functional.normalize(self.net.to_teacher(meaning[batch.taught]), dim=1)
        is_same = (batch.lessons[:, None] == batch.lessons).all(-1)
        return found_each_other(learnt, batch.lessons, self._scale(1), is_same), len(learnt)

    def _token(self, batch: TextBatch, states: Float[Tensor, "n k"]) -> _Part:
        if not len(batch.hidden):
            return states.new_zeros(()), 0
        table = self.net.encoder.embedding.weight
        read = functional.rms_norm(self.net.to_token(states[batch.hidden]).float(), (table.shape[1],))
        return functional.cross_entropy((read @ table.T).float(), batch.hidden_tokens), len(batch.hidden)

    def _scale(self, number: int) -> Float[Tensor, ""]:
        return self.net.log_scales[number].clamp(max=MAX_LOGIT_SCALE).exp()


def found_each_other(
    ours: Float[Tensor, "p k"], theirs: Float[Tensor, "p k"], scale: Float[Tensor, ""], is_same: Bool[Tensor, "p p"]
) -> Float[Tensor, ""]:
    """Symmetric cross-entropy of each among all of the other side (van den Oord et al. 2018, arXiv:1807.03748, eq. 4); 0 of none.

    Args:
        ours: unit vectors, as `theirs` are; the p-th of both belong together.
        is_same: what is no wrong answer, although it is another row.
    """
    if not len(ours):
        return ours.new_zeros(())
    own = torch.eye(len(ours), dtype=torch.bool, device=ours.device)
    logits = (scale * (ours.float() @ theirs.float().T)).masked_fill(is_same & ~own, -torch.inf)
    answers = torch.arange(len(ours), device=ours.device)
    return (functional.cross_entropy(logits, answers) + functional.cross_entropy(logits.T, answers)) / 2


def _drawn(weighted: Sequence[tuple[str, float]], number: float) -> int:
    """The place at `number` in [0, 1) of the cumulated weights."""
    reached, total = 0.0, sum(weight for _, weight in weighted)
    for place, (_, weight) in enumerate(weighted):
        reached += weight
        if number * total < reached:
            return place
    return len(weighted) - 1


def _view(sample: Drawn, generator: torch.Generator) -> Float[Tensor, " f"]:
    return sample.target[int(torch.randint(len(sample.target), (), generator=generator))]


def _owners_of(told: Sequence[_Told], generators: Sequence[torch.Generator]) -> dict[str, torch.Generator]:
    """Every distinct text, with the generator of the first sample that was told it."""
    owners: dict[str, torch.Generator] = {}
    for each, generator in zip(told, generators, strict=True):
        for text in (each.english, each.chinese, each.shown, *each.words):
            if text is not None:
                owners.setdefault(text, generator)
    return owners


def _lessons_of(told: Sequence[_Told]) -> dict[str, str]:
    """The English text whose embedding each text is taught by."""
    lessons: dict[str, str] = {}
    for each in told:
        for text in (each.english, *each.words):
            lessons[text] = text
        if not has_han(each.shown):
            lessons[each.shown] = each.shown
        if each.chinese is not None:
            lessons[each.chinese] = each.english
    return lessons
