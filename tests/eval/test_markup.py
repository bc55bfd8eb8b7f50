from eval.markup import Markup, joined, tag


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "a < b & c", tag("b", "<i>")) == "<p>a &lt; b &amp; c<b>&lt;i&gt;</b></p>"
    assert joined(["<", Markup("<br>")]) == "&lt;<br>"


def test_attributes_are_quoted_and_empty_ones_left_out() -> None:
    assert tag("a", "x", href='"><b>', class_="", aria_label="l") == '<a href="&quot;&gt;&lt;b&gt;" aria-label="l">x</a>'
    assert tag("img", alt="") == "<img>"
