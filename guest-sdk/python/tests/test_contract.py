"""What the host sees of a metric: the contract's functions, called as the exports call them."""

import json
import unittest

from metrics import Pairs, Sum, Sums

from tidemark_metric import Failure, encode_state
from tidemark_metric.contract import (
    Batch,
    CloseReason,
    Column,
    Groups,
    Values_Floats,
    Values_Integers,
    Values_Texts,
    items_of,
    strings_of,
)
from tidemark_metric.module import module_of

NO_STATE = "the state was not written by this state version"


def sums(plus: float = 1.0):
    return module_of(Sums.__tidemark__, Sums(plus=plus))


def batch(*groups):
    """One row per group: key, value or `None`, state."""
    count = len(groups)
    validity = bytearray((count + 7) // 8)
    for row, (_, value, _) in enumerate(groups):
        validity[row // 8] |= (value is not None) << row % 8
    values = [float("nan") if value is None else value for _, value, _ in groups]
    return Batch(
        columns=[
            Column(bytes(validity), Values_Floats(values)),
            Column(b"", Values_Texts(strings_of([b"[1]"] * count))),
        ],
        event_times=list(range(count)),
        groups=Groups(
            keys=strings_of([key.encode() for key, _, _ in groups]),
            window_starts=[0] * count,
            window_ends=[60] * count,
            times=[59] * count,
            row_ends=list(range(1, count + 1)),
            states=strings_of([state for _, _, state in groups]),
        ),
    )


def state(sum: float, tags: str) -> bytes:
    return encode_state(Sum(sum, tags))


class ContractTest(unittest.TestCase):
    def test_a_group_fails_alone(self):
        before = state(10.0, "")
        folded = sums().update(batch(("a", 1.0, b""), ("b", None, before), ("c", 2.0, before)))
        self.assertEqual(items_of(folded.states), [state(2.0, "[1]"), b"", state(13.0, "[1]")])
        self.assertEqual([(each.group, each.message) for each in folded.failures], [(1, "b has no value at 1")])

    def test_damaged_state_and_wrong_columns_are_failures(self):
        folded = sums().update(batch(("a", 1.0, b"xyz"), ("b", 1.0, b"")))
        self.assertEqual([(each.group, each.message) for each in folded.failures], [(0, NO_STATE)])
        self.assertEqual(items_of(folded.states), [b"", state(2.0, "[1]")])
        for broken in (0, 1):
            wrong = batch(("a", 1.0, b""), ("b", 1.0, b""))
            wrong.columns[broken].values = Values_Integers([1, 2])
            folded = sums().update(wrong)
            self.assertEqual((len(folded.failures), len(folded.states.ends)), (2, 2), "every group fails")

    def test_an_exception_fails_its_group_and_says_where(self):
        class Broken(type(Sums())):
            def close(self, sum, reason, context):
                return 1 / (sum.sum - 2)

        module = module_of(Sums.__tidemark__, Broken())
        folded = module.close(batch(("a", None, state(2.0, "")), ("b", None, state(3.0, ""))), CloseReason.WINDOW_END)
        [failure] = folded.failures
        self.assertRegex(failure.message, r"^ZeroDivisionError: .*division by zero \(test_contract.py, line \d+\)$")
        self.assertEqual(items_of(folded.states), [b"", state(3.0, "")])

    def test_what_is_emitted_is_checked(self):
        for value, message in (("x", "the column sum holds a number, not 'x'"), (None, "holds a number, not None")):

            class Wrong(type(Sums())):
                def close(self, sum, reason, context, value=value):
                    from metrics import Total

                    context.emit(Total(value, None))

            module = module_of(Sums.__tidemark__, Wrong())
            folded = module.close(batch(("a", None, b"")), CloseReason.WINDOW_END)
            self.assertIn(message, folded.failures[0].message)

    def test_emitted_columns_are_there_only_with_rows(self):
        folded = sums().update(batch(("a", 1.0, b"")))
        self.assertEqual((folded.emitted.groups, folded.emitted.columns), ([], []))
        folded = sums().close(
            batch(("a", None, state(2.0, "")), ("b", None, state(1.0, "[2]"))), CloseReason.WINDOW_END
        )
        self.assertEqual(folded.emitted.groups, [0, 1])
        total, tags = folded.emitted.columns
        self.assertEqual((total.validity, total.values.value), (b"", [2.0, 1.0]))
        self.assertEqual((tags.validity, items_of(tags.values.value)), (b"\2", [b"", b"[2]"]))

    def test_states_merge_and_migrate_one_by_one(self):
        one, two = state(1.0, "x"), state(2.0, "y")
        merged = sums().merge(strings_of([one, b"", b"!"]), strings_of([two, two, two]))
        self.assertEqual(items_of(merged.states), [state(3.0, "y"), two, b""])
        self.assertEqual([each.group for each in merged.failures], [2])
        old = (7).to_bytes(8, "little")
        migrated = sums().migrate(strings_of([old, b"?"]), 2)
        self.assertEqual(items_of(migrated.states), [state(7.0, ""), b""])
        self.assertEqual(migrated.failures[0].group, 1)
        self.assertEqual(sums().migrate(strings_of([old]), 1).failures[0].message, "only version 2 is known")

    def test_the_description_is_the_documented_one(self):
        self.assertEqual(
            json.loads(Sums.__tidemark__.describe()),
            {
                "describe": 1,
                "name": "sums",
                "version": "0.1.0",
                "doc": "Sums of a thing. The rest of the comment goes on here.",
                "inputs": [
                    {"name": "value", "path": "data.value", "type": "float"},
                    {"name": "tags", "path": "data.tags", "type": "json"},
                ],
                "filter": {"type": ["a", "b"], "data.on": True, "data.off": False},
                "key": "data.thing",
                "window": {"kind": "sliding", "size_ms": 300_000, "slide_ms": 60_000, "offset_ms": 10_000},
                "output": [
                    {"name": "sum", "type": "float", "nullable": False},
                    {"name": "tags", "type": "json", "nullable": True},
                ],
                "state_version": 3,
                "config_schema": {
                    "type": "object",
                    "properties": {
                        "plus": {"type": "number", "description": "Added to each value.", "default": 0.5},
                        "names": {
                            "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}],
                            "default": None,
                        },
                    },
                    "required": [],
                    "additionalProperties": False,
                },
                "mergeable": True,
            },
        )

    def test_settings_are_read_with_their_defaults(self):
        def read(document):
            module = module_of(Sums.__tidemark__)
            module.configure(document)
            return module.metric.plus, module.metric.names

        for empty in ("", "{}", "null", " "):
            self.assertEqual(read(empty), (0.5, None))
        self.assertEqual(read('{"plus": 2, "names": ["a"]}'), (2.0, ["a"]))
        mistakes = {
            '{"names": ["a", 1]}': "names: item 1: 1 is not a text",
            "[]": "[] is not an object",
            '{"plus": true}': "plus: true is not a number",
            '{"plus": NaN}': "plus: NaN is not a number",
            '{"puls": 1}': "there is no setting puls; there are plus, names",
        }
        for document, message in mistakes.items():
            with self.assertRaises(Failure) as raised:
                read(document)
            self.assertEqual(str(raised.exception), message)
        with self.assertRaises(Failure):
            read("{")

    def test_a_join_has_sides_and_no_state(self):
        description = json.loads(Pairs.__tidemark__.describe())
        self.assertEqual([column["side"] for column in description["inputs"]], ["left", "right"])
        self.assertEqual(description["window"]["unmatched"], "both")
        self.assertEqual((description["state_version"], description["config_schema"]), (0, None))
        module = module_of(Pairs.__tidemark__, Pairs())
        self.assertEqual(len(module.merge(strings_of([b""]), strings_of([b""])).failures), 1)
        self.assertEqual(len(module.migrate(strings_of([b""]), 1).failures), 1)


if __name__ == "__main__":
    unittest.main()
