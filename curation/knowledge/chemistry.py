"""Structural formulas of compounds: drawn by RDKit from SMILES, named after the `chemicals` table.

The tables of `chemicals` are located and read as files: importing the package pulls in pandas.
Names in Chinese are given for common compounds; others keep their English name in Chinese captions.
"""

import io
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import yaml
from PIL import Image, ImageDraw
from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from curation.captions import english
from curation.captions.vocabulary import Words
from curation.knowledge.draws import draws
from curation.knowledge.fonts import FONTS, Language, loaded, missing_glyphs, pick_font
from curation.knowledge.sample import Captions, Element, Fact, KnowledgeSample, Truth, load_of

FAMOUS_SHARE = 0.5
"""Share of pictures that show a compound with a Chinese name."""
MOST_HEAVY_ATOMS = 40
SIZES_PX: tuple[tuple[int, int], ...] = ((256, 256), (320, 256), (384, 384), (512, 384), (512, 512))
ATTRIBUTION = "names and SMILES: chemicals (Caleb Bell), MIT licence, after PubChem; drawn by RDKit (BSD-3-Clause)"

_GROUPS: tuple[tuple[str, Words], ...] = (
    ("C(=O)[OX2H1]", Words("carboxylic acid", "羧基")), ("[CX3H1](=O)[#6]", Words("aldehyde", "醛基")),
    ("[#6][CX3](=O)[#6]", Words("ketone", "酮羰基")), ("C(=O)O[#6]", Words("ester", "酯基")), ("C(=O)N", Words("amide", "酰胺基")),
    ("[OX2H][CX4]", Words("hydroxyl", "醇羟基")), ("[OX2H]c", Words("phenol hydroxyl", "酚羟基")),
    ("[NX3;H2,H1;!$(NC=O)]", Words("amine", "氨基")), ("[NX3+](=O)[O-]", Words("nitro", "硝基")), ("C#N", Words("nitrile", "氰基")),
    ("[F,Cl,Br,I]", Words("halogen", "卤素")), ("[SX2H]", Words("thiol", "巯基")), ("[OD2]([#6;!$(C=O)])[#6;!$(C=O)]", Words("ether", "醚键")),
)  # fmt: skip


class Compound(NamedTuple):
    """One compound."""

    name: Words
    smiles: str
    formula: str
    weight: float


class _Look(NamedTuple):
    size_px: tuple[int, int]
    is_coloured: bool
    is_dark: bool
    is_labelled: bool
    language: Language


def draw(seed: int, index: int) -> KnowledgeSample:
    """One structure, with its name below it or without."""
    stream = draws("chemistry", seed, index)
    compound = stream.choice(_named() if stream.random() < FAMOUS_SHARE else compounds())
    look = _Look(
        stream.choice(SIZES_PX), stream.random() < 0.7, stream.random() < 0.2, stream.random() < 0.5,
        stream.choice(("en", "zh")) if compound.name.zh != compound.name.en else "en",
    )  # fmt: skip
    image, elements = _picture(stream, compound, look)
    molecule = _molecule(compound.smiles)
    return KnowledgeSample(
        id=f"chemistry/{seed}/{index}",
        pixels=np.asarray(image),
        captions_en=_captions_en(compound, molecule, look),
        captions_zh=_captions_zh(compound, molecule, look),
        truth=Truth(elements=elements, facts=_facts(compound, molecule)),
        load=load_of(elements, width_px=image.width, height_px=image.height)._replace(
            num_elements=molecule.GetNumAtoms(), num_characters=sum(atom.GetSymbol() != "C" for atom in molecule.GetAtoms())
        ),
        concept=f"compound/{compound.name.en}",
        leaf="chemistry/structural_formula",
        licence="CC0-1.0",
        attribution=ATTRIBUTION,
    )


@cache
def compounds() -> tuple[Compound, ...]:
    """Compounds that RDKit reads, of one piece and at most `MOST_HEAVY_ATOMS` atoms, by name.

    All of the smaller table, and from the larger one those with a Chinese name.
    """
    found = {compound.name.en: compound for compound in (*_listed("large", _chinese_names()), *_listed("small", None))}
    return tuple(found[name] for name in sorted(found))


def _listed(table: str, wanted: Mapping[str, str] | None) -> Iterator[Compound]:
    """Compounds of one table of the package; columns: id, CAS, formula, weight, SMILES, InChI, key, IUPAC name, names."""
    file = distribution("chemicals").locate_file(f"chemicals/Identifiers/chemical identifiers pubchem {table}.tsv")
    for line in Path(str(file)).read_text(encoding="utf-8").splitlines():
        _, _, formula, weight, smiles, _, _, *names = line.split("\t", 9)[:9]
        name = names[-1]
        is_number = not name.replace("-", "").strip("0123456789")
        if "." in smiles or is_number or name.endswith("-") or (wanted is not None and name not in wanted):
            continue
        with rdBase.BlockLogs():  # of molecules that RDKit refuses: they are left out
            molecule = Chem.MolFromSmiles(smiles)
        if molecule is not None and 2 <= molecule.GetNumAtoms() <= MOST_HEAVY_ATOMS:
            yield Compound(Words(name, _chinese_names().get(name, name)), smiles, formula, float(weight))


