import pytest
import sympy

from curation.knowledge.draws import draws
from curation.knowledge.formula_grammar import FAMILIES, Formula, polynomial
from curation.knowledge.formulas import famous_formulas, ink_mask

MATHTEXT_FONTS = ("cm", "dejavuserif")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_family_states_truths(family):
    """Checked by sympy, which knows nothing of how the right-hand sides were computed."""
    names = {name: getattr(sympy, name) for name in dir(sympy) if not name.startswith("_")}
    names |= {name: sympy.symbols(name) for name in "xynk"}
    for index in range(12):
        formula = family(draws(family.__name__, 0, index))
        for claim in formula.claim.split("; "):
            value = sympy.parse_expr(claim, local_dict=names)
            assert sympy.simplify(value) == 0, (formula.latex, claim)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_numbers_of_the_claim_are_those_of_the_latex(family):
    """Two draws that differ in their claim differ in what is shown."""
    formulas = [family(draws(family.__name__, 0, index)) for index in range(30)]
    assert len({formula.claim for formula in formulas}) > 4
    assert len({formula.latex for formula in formulas}) >= len({formula.claim for formula in formulas})


def test_there_are_many_famous_formulas_with_two_names_each():
    formulas = famous_formulas()
    assert len(formulas) >= 80
    assert len({formula.latex for formula in formulas}) == len(formulas)
    assert all(formula.en.isascii() or "–" in formula.en or "è" in formula.en or "ö" in formula.en for formula in formulas)
    assert all(any("\u4e00" <= character <= "\u9fff" for character in formula.zh) for formula in formulas)


@pytest.mark.parametrize("formula", famous_formulas(), ids=lambda formula: formula.en)
def test_famous_formulas_can_be_set(formula: Formula):
    mask = ink_mask(formula, "", 24)
    assert mask.max() == 255
    assert mask.shape[1] > 24


@pytest.mark.parametrize("font", MATHTEXT_FONTS)
def test_single_lines_can_be_set_in_several_fonts(font):
    formula = next(formula for formula in famous_formulas() if formula.en == "Gaussian integral")
    assert ink_mask(formula, font, 24).shape != ink_mask(formula, "", 24).shape


def test_aligned_lines_stand_below_each_other():
    two = Formula(("a &= b + c", "&= d"), "", "", "", "", "")
    one = Formula(("a = b + c",), "", "", "", "", "")
    assert ink_mask(two, "", 40).shape[0] > 1.8 * ink_mask(one, "", 40).shape[0]


def test_polynomials_are_written_as_people_write_them():
    assert polynomial((1, -5, 6)) == "x^{2} - 5x + 6"
    assert polynomial((-1, 0, 1)) == "-x^{2} + 1"
    assert polynomial((0, 0)) == "0"
