import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from curation.taxonomy.loading import SHARED_FILE, SHIPPED, BadTaxonomy, load_taxonomy

LEAF = {
    "id": "zoo/cats",
    "parent": "zoo",
    "definition": "Domestic cats of any breed.",
    "keywords": {"en": ["cat", "kitten", "tabby", "siamese"], "zh": ["猫", "小猫", "橘猫", "布偶"]},
    "examples": {"en": ["A cat on a mat"], "zh": ["一只猫趴在垫子上"]},
    "share": 0.5,
    "difficulty": "easy",
}
OTHER = LEAF | {
    "id": "zoo/dogs",
    "definition": "Domestic dogs of any breed.",
    "keywords": {"en": ["dog", "puppy", "corgi", "husky"], "zh": ["狗", "小狗", "柯基", "金毛"]},
}
ZOO = {
    "domain": "zoo", "definition": "Animals that are kept.", "facet": "subject", "share": 1.0,
    "groups": [{"id": "zoo/pets", "parent": "zoo", "definition": "Animals at home."}],
    "leaves": [LEAF, OTHER],
}  # fmt: skip

Change = Callable[[dict], object]


def written(folder: Path, *domains: dict) -> Path:
    folder.mkdir(exist_ok=True)
    for domain in domains:
        (folder / f"{domain['domain']}.yaml").write_text(yaml.safe_dump(domain, allow_unicode=True), encoding="utf-8")
    return folder


def zoo(change: Change) -> dict:
    domain = copy.deepcopy(ZOO)
    change(domain)
    return domain


def test_a_sound_folder_loads(tmp_path):
    taxonomy = load_taxonomy(written(tmp_path, ZOO))
    assert list(taxonomy.leaves) == ["zoo/cats", "zoo/dogs"]
    assert taxonomy.shares == {"zoo/cats": 0.5, "zoo/dogs": 0.5}
    assert taxonomy.ancestors("zoo/cats") == ("zoo",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["leaves"][1].update(id="zoo/cats"), r"zoo\.yaml: leaf zoo/cats, field id: is in zoo\.yaml already"),
        (lambda d: d["leaves"][0].update(id="park/cats"), r"leaf park/cats, field id: expected to begin with zoo/"),
        (lambda d: d["leaves"][0].update(id="Cats!"), r"zoo\.yaml: leaf Cats!, field id: .*seen 'Cats!'"),
        (lambda d: d["leaves"][0].update(parent="zoo/fish"), r"leaf zoo/cats, field parent: seen zoo/fish, expected a domain"),
        (lambda d: d["leaves"][0].update(parent="zoo/dogs"), r"leaf zoo/cats, field parent: seen the leaf zoo/dogs"),
        (lambda d: d["groups"][0].update(parent="zoo/pets"), r"group zoo/pets, field parent: leads from zoo/pets back"),
        (lambda d: d.update(parent="zoo/pets"), r"domain zoo, field parent: leads from zoo/pets back to zoo"),
        (lambda d: d["leaves"][0].update(share=0.4), r"zoo\.yaml: all leaves, field share: leaves add up to 0\.900000"),
        (lambda d: d.update(share=0.9), r"all domains, field share: add up to 0\.900000, expected 1"),
        (lambda d: d["leaves"][0].update(share=0), r"leaf zoo/cats, field share: .*greater than 0, seen 0"),
        (lambda d: d["leaves"][0].pop("definition"), r"leaf zoo/cats, field definition: Field required"),
        (lambda d: d["leaves"][0].update(colour="red"), r"leaf zoo/cats, field colour: Extra inputs"),
        (lambda d: d["leaves"][0].update(difficulty="tricky"), r"leaf zoo/cats, field difficulty: .*seen 'tricky'"),
        (lambda d: d["leaves"][0].update(thresholds={"min_side": 3}), r"leaf zoo/cats, field thresholds\.min_side: Extra"),
        (lambda d: d["leaves"][0]["keywords"].update(en=["cat"]), r"leaf zoo/cats, field keywords\.en: .*at least 4 items"),
        (lambda d: d["leaves"][0]["keywords"]["en"].append(True), r"leaf zoo/cats, field keywords\.en\.4: .*string, seen True"),
        (lambda d: d["leaves"][0]["keywords"]["en"].append("ＣＡＴ"), r"leaf zoo/cats, field keywords\.en: holds 'cat' twice"),
        (lambda d: d["leaves"][0]["keywords"]["zh"].append("狗"), r"leaf zoo/cats, field keywords: '狗' is also .* zoo/dogs"),
        (lambda d: d["leaves"][0]["keywords"]["en"].append("puppies"), r"'puppies' is also a keyword of zoo/dogs"),
        (lambda d: d["leaves"][0]["examples"].update(zh=[]), r"leaf zoo/cats, field examples\.zh: .*at least 1 item"),
        (lambda d: d["groups"][0].pop("definition"), r"group zoo/pets, field definition: Field required"),
        (lambda d: d.pop("facet"), r"zoo\.yaml: domain, field facet: Field required"),
    ],
)  # fmt: skip
def test_each_fault_is_named_by_file_leaf_and_field(tmp_path, change, message):
    with pytest.raises(BadTaxonomy, match=message):
        load_taxonomy(written(tmp_path, zoo(change)))


