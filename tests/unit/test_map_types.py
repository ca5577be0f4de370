"""What is known of the types of outcomes at run time."""

from __future__ import annotations

import typing

from chatgpt4online import Client, Outcome, Outcomes, Reply


def test_the_types_exist_at_run_time() -> None:
    """`typing.get_type_hints` works; what is yielded is an Outcome."""
    assert typing.get_type_hints(Outcomes.__next__) == {"return": Outcome}
    assert typing.get_type_hints(Outcome.result) == {"return": Reply}
    assert issubclass(Outcomes, typing.get_origin(typing.Iterator[Outcome]) or object)
    with Client("https://a.example") as client:
        assert type(client.map([])) is Outcomes
