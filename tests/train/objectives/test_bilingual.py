"""The bilingual objective: what is paired with what, and that it brings languages and pictures together."""

import pytest
import torch
from tiny_text import TINY

from models.byte_pairs import MASK, START
from models.perception.contrastive import ContrastiveConfig
from train.objectives.bilingual import Bilingual, BilingualObjectiveConfig, TextBatch, found_each_other
from train.objectives.contract import Drawn

CONFIG = BilingualObjectiveConfig(
    encoder=TINY, head=ContrastiveConfig(width=16, text_hidden=16, image_noise=0.0), num_words=0, words_per_sample=3,
    translation=1.0, picture=1.0, teaching=1.0, token=0.5,
)  # fmt: skip
NAMES = {"a dog": "狗", "a red apple": "红苹果", "a blue car": "蓝色汽车", "a tall tree": "大树"}


def shown(english: str, chinese: str, *, key: int = 1) -> Drawn:
    features = torch.randn(2, 1280, generator=torch.Generator().manual_seed(sum(map(ord, english))))
    return Drawn(
        key=key, task="t2i", texts=(english, chinese), text_weights=(0.7, 0.3), score_text=english, target=features, references=()
    )


def edited(english: str, chinese: str, result: str) -> Drawn:
    return shown(english, chinese)._replace(task="edit", score_text=result, references=(torch.zeros(2, 1280),))


def learnt(samples: list[Drawn], config: BilingualObjectiveConfig = CONFIG) -> Bilingual:
    torch.manual_seed(0)
    objective = Bilingual(config)
    objective.learn_texts(sorted({text for sample in samples for text in (*sample.texts, sample.score_text)}))
    objective.prepare([[sample.target for sample in samples]])
    return objective


@pytest.fixture(scope="module")
def samples() -> list[Drawn]:
    return [shown(english, chinese) for english, chinese in NAMES.items()]


def texts_of(batch: TextBatch, objective: Bilingual) -> list[list[int]]:
    """The tokens of every text, hidden ones put back."""
    whole = batch.tokens.index_copy(0, batch.hidden, batch.hidden_tokens)
    return [part.tolist() for part in whole.split(batch.lengths.tolist())]


def test_translations_are_of_one_sample_and_equal_texts_come_once(samples: list[Drawn]) -> None:
    objective = learnt(samples)
    batch = objective.collate([*samples, samples[0]._replace(key=2)])
    texts = texts_of(batch, objective)
    known = [objective.net.encoder.tokens([english, chinese]) for english, chinese in NAMES.items()]
    pairs = [[texts[english], texts[chinese]] for english, chinese in zip(batch.english, batch.chinese, strict=True)]
    assert sorted(pairs) == sorted(known)
    assert len(batch.lengths) == 2 * len(NAMES)
    assert len(batch.features) == len(NAMES) + 1


def test_an_edit_is_shown_by_what_its_result_is_never_by_the_instruction() -> None:
    samples = [edited("make it red", "变成红色", "a red car"), edited("mirror it", "左右翻转", "a car")]
    objective = learnt(samples)
    batch = objective.collate(samples)
    texts = texts_of(batch, objective)
    assert [texts[place] for place in batch.shown] == objective.net.encoder.tokens(["a red car", "a car"])


def test_chinese_is_taught_by_the_teachers_view_of_its_english(samples: list[Drawn]) -> None:
    objective = learnt(samples)
    batch = objective.collate(samples[:1])
    place = {tuple(tokens): number for number, tokens in enumerate(texts_of(batch, objective))}
    english, chinese = (place[tuple(tokens)] for tokens in objective.net.encoder.tokens(["a dog", "狗"]))
    lessons = dict(zip(batch.taught.tolist(), batch.lessons, strict=True))
    assert torch.equal(lessons[english], lessons[chinese])


def test_levels_are_paired_one_by_one() -> None:
    weights = (0.35, 0.35, 0.15, 0.15)
    sample = shown("dog", "")._replace(texts=("dog", "a dog.", "狗", "一只狗。"), text_weights=weights)
    objective = learnt([sample])
    expected = [objective.net.encoder.tokens(pair) for pair in (["dog", "狗"], ["a dog.", "一只狗。"])]
    found = []
    for key in range(20):
        batch = objective.collate([sample._replace(key=key)])
        texts = texts_of(batch, objective)
        found.append([texts[batch.english[0]], texts[batch.chinese[0]]])
    assert all(pair in expected for pair in found)
    assert all(pair in found for pair in expected)