def test_every_fault_is_told_at_once_in_one_line(tmp_path):
    def spoil(domain: dict) -> None:
        domain["leaves"][0].update(parent="zoo/fish", share=0.1)

    with pytest.raises(BadTaxonomy) as caught:
        load_taxonomy(written(tmp_path, zoo(spoil)))
    assert "field parent" in str(caught.value)
    assert "field share" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shared_keyword_may_belong_to_several_leaves(tmp_path):
    folder = written(tmp_path, zoo(lambda d: d["leaves"][0]["keywords"]["en"].append("husky")))
    (folder / SHARED_FILE).write_text("- Husky\n", encoding="utf-8")
    assert "husky" in load_taxonomy(folder).shared_keywords


def test_a_list_of_shared_keywords_that_is_none_is_refused(tmp_path):
    folder = written(tmp_path, ZOO)
    (folder / SHARED_FILE).write_text("husky: yes\n", encoding="utf-8")
    with pytest.raises(BadTaxonomy, match=rf"{SHARED_FILE}: seen dict, expected a list"):
        load_taxonomy(folder)


def test_a_key_given_twice_is_refused(tmp_path):
    path = written(tmp_path, ZOO) / "zoo.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "share: 0.7\n", encoding="utf-8")
    with pytest.raises(BadTaxonomy, match=r"zoo\.yaml: not readable as YAML: key 'share' a second time at line"):
        load_taxonomy(tmp_path)


def test_broken_yaml_names_the_file(tmp_path):
    (tmp_path / "zoo.yaml").write_text("domain: [", encoding="utf-8")
    with pytest.raises(BadTaxonomy, match=r"zoo\.yaml: not readable as YAML"):
        load_taxonomy(tmp_path)


def test_a_file_that_holds_no_mapping_is_refused(tmp_path):
    (tmp_path / "zoo.yaml").write_text("- cats\n", encoding="utf-8")
    with pytest.raises(BadTaxonomy, match=r"zoo\.yaml: seen list, expected keys"):
        load_taxonomy(tmp_path)


def test_a_file_is_named_after_its_domain(tmp_path):
    (written(tmp_path, ZOO) / "zoo.yaml").rename(tmp_path / "animals.yaml")
    with pytest.raises(BadTaxonomy, match=r"animals\.yaml: field domain: seen zoo, expected animals"):
        load_taxonomy(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(BadTaxonomy, match="holds no"):
        load_taxonomy(tmp_path)


def test_a_later_folder_replaces_files_of_an_earlier_one(tmp_path):
    own = written(tmp_path / "own", zoo(lambda d: d["leaves"][0].update(definition="Cats, but only ours.")))
    taxonomy = load_taxonomy(written(tmp_path / "first", ZOO), own)
    assert taxonomy.leaves["zoo/cats"].definition == "Cats, but only ours."


def test_a_domain_of_ones_own_can_replace_a_shipped_one(tmp_path):
    sports = yaml.safe_load((SHIPPED / "sports.yaml").read_text(encoding="utf-8"))
    sports["leaves"][0]["definition"] = "Ball games on grass played with the feet or the hands."
    ours = load_taxonomy(SHIPPED, written(tmp_path, sports))
    assert ours.leaves.keys() == load_taxonomy().leaves.keys()
    assert ours.version != load_taxonomy().version
