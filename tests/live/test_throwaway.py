"""Live tests leave alone what they did not make."""

import pytest

from tests.integrations.scripted import answer, serving
from tests.live.conftest import configured_lists
from tests.live.throwaway import NotThrowaway, Throwaway


def test_a_list_that_the_configuration_names_is_not_deleted() -> None:
    with serving() as server, making(server.url, configured=[11]) as maker:
        with pytest.raises(NotThrowaway, match="List 11 is named in the configuration"):
            maker.delete_list(11)

        assert server.heard == []


def test_a_list_that_was_not_made_here_is_not_deleted() -> None:
    with serving() as server, making(server.url, configured=[]) as maker:
        with pytest.raises(NotThrowaway, match="List 12 was not made here"):
            maker.delete_list(12)

        assert server.heard == []


def test_a_configured_list_that_comes_back_as_new_is_neither_used_nor_deleted() -> None:
    with serving() as server, making(server.url, configured=[11]) as maker:
        server.says = [answer({"Count": 1, "Data": [{"ID": 11}], "Total": 1}, status=201)]
        with pytest.raises(NotThrowaway):
            maker.make_list()
        with pytest.raises(NotThrowaway):
            maker.delete_list(11)

        assert [heard.method for heard in server.heard] == ["POST"]


def test_configured_lists_are_those_named_when_the_tests_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILJET_LIVE_CONFIGURED_LISTS", "5776,10503497")
    assert configured_lists() == {5776, 10503497}

    monkeypatch.setenv("MAILJET_LIVE_CONFIGURED_LISTS", "")
    assert configured_lists() == frozenset()


def making(url: str, *, configured: list[int]) -> Throwaway:
    return Throwaway(base_url=url, api_key="key", api_secret="secret", configured=configured)