@cache
def _named() -> tuple[Compound, ...]:
    return tuple(compound for compound in compounds() if compound.name.zh != compound.name.en)


@cache
def _chinese_names() -> Mapping[str, str]:
    return yaml.safe_load(Path(__file__).with_name("compound_names.yaml").read_text(encoding="utf-8"))


def _molecule(smiles: str) -> Chem.Mol:
    molecule = Chem.MolFromSmiles(smiles)
    assert molecule is not None, smiles
    return molecule


def _picture(stream: Random, compound: Compound, look: _Look) -> tuple[Image.Image, tuple[Element, ...]]:
    width, height = look.size_px
    label_px = height // 6 if look.is_labelled else 0
    molecule = _molecule(compound.smiles)
    rdDepictor.Compute2DCoords(molecule)
    drawer = rdMolDraw2D.MolDraw2DCairo(width, height - label_px)
    options = drawer.drawOptions()
    if look.is_dark:
        rdMolDraw2D.SetDarkMode(drawer)
    elif not look.is_coloured:
        options.useBWAtomPalette()
    options.rotate = stream.choice((0, 0, 30, 90, 180, 270))
    options.padding = 0.1
    options.bondLineWidth = stream.choice((1.5, 2.0, 2.5))
    drawer.DrawMolecule(rdMolDraw2D.PrepareMolForDrawing(molecule, addChiralHs=False))
    drawer.FinishDrawing()
    image = Image.new("RGB", look.size_px, (0, 0, 0) if look.is_dark else (255, 255, 255))
    image.paste(Image.open(io.BytesIO(drawer.GetDrawingText())).convert("RGB"), (0, 0))
    structure = Element(kind="structure", text=compound.smiles, box=(0, 0, width, height - label_px))
    return image, (structure, *([_label(stream, image, compound, look, label_px)] if look.is_labelled else ()))


def _label(stream: Random, image: Image.Image, compound: Compound, look: _Look, label_px: int) -> Element:
    text = english.capitalised(compound.name.en) if look.language == "en" else compound.name.zh
    font = pick_font(stream, look.language, "body")
    font = font if not missing_glyphs(font, text) else FONTS[0]
    size_px = round(label_px * 0.5)
    while size_px > 9 and loaded(font, size_px).getlength(text) > image.width * 0.94:
        size_px -= 1
    at = (image.width / 2, image.height - label_px / 2)
    pen = ImageDraw.Draw(image)
    ink = (235, 235, 235) if look.is_dark else (25, 25, 28)
    pen.text(at, text, fill=ink, font=loaded(font, size_px), anchor="mm")
    return Element(kind="text", text=text, box=pen.textbbox(at, text, font=loaded(font, size_px), anchor="mm"))


def functional_groups(molecule: Chem.Mol) -> tuple[Words, ...]:
    """The functional groups that a molecule has, in a fixed order."""
    return tuple(words for pattern, words in _GROUPS if molecule.HasSubstructMatch(_pattern(pattern)))


@cache
def _pattern(smarts: str) -> Chem.Mol:
    return Chem.MolFromSmarts(smarts)


def _facts(compound: Compound, molecule: Chem.Mol) -> tuple[Fact, ...]:
    return (
        Fact(name="smiles", value=compound.smiles), Fact(name="formula", value=compound.formula),
        Fact(name="rings", value=molecule.GetRingInfo().NumRings()), Fact(name="weight", value=compound.weight),
    )  # fmt: skip


def _captions_en(compound: Compound, molecule: Chem.Mol, look: _Look) -> Captions:
    rings = molecule.GetRingInfo().NumRings()
    has_rings = "without rings" if rings == 0 else "with one ring" if rings == 1 else f"with {rings} rings"
    groups = functional_groups(molecule)
    listed = f" It has these functional groups: {', '.join(group.en for group in groups)}." if groups else ""
    colours = "in colour" if look.is_coloured or look.is_dark else "in black"
    ground = "black" if look.is_dark else "white"
    text = english.capitalised(compound.name.en) if look.language == "en" else compound.name.zh
    label = f', with the name "{text}" below it' if look.is_labelled else ""
    return Captions(
        f"chemical structure of {compound.name.en}",
        f"The skeletal formula of {compound.name.en}, {compound.formula}, {has_rings}.",
        f"The skeletal formula of {compound.name.en}, {compound.formula}, {has_rings}, drawn {colours} on {ground}{label}.{listed}",
    )


def _captions_zh(compound: Compound, molecule: Chem.Mol, look: _Look) -> Captions:
    rings = molecule.GetRingInfo().NumRings()
    has_rings = "不含环" if rings == 0 else f"含{rings}个环"
    groups = functional_groups(molecule)
    listed = f"官能团有{'、'.join(group.zh for group in groups)}。" if groups else ""
    ground, colours = ("黑" if look.is_dark else "白"), ("彩色" if look.is_coloured or look.is_dark else "黑色")
    text = english.capitalised(compound.name.en) if look.language == "en" else compound.name.zh
    label = f"，下方写有名称“{text}”" if look.is_labelled else ""
    return Captions(
        f"{compound.name.zh}的化学结构式",
        f"{compound.name.zh}（{compound.formula}）的键线式，{has_rings}。",
        f"{ground}色背景上{colours}的{compound.name.zh}（{compound.formula}）键线式，{has_rings}{label}。{listed}",
    )
