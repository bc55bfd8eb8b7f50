from curation.taxonomy.limits import limits_by_leaf
from curation.taxonomy.loading import load_taxonomy


def test_leaves_have_the_limits_of_their_domain_unless_they_set_their_own():
    taxonomy = load_taxonomy()
    limits = limits_by_leaf(taxonomy, "min_sharpness")
    own = [leaf.id for leaf in taxonomy.leaves.values() if leaf.thresholds.min_sharpness is not None]
    inherited = [domain for domain in taxonomy.domains if domain.thresholds.min_sharpness is not None]
    assert set(own) < set(limits), "domains give theirs to all their leaves"
    for domain in inherited:
        for leaf in domain.leaves:
            asked = leaf.thresholds.min_sharpness
            assert limits[leaf.id] == (domain.thresholds.min_sharpness if asked is None else asked)
    assert limits_by_leaf(taxonomy, "max_text_area")["documents/book_page"] > 0.8
    assert "nature/mountains" not in limits_by_leaf(taxonomy, "max_text_area")
