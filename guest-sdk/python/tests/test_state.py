"""The encoding of states is that of `wit/state.md`."""

import unittest
from dataclasses import dataclass, field

from tidemark_metric import EarliestText, LatestText, decode_state, empty_state, encode_state, i8, u8, u16, u32, u64


@dataclass
class FrameRates:
    samples: u64
    zero_samples: u64
    mean: float
    squares: float
    orchestrator: LatestText
    pipeline: LatestText


@dataclass
class Inner:
    flag: bool
    name: str


@dataclass
class Everything:
    small: i8
    unsigned: u8
    wide: u16
    wider: u32
    whole: int
    real: float
    flag: bool
    text: str
    maybe: int | None
    nested: Inner | None
    pair: tuple[int, str]
    items: list[int | None]
    entries: dict[str, bool]
    by_number: dict[int, list[Inner]]
    first: EarliestText


EXAMPLE = Everything(
    -1, 255, 65535, 7, -(2**63), -0.0, True, "ä", None, Inner(False, "x"), (3, "y"), [None, -7], {"": False, "ä": True},
    {-1: [], 2: [Inner(True, "")]}, EarliestText((5, "z")),
)  # fmt: skip


class StateTest(unittest.TestCase):
    def test_the_documented_example(self):
        rates = FrameRates(2, 0, 17.5, 0.5, LatestText((1000, "0xa")), LatestText())
        expected = bytes.fromhex(
            "0200000000000000 0000000000000000 0000000000803140 000000000000e03f 01 e803000000000000 03000000 307861 00"
        )
        self.assertEqual(encode_state(rates), expected)
        self.assertEqual(decode_state(FrameRates, expected), rates)

    def test_lists_optionals_and_maps_are_the_documented_ones(self):
        @dataclass
        class Numbers:
            numbers: list[int | None]

        @dataclass
        class Flags:
            flags: dict[str, bool]

        self.assertEqual(encode_state(Numbers([None, -7])).hex(" "), "02 00 00 00 00 01 f9 ff ff ff ff ff ff ff")
        expected = "02 00 00 00 00 00 00 00 00 02 00 00 00 c3 a4 01"
        self.assertEqual(encode_state(Flags({"ä": True, "": False})).hex(" "), expected)

    def test_every_type_survives(self):
        self.assertEqual(repr(decode_state(Everything, encode_state(EXAMPLE))), repr(EXAMPLE))

    def test_damaged_bytes_are_refused(self):
        data = encode_state(EXAMPLE)
        for length in range(1, len(data)):
            with self.assertRaises(ValueError, msg=f"cut to {length}"):
                decode_state(Everything, data[:length])
        with self.assertRaises(ValueError, msg="more than was written"):
            decode_state(Everything, data + b"\0")

        @dataclass
        class One:
            flag: bool

        @dataclass
        class Text:
            text: str

        @dataclass
        class Pick:
            pick: LatestText

        damaged = [(One, b"\2"), (Text, b"\1\0\0\0\xff"), (Text, b"\xff\xff\xff\xff"), (Pick, b"\2" + bytes(12))]
        for state, data in damaged:
            with self.assertRaises(ValueError, msg=data):
                decode_state(state, data)

    def test_no_bytes_are_the_default(self):
        self.assertEqual(decode_state(FrameRates, b""), FrameRates(0, 0, 0.0, 0.0, LatestText(), LatestText()))

        @dataclass
        class Own:
            least: float = 1.5
            items: list[int] = field(default_factory=lambda: [1])

        self.assertEqual(empty_state(Own), Own(1.5, [1]))
        first, second = empty_state(Own), empty_state(Own)
        self.assertIsNot(first.items, second.items)

    def test_all_nans_are_one(self):
        @dataclass
        class Real:
            real: float
            reals: list[float]

        nan = -float("nan")
        self.assertEqual(encode_state(Real(nan, [nan])).hex(), "000000000000f87f" + "01000000" + "000000000000f87f")

    def test_what_a_field_cannot_hold_is_named(self):
        with self.assertRaisesRegex(ValueError, "samples is -1, but the state holds whole numbers from 0"):
            encode_state(FrameRates(-1, 0, 0.0, 0.0, LatestText(), LatestText()))
        with self.assertRaisesRegex(TypeError, "mean is 'x', not a float"):
            encode_state(FrameRates(1, 0, "x", 0.0, LatestText(), LatestText()))


class PickTest(unittest.TestCase):
    def test_the_order_of_arrival_decides_nothing(self):
        offers = [(2, "b"), (1, ""), (1, None), (2, "a"), (3, "c"), (3, "d")]
        for rotation in range(len(offers)):
            earliest, latest = EarliestText(), LatestText()
            for time, text in offers[rotation:] + offers[:rotation]:
                earliest.offer(time, text)
                latest.offer(time, text)
            self.assertEqual((earliest.until(2), earliest.until(1), latest.get()), ("a", None, "d"))

    def test_merging_keeps_the_earlier_or_the_later(self):
        early, late, none = EarliestText((1, "z")), EarliestText((2, "a")), EarliestText()
        late.merge(early)
        early.merge(none)
        none.merge(early)
        self.assertEqual((late.get(), early.get(), none.get()), ("z", "z", "z"))
        early, late, none = LatestText((1, "z")), LatestText((2, "a")), LatestText()
        early.merge(late)
        late.merge(none)
        none.merge(late)
        self.assertEqual((early.get(), late.get(), none.get()), ("a", "a", "a"))


if __name__ == "__main__":
    unittest.main()
