import platform

from infra.provenance import code_digest, hardware, versions


def test_the_machine_is_told_in_one_line():
    assert " x " in hardware()
    assert "GiB" in hardware()
    assert "\n" not in hardware()


def test_versions_name_what_results_depend_on():
    found = versions()
    assert found["python"] == platform.python_version()
    assert {"torch", "ray", "pylance", "mlflow"} <= set(found)


def test_the_code_has_one_digest():
    assert len(code_digest()) == 12
    assert code_digest() == code_digest()


def test_each_package_has_a_digest_of_its_own():
    assert len({code_digest(), code_digest("models"), code_digest("train"), code_digest("models", "train")}) == 4
