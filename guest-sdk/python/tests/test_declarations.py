"""What cannot be meant is refused where it is declared, all of it at once."""

import unittest
from dataclasses import dataclass
from typing import Any

from metrics import Joined, Number, Seen

from tidemark_metric import Fold, Join, Mistakes, at, interval_join, metric, per_key, session, sliding, tumbling


def close(self, state, reason, context):
    pass


def update(self, state, rows, context):
    pass


def declared(bases=Fold[Number, Seen, Joined], body=None, **facts):
    """The mistakes of a metric with these differences to a right one."""
    right = {"name": "x", "version": "1.0.0", "key": "data.k", "window": tumbling("1s")}

    class Declared(bases):
        pass

    for name, value in {"update": update, "close": close, **(body or {})}.items():
        setattr(Declared, name, value)
    try:
        metric(**{**right, **facts})(Declared)
    except Mistakes as mistakes:
        return mistakes.found
    return []


@dataclass
class NoPath:
    n: int | None = None


@dataclass
class NotOptional:
    n: int = at("data.n")


@dataclass
class WrongType:
    n: list[int] | None = at("data.n")


@dataclass
class WrongPath:
    n: int | None = at("payload.n")


@dataclass
class Taken:
    key: str


@dataclass
class WrongState:
    n: set[int]


JOIN = interval_join(left={"type": "a"}, right={"type": "b"}, lower=0, upper=1)


class DeclarationTest(unittest.TestCase):
    def test_a_right_one_has_no_mistakes(self):
        self.assertEqual(declared(), [])

    def test_each_mistake_has_its_sentence(self):
        cases: list[tuple[str, dict[str, Any]]] = [
            ("lower-case letters", {"name": "Bad_Name"}),
            ("semantic version", {"version": "1.0"}),
            ("a path begins with", {"key": "stream_id"}),
            ("names with a dot between", {"filter": {"data..x": "1"}}),
            ("sessions grow together", {"window": session("1s")}),
            ("an interval join belongs to a Join", {"window": JOIN}),
            ("say where its value stands", {"bases": Fold[NoPath, Seen, Joined]}),
            ("since an event may lack it", {"bases": Fold[NotOptional, Seen, Joined]}),
            ("must be bool, int, float, str or Json", {"bases": Fold[WrongType, Seen, Joined]}),
            ("a path begins with", {"bases": Fold[WrongPath, Seen, Joined]}),
            ("every row has a column 'key' already", {"bases": Fold[Number, Seen, Taken]}),
            ("but a state has", {"bases": Fold[Number, WrongState, Joined]}),
            ("update has 3 parameters", {"body": {"update": lambda self, state: None}}),
            ("merge has 2 parameters", {"body": {"merge": lambda self, state: None}}),
            ("the method matched is missing", {"bases": Join[Number, Number, Joined]}),
            ("the window of a join", {"bases": Join[Number, Number, Joined]}),
            ("say what it reads and makes", {"bases": Fold}),
        ]  # fmt: skip
        for sentence, differences in cases:
            found = declared(**differences)
            self.assertTrue(any(sentence in mistake for mistake in found), f"{sentence!r} is not in {found}")

    def test_all_mistakes_come_at_once(self):
        self.assertEqual(len(declared(name="?", version="?", key="?")), 3)

    def test_windows_without_sense_are_refused(self):
        for make in (
            lambda: tumbling("0s"),
            lambda: tumbling("1s", offset="1s"),
            lambda: sliding("5s", every="-1s"),
            lambda: per_key(ttl="1 hour"),
            lambda: interval_join(left={}, right={}, lower="1s", upper="0s"),
            lambda: interval_join(left={}, right={}, lower=0, upper=0, upper_exclusive=True),
        ):
            with self.assertRaises(ValueError):
                make()


if __name__ == "__main__":
    unittest.main()
