// What an author declares of a metric besides its types: name, key, filter and window.

package metric

import (
	"maps"
	"slices"
	"time"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// Facts are what is known of a metric before it sees an event. Name, version and key are required, and a window.
// A deployment may choose another filter, key and window.
type Facts struct {
	// Name has lower-case letters, digits and hyphens. The metric's rows are events of type metric.<name>.
	Name string
	// Version is the module's semantic version. Every row carries it.
	Version string
	// Doc is a sentence for people.
	Doc string
	// Key is the path of the key: "data.stream_id".
	Key string
	// Filter says which events the metric wants.
	Filter Filter
	// Window says how rows are grouped: Tumbling, Sliding, Session, PerKey or IntervalJoin.
	Window Window
	// StateVersion is the version of the state's encoding, 1 where it is not given. Raise it when the state's fields
	// change.
	StateVersion uint32
}

// Filter has conditions by path; an event passes if all of them hold.
//
//	metric.Filter{"type": metric.OneOf("ai_stream_status"), "data.stream_id": metric.Present}
type Filter map[string]Condition

// Condition is what a path must hold: OneOf, Present or Absent.
type Condition struct{ condition contract.Condition }

// OneOf holds for a path with one of these texts.
func OneOf(texts ...string) Condition {
	return Condition{contract.Condition{OneOf: append([]string{}, texts...)}}
}

var (
	// Present holds for a path with something other than null and the empty text.
	Present = Condition{contract.Condition{Present: true}}
	// Absent holds for a path with nothing, null or the empty text.
	Absent = Condition{}
)

// sorted is the filter in an order that is always the same.
func (filter Filter) sorted() contract.Filter {
	var sorted contract.Filter
	for _, path := range slices.Sorted(maps.Keys(filter)) {
		sorted = append(sorted, contract.PathCondition{Path: path, Condition: filter[path].condition})
	}
	return sorted
}

// Window is how rows are grouped in event time. Windows are half-open; durations are whole milliseconds.
type Window interface {
	facts(check *mistakes) contract.Window
}

// Tumbling windows follow each other: [n·Size + Offset, (n+1)·Size + Offset).
type Tumbling struct{ Size, Offset time.Duration }

// Sliding windows have a size, and one starts at every so much.
type Sliding struct{ Size, Every, Offset time.Duration }

// Session windows have rows within a gap of each other. The metric needs Merge.
type Session struct{ Gap time.Duration }

// PerKey is one window for all rows of a key, with timers. Its state is dropped when no row came for TTL of event time;
// without one it stays for ever.
type PerKey struct{ TTL time.Duration }

// IntervalJoin pairs rows of one key with Lower ≤ right − left ≤ Upper in event time. It belongs to ExportJoin.
// Rows without a partner count where the metric has UnmatchedLeft or UnmatchedRight.
type IntervalJoin struct {
	// Left and Right say which events are on which side, on top of the metric's filter.
	Left, Right Filter
	// Lower and Upper are the bounds, which count unless they are exclusive.
	Lower, Upper                   time.Duration
	LowerExclusive, UpperExclusive bool
	// TakeFirst pairs each left row with the first right row in event time alone.
	TakeFirst bool
}

func (window Tumbling) facts(check *mistakes) contract.Window {
	size, offset := check.positive("Tumbling.Size", window.Size), check.milliseconds("Tumbling.Offset", window.Offset)
	check.that(max(offset, -offset) < max(size, 1), "Tumbling.Offset must be shorter than the window")
	return contract.Window{Kind: contract.Tumbling, SizeMS: size, OffsetMS: offset}
}

func (window Sliding) facts(check *mistakes) contract.Window {
	size, slide := check.positive("Sliding.Size", window.Size), check.positive("Sliding.Every", window.Every)
	offset := check.milliseconds("Sliding.Offset", window.Offset)
	check.that(max(offset, -offset) < max(slide, 1), "Sliding.Offset must be shorter than Sliding.Every")
	return contract.Window{Kind: contract.Sliding, SizeMS: size, SlideMS: slide, OffsetMS: offset}
}

func (window Session) facts(check *mistakes) contract.Window {
	return contract.Window{Kind: contract.Session, GapMS: check.positive("Session.Gap", window.Gap)}
}

func (window PerKey) facts(check *mistakes) contract.Window {
	facts := contract.Window{Kind: contract.PerKey}
	if window.TTL != 0 {
		facts.TTLMS = check.positive("PerKey.TTL", window.TTL)
	}
	return facts
}

func (window IntervalJoin) facts(check *mistakes) contract.Window {
	facts := contract.Window{
		Kind:       contract.IntervalJoin,
		LeftFilter: check.filter("IntervalJoin.Left", window.Left), RightFilter: check.filter("IntervalJoin.Right", window.Right),
		LowerMS: check.milliseconds("IntervalJoin.Lower", window.Lower), LowerExclusive: window.LowerExclusive,
		UpperMS: check.milliseconds("IntervalJoin.Upper", window.Upper), UpperExclusive: window.UpperExclusive,
		TakeFirst: window.TakeFirst,
	}
	lower, upper := facts.LowerMS, facts.UpperMS
	if window.LowerExclusive {
		lower++
	}
	if window.UpperExclusive {
		upper--
	}
	check.that(len(window.Left) > 0 && len(window.Right) > 0, "IntervalJoin needs Left and Right")
	check.that(lower <= upper, "no time lies between IntervalJoin.Lower and IntervalJoin.Upper")
	return facts
}
