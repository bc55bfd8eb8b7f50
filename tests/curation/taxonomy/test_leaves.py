import math
import re
from collections import defaultdict

import pytest

from curation.taxonomy.keywords import KeywordMatcher
from curation.taxonomy.leaves import Domain, Keywords, Taxonomy, leaf_digest
from curation.taxonomy.loading import load_taxonomy

HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def shipped() -> Taxonomy:
    return load_taxonomy()


def changed(taxonomy: Taxonomy, leaf: str, **values: object) -> Taxonomy:
    """The taxonomy with some fields of one leaf replaced."""
    domains = []
    for domain in taxonomy.domains:
        content = domain.model_dump()
        content["leaves"] = [entry | values if entry["id"] == leaf else entry for entry in content["leaves"]]
        domains.append(Domain.model_validate(content))
    return Taxonomy(domains=tuple(domains), shared_keywords=taxonomy.shared_keywords)


def test_the_shipped_taxonomy_is_wide_enough(shipped):
    assert len(shipped.domains) >= 25
    assert len(shipped.leaves) >= 340


def test_shares_of_all_leaves_add_up_to_one(shipped):
    assert math.isclose(sum(shipped.shares.values()), 1, abs_tol=1e-6)


def test_every_leaf_leads_up_to_its_domain(shipped):
    assert {leaf for leaf in shipped.leaves if shipped.ancestors(leaf)[-1] != leaf.partition("/")[0]} == set()
    assert shipped.ancestors("food/coffee") == ("food/drinks", "food")


def test_definitions_and_captions_are_all_different(shipped):
    leaves = shipped.leaves.values()
    definitions = [leaf.definition for leaf in leaves]
    captions = [text for leaf in leaves for text in (*leaf.examples.en, *leaf.examples.zh)]
    assert len(set(definitions)) == len(definitions)
    assert len(set(captions)) == len(captions)
    assert [text for text in definitions if not text.endswith(".") or HAN.search(text)] == []


def test_every_leaf_has_captions_in_both_languages(shipped):
    for leaf in shipped.leaves.values():
        assert len(leaf.examples.en) + len(leaf.examples.zh) >= 3, leaf.id
        assert all(HAN.search(text) for text in leaf.examples.zh), leaf.id
        assert not any(HAN.search(text) for text in leaf.examples.en), leaf.id


def test_chinese_keywords_are_chinese_and_english_ones_are_not(shipped):
    """Han characters in every Chinese keyword, but for names that Chinese writers leave in Latin letters."""
    latin = {keyword for leaf in shipped.leaves.values() for keyword in leaf.keywords.zh if not HAN.search(keyword)}
    assert latin == {"PPT"}
    assert [word for leaf in shipped.leaves.values() for word in leaf.keywords.en if HAN.search(word)] == []


def test_no_keyword_fires_everywhere(shipped):
    """On the example captions of other leaves; a word that many of them hold tells nothing."""
    matcher = KeywordMatcher(shipped.leaves.values())
    strangers: dict[str, set[str]] = defaultdict(set)
    for leaf in shipped.leaves.values():
        for owner, keywords in matcher.keywords_by_leaf([*leaf.examples.en, *leaf.examples.zh]).items():
            for keyword in keywords if owner != leaf.id else ():
                strangers[keyword].add(leaf.id)
    assert {keyword: leaves for keyword, leaves in strangers.items() if len(leaves) > 0.02 * len(shipped.leaves)} == {}


def test_nearly_all_example_captions_hold_a_keyword_of_their_leaf(shipped):
    matcher = KeywordMatcher(shipped.leaves.values())
    captions = [(leaf.id, text) for leaf in shipped.leaves.values() for text in (*leaf.examples.en, *leaf.examples.zh)]
    found = sum(leaf in matcher.keywords_by_leaf([text]) for leaf, text in captions)
    assert found / len(captions) > 0.98


def test_text_heavy_leaves_allow_more_text_than_landscapes(shipped):
    assert (shipped.thresholds_of("documents/book_page").max_text_area or 0) > 0.8
    assert shipped.thresholds_of("nature/mountains").max_text_area is None


def test_a_leaf_inherits_its_domains_limits_and_overrides_them(shipped):
    assert shipped.thresholds_of("illustration/oil_painting").min_side_px == 512
    pixels = shipped.thresholds_of("illustration/pixel_art")
    assert (pixels.min_side_px, pixels.min_sharpness) == (64, 0)


def test_a_leafs_facet_overrides_its_domains(shipped):
    assert shipped.facet_of("illustration/watercolour") == "form"
    assert shipped.facet_of("animals/cats") == "subject"
    assert shipped.facet_of("chinese_culture/shanshui") == "form"


def test_the_version_follows_every_word(shipped):
    reworded = changed(shipped, "animals/cats", definition="Domestic cats of every breed.")
    assert reworded.version != shipped.version
    assert load_taxonomy().version == shipped.version


def test_a_leafs_digest_follows_its_words_but_not_its_share(shipped):
    cats = shipped.leaves["animals/cats"]
    digest = leaf_digest(cats, longer_keywords=())
    shared = changed(shipped, "animals/cats", share=0.001).leaves["animals/cats"]
    more = Keywords(en=(*cats.keywords.en, "maine coon"), zh=cats.keywords.zh)
    reworded = changed(shipped, "animals/cats", keywords=more.model_dump()).leaves["animals/cats"]
    assert leaf_digest(shared, longer_keywords=()) == digest
    assert leaf_digest(reworded, longer_keywords=()) != digest
    assert leaf_digest(cats, longer_keywords=("cat food",)) != digest
