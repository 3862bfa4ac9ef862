// The encoding of states is that of wit/state.md.
package metric_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/guest-sdk/go/metric"
)

type frameRates struct {
	samples      uint64
	zeroSamples  uint64
	mean         float64
	squares      float64
	orchestrator metric.LatestText
	pipeline     metric.LatestText
}

type inner struct {
	flag bool
	name string
}

type everything struct {
	small    int8
	unsigned uint8
	wide     uint16
	wider    int32
	whole    int
	real     float64
	flag     bool
	text     string
	maybe    metric.Optional[int64]
	nested   metric.Optional[inner]
	items    []metric.Optional[int64]
	entries  map[string]bool
	byNumber map[int64][]inner
	first    metric.EarliestText
}

func example() everything {
	state := everything{
		small: -1, unsigned: 255, wide: 65535, wider: -7, whole: math.MinInt64, real: math.Copysign(0, -1), flag: true, text: "ä",
		nested: metric.Some(inner{name: "x"}), items: []metric.Optional[int64]{metric.None[int64](), metric.Some[int64](-7)},
		entries: map[string]bool{"ä": true, "": false}, byNumber: map[int64][]inner{2: {{flag: true}}, -1: nil},
	}
	state.first.Offer(5, metric.Some("z"))
	return state
}

func expectBytes(t *testing.T, found []byte, expected string) {
	t.Helper()
	if want := strings.ReplaceAll(expected, " ", ""); hex.EncodeToString(found) != want {
		t.Errorf("%x\nis not %s", found, want)
	}
}

func TestTheDocumentedExample(t *testing.T) {
	rates := frameRates{samples: 2, mean: 17.5, squares: 0.5}
	rates.orchestrator.Offer(1000, metric.Some("0xa"))
	state := metric.WriteState(rates)
	expectBytes(t, state, "0200000000000000 0000000000000000 0000000000803140 000000000000e03f "+
		"01 e803000000000000 03000000 307861 00")
	if read, err := metric.ReadState[frameRates](state); err != nil || read != rates {
		t.Errorf("%+v, %v", read, err)
	}
}

func TestListsOptionalsAndMapsAreTheDocumentedOnes(t *testing.T) {
	numbers := []metric.Optional[int64]{metric.None[int64](), metric.Some[int64](-7)}
	expectBytes(t, metric.WriteState(numbers), "02000000 00 01f9ffffffffffffff")
	expectBytes(t, metric.WriteState(map[string]bool{"ä": true, "": false}), "02000000 00000000 00 02000000c3a4 01")
}

func TestEveryTypeSurvives(t *testing.T) {
	state := metric.WriteState(example())
	read, err := metric.ReadState[everything](state)
	if err != nil || !reflect.DeepEqual(metric.WriteState(read), state) || !math.Signbit(read.real) {
		t.Errorf("%+v, %v", read, err)
	}
	if found := fmt.Sprint(read.entries, read.byNumber, read.first); found != fmt.Sprint(example().entries, example().byNumber, example().first) {
		t.Error(found)
	}
}

func TestDamagedBytesAreRefused(t *testing.T) {
	state := metric.WriteState(example())
	for length := 1; length < len(state); length++ {
		if _, err := metric.ReadState[everything](state[:length]); err == nil {
			t.Errorf("cut to %d", length)
		}
	}
	if _, err := metric.ReadState[everything](append(state, 0)); err == nil {
		t.Error("more than was written")
	}
	_, flag := metric.ReadState[bool]([]byte{2})
	_, text := metric.ReadState[string]([]byte{1, 0, 0, 0, 0xff})
	_, list := metric.ReadState[[]uint64]([]byte{0xff, 0xff, 0xff, 0xff})
	_, pick := metric.ReadState[metric.LatestText](append([]byte{2}, make([]byte, 12)...))
	for i, err := range []error{flag, text, list, pick} {
		if err == nil {
			t.Errorf("damage %d is not seen", i)
		}
	}
}

func TestNoBytesAreTheZeroValueAndAllNaNsAreOne(t *testing.T) {
	if read, err := metric.ReadState[frameRates](nil); err != nil || read != (frameRates{}) {
		t.Errorf("%+v, %v", read, err)
	}
	expectBytes(t, metric.WriteState(math.Float64frombits(0xfff8_0000_0000_0001)), "000000000000f87f")
}

func TestTheOrderOfArrivalDecidesNothing(t *testing.T) {
	type offer struct {
		timeMS int64
		text   metric.Optional[string]
	}
	some := metric.Some[string]
	offers := []offer{{2, some("b")}, {1, some("")}, {1, metric.None[string]()}, {2, some("a")}, {3, some("c")}, {3, some("d")}}
	for rotation := range offers {
		var earliest metric.EarliestText
		var latest metric.LatestText
		for i := range offers {
			offer := offers[(rotation+i)%len(offers)]
			earliest.Offer(offer.timeMS, offer.text)
			latest.Offer(offer.timeMS, offer.text)
		}
		if earliest.Until(2) != some("a") || earliest.Until(1).Present() || latest.Get() != some("d") {
			t.Errorf("%v %v", earliest, latest)
		}
	}
}

func TestMergingKeepsTheEarlierOrTheLater(t *testing.T) {
	var early, late, none metric.EarliestText
	early.Offer(1, metric.Some("z"))
	late.Offer(2, metric.Some("a"))
	late.Merge(early)
	early.Merge(none)
	none.Merge(early)
	if late != early || none != early || early.Get() != metric.Some("z") {
		t.Error(early, late, none)
	}
	var first, last, empty metric.LatestText
	first.Offer(1, metric.Some("z"))
	last.Offer(2, metric.Some("a"))
	first.Merge(last)
	last.Merge(empty)
	empty.Merge(last)
	if first != last || empty != last || last.Get() != metric.Some("a") {
		t.Error(first, last, empty)
	}
}