def test_draws_of_a_sample_do_not_depend_on_its_neighbours(samples: list[Drawn]) -> None:
    objective = learnt(samples)
    together = objective.collate(samples)
    alone = [objective.collate([sample]) for sample in samples]
    assert torch.equal(together.tokens, torch.cat([batch.tokens for batch in alone]))
    assert torch.equal(together.noise, torch.cat([batch.noise for batch in alone]))


def test_some_tokens_are_hidden_some_of_them_masked_and_the_start_never(samples: list[Drawn]) -> None:
    objective = learnt(samples)
    batches = [objective.collate([sample._replace(key=key) for sample in samples]) for key in range(40)]
    hidden = torch.cat([batch.hidden_tokens for batch in batches])
    there = torch.cat([batch.tokens[batch.hidden] for batch in batches])
    assert START not in hidden
    assert 0.3 < (there == MASK).float().mean() < 0.7
    assert (there[there != MASK] == hidden[there != MASK]).all()
    assert 0.1 < len(hidden) / sum(int((batch.tokens != START).sum()) for batch in batches) < 0.2


def test_words_of_the_teacher_are_taught_beside_every_sample(samples: list[Drawn]) -> None:
    objective = learnt(samples, CONFIG.model_copy(update={"num_words": 90}))
    batch = objective.collate([sample._replace(key=key) for key, sample in enumerate(samples)])
    assert len(batch.taught) == len({*batch.taught.tolist()}) > 2 * len(samples) + 6
    torch.testing.assert_close(batch.lessons.norm(dim=1), torch.ones(len(batch.lessons)))


def test_without_chinese_it_learns_english() -> None:
    samples = [shown(english, "")._replace(texts=(english,), text_weights=(1.0,)) for english in NAMES]
    objective = learnt(samples)
    terms = objective.loss(objective.collate(samples), "main")
    terms.total.backward()
    assert terms.meters["text_translation"].count == 0
    assert torch.isfinite(terms.total)


@pytest.fixture(scope="module")
def trained(samples: list[Drawn]) -> Bilingual:
    objective = learnt(samples)
    optimizer = torch.optim.Adam(objective.network.parameters(), lr=1e-2)
    for key in range(60):
        optimizer.zero_grad()
        objective.loss(objective.collate([sample._replace(key=key) for sample in samples]), "main").total.backward()
        optimizer.step()
    objective.net.eval()
    return objective


def test_languages_and_pictures_come_together(trained: Bilingual, samples: list[Drawn]) -> None:
    encoder, head = trained.net.encoder, trained.net.alignment
    english, chinese = (torch.stack([each.mean(0) for each in encoder.encode(list(texts))]) for texts in (NAMES, NAMES.values()))
    nearest = torch.nn.functional.cosine_similarity(english[:, None], chinese[None], dim=-1).argmax(1)
    assert nearest.tolist() == list(range(len(NAMES)))
    pictures = head.encode_images(torch.stack([sample.target[0] for sample in samples]))
    for texts in (english, chinese):
        told = head.encode_texts(torch.nn.functional.normalize(texts, dim=1))
        assert (told @ pictures.T).argmax(1).tolist() == list(range(len(NAMES)))


@torch.no_grad()
def test_hidden_tokens_are_told_better_than_before(trained: Bilingual, samples: list[Drawn]) -> None:
    batches = [trained.collate([sample._replace(key=1000 + key) for sample in samples]) for key in range(20)]
    blank = learnt(samples)
    before, after = (sum(each.loss(batch, "main").meters["text_token"].sum for batch in batches) for each in (blank, trained))
    assert after < 0.7 * before


def test_what_is_the_same_is_no_wrong_answer() -> None:
    ours = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    ours[1] = ours[0]
    apart, same = torch.eye(3, dtype=torch.bool), torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    scale = torch.tensor(20.0)
    assert found_each_other(ours, ours, scale, same) < found_each_other(ours, ours, scale, apart) - 0.3
    assert found_each_other(ours[:0], ours[:0], scale, same[:0, :0]) == 0


def test_the_bundle_holds_the_encoder_with_its_words_and_the_head(samples: list[Drawn]) -> None:
    objective = learnt(samples)
    contents, weights = objective.export()
    assert contents.kind == "text"
    assert set(weights) == {"text", "alignment"}
    assert torch.equal(weights["text"]["merges"], objective.net.encoder.get_buffer("merges"))
