"""The escaping of keys, and the paths made of them."""

from hypothesis import given
from hypothesis import strategies as st

from app.firebase import escape_key, node_path, unescape_key


@given(st.text())
def test_escaping_is_undone_and_leaves_nothing_that_rtdb_forbids(text: str) -> None:
    key = escape_key(text)
    assert unescape_key(key) == text
    assert not set(key) & set(".$#[]/?%+\x00\x1f\x7f")


def test_the_escape_is_the_one_of_the_contract() -> None:
    assert node_path("BRK.B", "performance") == "BRK!2EB/performance"
    assert escape_key("a!b") == "a!21b"
    assert escape_key("A+B C") == "A!2BB C"
