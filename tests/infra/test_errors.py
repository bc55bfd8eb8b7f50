import json

import pytest

from curation.tables import MissingTable
from infra.errors import UserError, is_ours, one_line, one_line_with_type
from train.guard import RolledBack


@pytest.mark.parametrize("error", [UserError("no such table"), MissingTable("no such table")])
def test_what_a_package_of_ours_tells_the_user_is_ours(error):
    assert is_ours(error)


def test_errors_of_others_and_errors_that_are_no_mistake_are_not_ours():
    with pytest.raises(ValueError, match="Expecting value") as raised:
        json.loads("")
    assert not is_ours(raised.value)
    assert not is_ours(ValueError("numpy's"))
    assert not is_ours(RolledBack("three strikes"))


def test_a_message_of_many_lines_becomes_one():
    error = ValueError("first line\n  second\tline\n")
    assert one_line(error) == "first line second line"
    assert one_line_with_type(error) == "ValueError: first line second line"


def test_a_message_is_cut_where_room_is_short():
    assert one_line(ValueError("abcdef"), max_characters=3) == "abc"
    assert one_line_with_type(ValueError("abcdef"), max_characters=15) == "ValueError: abc"


def test_an_error_that_says_nothing_is_told_by_its_type():
    assert one_line(TimeoutError()) == "TimeoutError"
    assert one_line_with_type(TimeoutError()) == "TimeoutError"
