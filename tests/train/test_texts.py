"""Which encoder a generator is trained with."""

from pathlib import Path

import pytest
import torch
from run_fit import work
from tiny_fit import changed, prepare, tiny_fit
from tiny_text import TINY, write_text_bundle

from models.bundle import BundleError, read_manifest
from models.generate import Generator
from models.minilm import MINILM
from models.requests import Request
from train.objectives.flow import Flow, FlowConfig, UnfitTextEncoder
from train.texts import FittedText, TextStates, config_of, parents_of


def test_a_text_is_encoded_once_and_states_come_in_order(tmp_path: Path) -> None:
    write_text_bundle(tmp_path / "text")
    states = TextStates(FittedText(bundle=str(tmp_path / "text")))
    states.learn(["make it red"])
    first = states(["make it red", "", "make it red"], [()] * 3)
    assert first[0] is first[2]
    assert states([""], [()])[0] is first[1]
    assert [len(each) for each in first] == [len(each) for each in states.encoder.encode(["make it red", "", "make it red"])]


def test_a_bundle_of_another_kind_is_refused(tmp_path: Path) -> None:
    autoencoder = tiny_fit(tmp_path).objective
    assert isinstance(autoencoder, FlowConfig)
    with pytest.raises(BundleError, match="is of kind 'autoencoder', expected 'text'"):
        config_of(FittedText(bundle=autoencoder.autoencoder))


def test_lineage_names_the_fitted_encoder_and_not_the_packaged_one(tmp_path: Path) -> None:
    manifest = write_text_bundle(tmp_path / "text")
    assert parents_of(FittedText(bundle=str(tmp_path / "text"))) == (manifest.digest,)
    assert parents_of(MINILM) == ()


def test_states_of_another_width_than_the_transformer_reads_are_refused(tmp_path: Path) -> None:
    write_text_bundle(tmp_path / "text")
    config = changed(tiny_fit(tmp_path), objective={"text_encoder": FittedText(bundle=str(tmp_path / "text")).model_dump()})
    assert isinstance(config.objective, FlowConfig)
    with pytest.raises(UnfitTextEncoder, match=r"text_width=384, but the text encoder \(fitted\) gives states of 24 channels"):
        Flow(config.objective)


def test_a_generator_carries_the_encoder_that_it_was_trained_with(tmp_path: Path) -> None:
    write_text_bundle(tmp_path / "text")
    config = tiny_fit(tmp_path)
    assert isinstance(config.objective, FlowConfig)
    dit = {**config.objective.dit.model_dump(), "text_width": TINY.text_width}
    source = FittedText(bundle=str(tmp_path / "text")).model_dump()
    folder = prepare(tmp_path / "run", changed(config, objective={"dit": dit, "text_encoder": source}))
    work(0, 1, tmp_path, [folder])
    manifest = read_manifest(folder / "bundle")
    assert set(manifest.files) == {"dit.safetensors", "autoencoder.safetensors", "text.safetensors"}
    generator = Generator.load(folder / "bundle")
    size = generator.default_size
    english, chinese = (generator.finish(generator.start([Request(text, (), 0, size)]))[0] for text in ("apple", "苹果"))
    assert english.shape == chinese.shape == (3, *size)
    expected = TextStates(FittedText(bundle=str(tmp_path / "text"))).encoder.encode(["苹果"])[0]
    torch.testing.assert_close(generator.text_encoder.encode(["苹果"])[0], expected)
