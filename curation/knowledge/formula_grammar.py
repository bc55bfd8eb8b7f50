"""Formulas that are true: families of templates whose numbers are drawn and whose right-hand sides are computed.

A random walk over LaTeX tokens would teach nonsense. Each family states, beside its LaTeX, a `claim`: an expression in sympy's
syntax that equals zero exactly when the formula holds, so that the truth of a drawn formula can be checked by a machine.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from random import Random
from typing import NamedTuple


class Formula(NamedTuple):
    """One formula with its names."""

    lines: tuple[str, ...]
    """LaTeX; several lines are aligned at ``&``."""
    en: str
    """Noun phrase without article: "definite integral of a power"."""
    zh: str
    leaf: str
    claim: str
    """sympy expressions that are zero when the formula is true, joined by "; "."""
    family: str

    @property
    def latex(self) -> str:
        """The whole formula as one LaTeX expression."""
        if len(self.lines) == 1:
            return self.lines[0]
        return r"\begin{aligned} " + r" \\ ".join(self.lines) + r" \end{aligned}"


def fraction(value: Fraction) -> str:
    """A number as LaTeX: an integer, or a fraction with its sign in front."""
    if value.denominator == 1:
        return str(value.numerator)
    return f"{'-' if value < 0 else ''}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def polynomial(coefficients: Sequence[int], variable: str = "x") -> str:
    """LaTeX of a polynomial from its coefficients, highest power first."""
    degree = len(coefficients) - 1
    terms: list[str] = []
    for power, coefficient in zip(range(degree, -1, -1), coefficients, strict=True):
        if coefficient == 0:
            continue
        size = abs(coefficient)
        body = "" if power == 0 else variable if power == 1 else f"{variable}^{{{power}}}"
        number = str(size) if size != 1 or not body else ""
        sign = ("-" if coefficient < 0 else "") if not terms else (" - " if coefficient < 0 else " + ")
        terms.append(f"{sign}{number}{body}")
    return "".join(terms) or "0"


def _plain(coefficients: Sequence[int]) -> str:
    degree = len(coefficients) - 1
    return " + ".join(f"({value})*x**{degree - place}" for place, value in enumerate(coefficients))


def _nonzero(stream: Random, least: int, most: int) -> int:
    return stream.choice([value for value in range(least, most + 1) if value])


def _matrix(rows: Sequence[Sequence[object]], kind: str = "pmatrix") -> str:
    body = r" \\ ".join(" & ".join(str(entry) for entry in row) for row in rows)
    return rf"\begin{{{kind}}} {body} \end{{{kind}}}"


def _quadratic(stream: Random) -> Formula:
    first, second = _nonzero(stream, -9, 9), _nonzero(stream, -9, 9)
    coefficients = (1, -(first + second), first * second)
    roots = sorted({first, second})
    solution = rf"x = {roots[0]}" if len(roots) == 1 else rf"x_1 = {roots[0]},\; x_2 = {roots[1]}"
    claim = "; ".join(f"({_plain(coefficients)}).subs(x, {root})" for root in roots)
    line = rf"{polynomial(coefficients)} = 0 \;\Rightarrow\; {solution}"
    return Formula(
        (line,), "quadratic equation with its solution", "一元二次方程及其解", "mathematics/algebra", claim, "quadratic"
    )


def _definite_integral(stream: Random) -> Formula:
    power, scale = stream.randint(1, 5), stream.randint(1, 6)
    low = stream.randint(-2, 2)
    high = low + stream.randint(1, 4)
    value = Fraction(scale * (high ** (power + 1) - low ** (power + 1)), power + 1)
    line = rf"\int_{{{low}}}^{{{high}}} {polynomial([scale] + [0] * power)} \, dx = {fraction(value)}"
    claim = f"integrate({scale}*x**{power}, (x, {low}, {high})) - Rational('{value}')"
    return Formula((line,), "definite integral of a power", "幂函数的定积分", "mathematics/calculus", claim, "definite_integral")


def _antiderivative(stream: Random) -> Formula:
    a = stream.randint(2, 9)
    left, right, integrand, result = stream.choice([
        (rf"e^{{{a}x}}", rf"\frac{{e^{{{a}x}}}}{{{a}}}", f"exp({a}*x)", f"exp({a}*x)/{a}"),
        (rf"\sin({a}x)", rf"-\frac{{\cos({a}x)}}{{{a}}}", f"sin({a}*x)", f"-cos({a}*x)/{a}"),
        (rf"\cos({a}x)", rf"\frac{{\sin({a}x)}}{{{a}}}", f"cos({a}*x)", f"sin({a}*x)/{a}"),
        (rf"\frac{{1}}{{x^2 + {a * a}}}", rf"\frac{{1}}{{{a}}} \arctan\frac{{x}}{{{a}}}", f"1/(x**2+{a * a})", f"atan(x/{a})/{a}"),
        (rf"x^{{{a}}}", rf"\frac{{x^{{{a + 1}}}}}{{{a + 1}}}", f"x**{a}", f"x**{a + 1}/{a + 1}"),
        (rf"x e^{{{a}x}}", rf"\frac{{({a}x - 1) e^{{{a}x}}}}{{{a * a}}}", f"x*exp({a}*x)", f"({a}*x-1)*exp({a}*x)/{a * a}"),
    ])  # fmt: skip
    line = rf"\int {left} \, dx = {right} + C"
    return Formula(
        (line,), "indefinite integral", "不定积分", "mathematics/calculus", f"diff({result}, x) - ({integrand})", "antiderivative"
    )


def _derivative(stream: Random) -> Formula:
    a, n = stream.randint(2, 9), stream.randint(2, 6)
    left, right, plain, result = stream.choice([
        (rf"\sin({a}x)", rf"{a}\cos({a}x)", f"sin({a}*x)", f"{a}*cos({a}*x)"),
        (rf"\ln(x^{{{n}}} + {a})", rf"\frac{{{n}{_power(n - 1)}}}{{x^{{{n}}} + {a}}}", f"log(x**{n}+{a})", f"{n}*x**{n - 1}/(x**{n}+{a})"),
        (rf"x^{{{n}}} e^{{x}}", rf"({n} + x) {_power(n - 1)} e^{{x}}", f"x**{n}*exp(x)", f"({n}+x)*x**{n - 1}*exp(x)"),
        (rf"\sqrt{{x^2 + {a}}}", rf"\frac{{x}}{{\sqrt{{x^2 + {a}}}}}", f"sqrt(x**2+{a})", f"x/sqrt(x**2+{a})"),
        (rf"\frac{{1}}{{x^{{{n}}}}}", rf"-\frac{{{n}}}{{x^{{{n + 1}}}}}", f"x**(-{n})", f"-{n}*x**(-{n + 1})"),
    ])  # fmt: skip
    line = rf"\frac{{d}}{{dx}} \left[ {left} \right] = {right}"
    return Formula((line,), "derivative", "导数", "mathematics/calculus", f"diff({plain}, x) - ({result})", "derivative")


def _power(exponent: int) -> str:
    return "x" if exponent == 1 else f"x^{{{exponent}}}"


def _finite_sum(stream: Random) -> Formula:
    power, last = stream.randint(1, 3), stream.randint(4, 30)
    value = sum(k**power for k in range(1, last + 1))
    body = "k" if power == 1 else f"k^{{{power}}}"
    line = rf"\sum_{{k=1}}^{{{last}}} {body} = {value}"
    claim = f"summation(k**{power}, (k, 1, {last})) - {value}"
    return Formula((line,), "finite sum of powers", "幂的有限和", "mathematics/algebra", claim, "finite_sum")


def _geometric_series(stream: Random) -> Formula:
    base = stream.randint(2, 9)
    top = stream.randint(1, base - 1)
    ratio = Fraction(top, base)
    value = 1 / (1 - ratio)
    inner = rf"\frac{{{ratio.numerator}}}{{{ratio.denominator}}}"
    line = rf"\sum_{{n=0}}^{{\infty}} \left( {inner} \right)^{{n}} = \frac{{1}}{{1 - {inner}}} = {fraction(value)}"
    claim = f"1/(1 - Rational('{ratio}')) - Rational('{value}')"
    return Formula((line,), "geometric series", "等比级数", "mathematics/calculus", claim, "geometric_series")


def _limit(stream: Random) -> Formula:
    a, b = stream.randint(1, 9), stream.randint(2, 9)
    squared = stream.randint(2, 9)
    left, right, claim = stream.choice([
        (rf"\lim_{{x \to 0}} \frac{{\sin({b}x)}}{{{a if a > 1 else ''}x}}", fraction(Fraction(b, a)), f"limit(sin({b}*x)/({a}*x), x, 0) - Rational({b}, {a})"),
        (rf"\lim_{{x \to {squared}}} \frac{{x^2 - {squared**2}}}{{x - {squared}}}", str(2 * squared), f"limit((x**2-{squared**2})/(x-{squared}), x, {squared}) - {2 * squared}"),
        (rf"\lim_{{n \to \infty}} \left( 1 + \frac{{{b}}}{{n}} \right)^{{n}}", f"e^{{{b}}}", f"limit((1+{b}/n)**n, n, oo) - exp({b})"),
        (rf"\lim_{{x \to \infty}} \frac{{{b}x^2 + x}}{{{squared}x^2 - 1}}", fraction(Fraction(b, squared)), f"limit(({b}*x**2+x)/({squared}*x**2-1), x, oo) - Rational({b}, {squared})"),
    ])  # fmt: skip
    return Formula((f"{left} = {right}",), "limit", "极限", "mathematics/calculus", claim, "limit")


def _matrix_product(stream: Random) -> Formula:
    size, columns = stream.choice([(2, 2), (2, 1), (3, 1), (3, 3)])
    left = [[stream.randint(-5, 9) for _ in range(size)] for _ in range(size)]
    right = [[stream.randint(-5, 9) for _ in range(columns)] for _ in range(size)]
    product = [[sum(a * row[c] for a, row in zip(line, right, strict=True)) for c in range(columns)] for line in left]
    kind = stream.choice(("pmatrix", "bmatrix"))
    line = f"{_matrix(left, kind)} {_matrix(right, kind)} = {_matrix(product, kind)}"
    claim = f"(Matrix({left})*Matrix({right}) - Matrix({product})).norm()"
    return Formula((line,), "matrix product", "矩阵乘法", "mathematics/linear_algebra", claim, "matrix_product")


def _determinant(stream: Random) -> Formula:
    size = stream.choice((2, 3))
    rows = [[stream.randint(-6, 9) for _ in range(size)] for _ in range(size)]
    value = _det(rows)
    claim = f"Matrix({rows}).det() - ({value})"
    line = f"{_matrix(rows, 'vmatrix')} = {value}"
    return Formula((line,), "determinant", "行列式", "mathematics/linear_algebra", claim, "determinant")


def _det(rows: Sequence[Sequence[int]]) -> int:
    if len(rows) == 1:
        return rows[0][0]
    minors = ([[*row[:c], *row[c + 1 :]] for row in rows[1:]] for c in range(len(rows)))
    return sum((-1) ** c * rows[0][c] * _det(minor) for c, minor in enumerate(minors))


def _linear_system(stream: Random) -> Formula:
    x, y = _nonzero(stream, -6, 6), _nonzero(stream, -6, 6)
    a, b, c = (_nonzero(stream, -5, 7) for _ in range(3))
    d = stream.choice([value for value in range(-5, 8) if value and a * value != b * c])
    rows = ((a, b, a * x + b * y), (c, d, c * x + d * y))
    equations = [f"{_two_terms(p, q)} = {r}" for p, q, r in rows]
    line = rf"\begin{{cases}} {equations[0]} \\ {equations[1]} \end{{cases}} \;\Rightarrow\; x = {x},\; y = {y}"
    claim = "; ".join(f"({p})*({x}) + ({q})*({y}) - ({r})" for p, q, r in rows)
    return Formula((line,), "system of linear equations", "线性方程组", "mathematics/algebra", claim, "linear_system")


def _two_terms(a: int, b: int) -> str:
    first = {1: "x", -1: "-x"}.get(a, f"{a}x")
    second = "y" if abs(b) == 1 else f"{abs(b)}y"
    return f"{first} {'-' if b < 0 else '+'} {second}"


def _piecewise(stream: Random) -> Formula:
    low, shift = stream.randint(1, 5), _nonzero(stream, -7, 7)
    scale = stream.randint(2, 5)
    at = low + stream.randint(1, 4)
    value = at * at + shift
    pieces = rf"{polynomial((1, 0, shift))} & x > {low} \\ {scale}x & 0 \le x \le {low} \\ 0 & x < 0"
    line = rf"f(x) = \begin{{cases}} {pieces} \end{{cases}} \quad f({at}) = {value}"
    return Formula(
        (line,),
        "piecewise function",
        "分段函数",
        "mathematics/functions",
        f"(x**2+({shift})).subs(x, {at}) - {value}",
        "piecewise",
    )


def _expansion(stream: Random) -> Formula:
    a, n = _nonzero(stream, -5, 5), stream.randint(2, 5)
    coefficients = [math.comb(n, k) * a**k for k in range(n + 1)]
    line = rf"(x {'-' if a < 0 else '+'} {abs(a)})^{{{n}}} = {polynomial(coefficients)}"
    claim = f"expand((x+({a}))**{n}) - ({_plain(coefficients)})"
    return Formula((line,), "binomial expansion", "二项式展开", "mathematics/algebra", f"expand({claim})", "expansion")


def _completed_square(stream: Random) -> Formula:
    half, rest = _nonzero(stream, -6, 6), _nonzero(stream, -9, 9)
    whole = half * half + rest
    sign, size = ("-" if half < 0 else "+"), abs(half)
    lines = (
        rf"{polynomial((1, 2 * half, whole))} &= x^2 {sign} 2 \cdot {size} x + {size}^2 {'-' if rest < 0 else '+'} {abs(rest)}",
        rf"&= (x {sign} {size})^2 {'-' if rest < 0 else '+'} {abs(rest)}",
    )
    claim = f"expand((x+({half}))**2 + ({rest}) - ({_plain((1, 2 * half, whole))}))"
    return Formula(
        lines, "completion of the square in two lines", "两行配方推导", "mathematics/algebra", claim, "completed_square"
    )


def _factoring(stream: Random) -> Formula:
    a = stream.randint(2, 9)
    lines = (
        rf"x^3 - {a * a}x &= x \left( x^2 - {a * a} \right)",
        rf"&= x \left( x^2 - {a}^2 \right)",
        rf"&= x (x - {a})(x + {a})",
    )
    claim = f"expand(x*(x-{a})*(x+{a}) - (x**3 - {a * a}*x))"
    return Formula(lines, "factorisation in three lines", "三行因式分解", "mathematics/algebra", claim, "factoring")


def _continued_fraction(stream: Random) -> Formula:
    terms = [stream.randint(1, 6) for _ in range(stream.randint(2, 3))] + [stream.randint(2, 6)]
    value = Fraction(terms[-1])
    body, plain = str(terms[-1]), str(terms[-1])
    for term in reversed(terms[:-1]):
        value = term + 1 / value
        body = rf"{term} + \cfrac{{1}}{{{body}}}"
        plain = f"({term} + 1/Rational({plain}))" if plain.isdigit() else f"({term} + 1/{plain})"
    claim = f"{plain} - Rational('{value}')"
    line = f"{fraction(value)} = {body}"
    return Formula((line,), "continued fraction", "连分数", "mathematics/number_theory", claim, "continued_fraction")


def _nested_root(stream: Random) -> Formula:
    m, n = stream.choice([(m, n) for m in range(2, 10) for n in range(1, m) if math.isqrt(m * n) ** 2 != m * n])
    inner = rf"\sqrt{{{m + n} + 2\sqrt{{{m * n}}}}}"
    second = str(math.isqrt(n)) if math.isqrt(n) ** 2 == n else rf"\sqrt{{{n}}}"
    first = str(math.isqrt(m)) if math.isqrt(m) ** 2 == m else rf"\sqrt{{{m}}}"
    claim = f"expand({m + n} + 2*sqrt({m * n}) - (sqrt({m}) + sqrt({n}))**2)"
    return Formula(
        (f"{inner} = {first} + {second}",), "nested square root", "嵌套根式", "mathematics/algebra", claim, "nested_root"
    )


def _double_angle(stream: Random) -> Formula:
    k = stream.randint(1, 5)
    inner = "x" if k == 1 else f"{k}x"
    left, right, claim = stream.choice([
        (rf"\sin {2 * k}x", rf"2 \sin {inner} \cos {inner}", f"sin({2 * k}*x) - 2*sin({k}*x)*cos({k}*x)"),
        (rf"\cos {2 * k}x", rf"\cos^2 {inner} - \sin^2 {inner}", f"cos({2 * k}*x) - cos({k}*x)**2 + sin({k}*x)**2"),
        (rf"\cos {2 * k}x", rf"1 - 2\sin^2 {inner}", f"cos({2 * k}*x) - 1 + 2*sin({k}*x)**2"),
    ])  # fmt: skip
    return Formula(
        (f"{left} = {right}",), "double-angle identity", "二倍角公式", "mathematics/trigonometry", claim, "double_angle"
    )


def _logarithm(stream: Random) -> Formula:
    base, power = stream.randint(2, 7), stream.randint(2, 5)
    line = rf"\log_{{{base}}} {base**power} = {power}"
    return Formula((line,), "logarithm", "对数", "mathematics/algebra", f"log({base**power}, {base}) - {power}", "logarithm")


def _partial_fractions(stream: Random) -> Formula:
    a = stream.randint(1, 6)
    b = a + stream.randint(1, 5)
    gap = b - a
    factor = "" if gap == 1 else rf"\frac{{1}}{{{gap}}} "
    line = rf"\frac{{1}}{{(x - {b})(x - {a})}} = {factor}\left( \frac{{1}}{{x - {b}}} - \frac{{1}}{{x - {a}}} \right)"
    claim = f"1/((x-{b})*(x-{a})) - (1/(x-{b}) - 1/(x-{a}))/{gap}"
    return Formula((line,), "partial fraction decomposition", "部分分式分解", "mathematics/algebra", claim, "partial_fractions")


def _taylor(stream: Random) -> Formula:
    a = stream.randint(1, 4)
    x = "x" if a == 1 else f"({a}x)"
    left, right, function, series, order = stream.choice([
        (f"e^{{{a if a > 1 else ''}x}}", rf"1 + {x.strip('()')} + \frac{{{x}^2}}{{2!}} + \frac{{{x}^3}}{{3!}} + O(x^4)",
         f"exp({a}*x)", f"1 + {a}*x + ({a}*x)**2/2 + ({a}*x)**3/6", 4),
        (rf"\sin {a if a > 1 else ''}x", rf"{x.strip('()')} - \frac{{{x}^3}}{{3!}} + \frac{{{x}^5}}{{5!}} + O(x^7)",
         f"sin({a}*x)", f"{a}*x - ({a}*x)**3/6 + ({a}*x)**5/120", 7),
        (rf"\ln(1 + {x.strip('()')})", rf"{x.strip('()')} - \frac{{{x}^2}}{{2}} + \frac{{{x}^3}}{{3}} + O(x^4)",
         f"log(1+{a}*x)", f"{a}*x - ({a}*x)**2/2 + ({a}*x)**3/3", 4),
    ])  # fmt: skip
    claim = f"series({function}, x, 0, {order}).removeO() - ({series})"
    return Formula((f"{left} = {right}",), "Taylor expansion", "泰勒展开", "mathematics/calculus", claim, "taylor")


def _binomial_probability(stream: Random) -> Formula:
    n = stream.randint(3, 8)
    k = stream.randint(1, n - 1)
    value = Fraction(math.comb(n, k), 2**n)
    half = r"\left( \frac{1}{2} \right)"
    line = rf"P(X = {k}) = \binom{{{n}}}{{{k}}} {half}^{{{k}}} {half}^{{{n - k}}} = {fraction(value)}"
    claim = f"binomial({n}, {k})/Integer(2)**{n} - Rational('{value}')"
    return Formula((line,), "binomial probability", "二项分布的概率", "mathematics/probability", claim, "binomial_probability")


def _double_integral(stream: Random) -> Formula:
    a, b = stream.randint(1, 6), stream.randint(1, 6)
    value = Fraction(a * a * b * b, 4)
    line = rf"\int_{{0}}^{{{a}}} \int_{{0}}^{{{b}}} x y \, dy \, dx = {fraction(value)}"
    claim = f"integrate(x*y, (y, 0, {b}), (x, 0, {a})) - Rational('{value}')"
    return Formula((line,), "double integral", "二重积分", "mathematics/calculus", claim, "double_integral")


def _complex_product(stream: Random) -> Formula:
    a, b, c, d = (_nonzero(stream, -7, 7) for _ in range(4))
    line = f"({_complex(a, b)})({_complex(c, d)}) = {_complex(a * c - b * d, a * d + b * c)}"
    claim = f"expand(({a}+({b})*I)*({c}+({d})*I)) - ({a * c - b * d}) - ({a * d + b * c})*I"
    return Formula((line,), "product of complex numbers", "复数乘法", "mathematics/complex_numbers", claim, "complex_product")


def _complex(real: int, imaginary: int) -> str:
    if imaginary == 0:
        return str(real)
    size = "i" if abs(imaginary) == 1 else f"{abs(imaginary)}i"
    if real == 0:
        return f"{'-' if imaginary < 0 else ''}{size}"
    return f"{real} {'-' if imaginary < 0 else '+'} {size}"


def _congruence(stream: Random) -> Formula:
    base, power, modulus = stream.randint(2, 12), stream.randint(3, 9), stream.randint(5, 31)
    rest = pow(base, power, modulus)
    line = rf"{base}^{{{power}}} \equiv {rest} \pmod{{{modulus}}}"
    claim = f"Mod({base}**{power}, {modulus}) - {rest}"
    return Formula((line,), "congruence", "同余式", "mathematics/number_theory", claim, "congruence")


def _cross_product(stream: Random) -> Formula:
    a, b = ([stream.randint(-4, 6) for _ in range(3)] for _ in range(2))
    value = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    columns = [_matrix([[entry] for entry in vector]) for vector in (a, b, value)]
    claim = f"(Matrix({a}).cross(Matrix({b})) - Matrix({value})).norm()"
    line = rf"{columns[0]} \times {columns[1]} = {columns[2]}"
    return Formula((line,), "cross product of vectors", "向量叉积", "mathematics/linear_algebra", claim, "cross_product")


FAMILIES: tuple[Callable[[Random], Formula], ...] = (
    _quadratic, _definite_integral, _antiderivative, _derivative, _finite_sum, _geometric_series, _limit, _matrix_product,
    _determinant, _linear_system, _piecewise, _expansion, _completed_square, _factoring, _continued_fraction, _nested_root,
    _double_angle, _logarithm, _partial_fractions, _taylor, _binomial_probability, _double_integral, _complex_product,
    _congruence, _cross_product,
)  # fmt: skip
"""Every family, each drawn equally often."""


def draw_formula(stream: Random) -> Formula:
    """A true formula of a random family."""
    return stream.choice(FAMILIES)(stream)
