// Tumbling, sliding and session windows, as the runtime has them.

package metrictest

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// grouping is a window at work: which rows belong together, and when they are due.
type grouping interface {
	// fold adds records, which are in canonical order.
	fold(caller *caller, records []*record, watermark int64)
	// advance closes what is due.
	advance(caller *caller, watermark int64)
	// lateRows is how many rows came too late.
	lateRows() int
}

// plus is a moment, at most the end of time.
func plus(timeMS, durationMS int64) int64 {
	if sum := timeMS + durationMS; durationMS < 0 || sum >= timeMS {
		return sum
	}
	return math.MaxInt64
}

// place is that of a pane: panes that end first come first.
type place struct {
	window span
	key    string
}

func (a place) compare(b place) int {
	return cmp.Or(cmp.Compare(a.window.end, b.window.end), cmp.Compare(a.window.start, b.window.start), cmp.Compare(a.key, b.key))
}

func sorted[V any](places map[place]V) []place {
	return slices.SortedFunc(maps.Keys(places), place.compare)
}

// aligned is tumbling and sliding windows.
type aligned struct {
	sizeMS, slideMS, offsetMS, latenessMS int64
	late                                  int
	panes                                 map[place]pane
}

type pane struct {
	state []byte
	fired bool
}

func (aligned *aligned) lateRows() int { return aligned.late }

// windows are those that a moment belongs to.
func (aligned *aligned) windows(timeMS int64) (windows []span) {
	since := (timeMS - aligned.offsetMS) % aligned.slideMS
	if since < 0 {
		since += aligned.slideMS
	}
	for start := timeMS - since; timeMS-start < aligned.sizeMS; start -= aligned.slideMS {
		windows = append(windows, span{start, plus(start, aligned.sizeMS)})
	}
	return windows
}

func (aligned *aligned) fold(caller *caller, records []*record, watermark int64) {
	touched := map[place][]*record{}
	for _, record := range records {
		isLate := true
		for _, window := range aligned.windows(record.timeMS) {
			if plus(window.last(), aligned.latenessMS) > watermark {
				isLate = false
				place := place{window, record.key}
				touched[place] = append(touched[place], record)
			}
		}
		if isLate {
			aligned.late++
		}
	}
	places := sorted(touched)
	var calls []groupCall
	var due []place
	for _, place := range places {
		calls = append(calls, aligned.call(place, touched[place]))
		if place.window.last() <= watermark {
			due = append(due, place)
		}
	}
	for i, answer := range caller.call(calls, updating) {
		aligned.panes[places[i]] = pane{state: answer.state}
	}
	aligned.fire(caller, due)
}

func (aligned *aligned) advance(caller *caller, watermark int64) {
	var due []place
	for _, place := range sorted(aligned.panes) {
		if !aligned.panes[place].fired && place.window.last() <= watermark {
			due = append(due, place)
		}
	}
	aligned.fire(caller, due)
	maps.DeleteFunc(aligned.panes, func(place place, _ pane) bool {
		return plus(place.window.last(), aligned.latenessMS) <= watermark
	})
}

func (aligned *aligned) fire(caller *caller, places []place) {
	var calls []groupCall
	for _, place := range places {
		calls = append(calls, aligned.call(place, nil))
	}
	for i, answer := range caller.call(calls, contract.WindowEnd) {
		aligned.panes[places[i]] = pane{answer.state, true}
	}
}

func (aligned *aligned) call(place place, records []*record) groupCall {
	return groupCall{place.key, place.window, place.window.last(), aligned.panes[place].state, records}
}

// sessions merge states as rows close the gaps between sessions.
type sessions struct {
	gapMS int64
	late  int
	// The open sessions of each key, by start.
	open   map[string][]span
	states map[place][]byte
}

func (sessions *sessions) lateRows() int { return sessions.late }

func (sessions *sessions) fold(caller *caller, records []*record, watermark int64) {
	for _, one := range records {
		spans, session := sessions.open[one.key], span{one.timeMS, plus(one.timeMS, sessions.gapMS)}
		// Sessions that only touch are one.
		first := sort.Search(len(spans), func(i int) bool { return spans[i].end >= session.start })
		last := sort.Search(len(spans), func(i int) bool { return spans[i].start > session.end })
		absorbed := slices.Clone(spans[first:last])
		if len(absorbed) > 0 {
			session.start = min(session.start, absorbed[0].start)
			session.end = max(session.end, absorbed[len(absorbed)-1].end)
		}
		if session.last() <= watermark {
			sessions.late++
			continue
		}
		sessions.open[one.key] = slices.Replace(spans, first, last, session)
		var state []byte
		for i, window := range absorbed {
			place := place{window, one.key}
			if before := sessions.states[place]; i == 0 {
				state = before
			} else {
				state = caller.merge(one.key, state, before)
			}
			delete(sessions.states, place)
		}
		call := groupCall{one.key, session, session.last(), state, []*record{one}}
		sessions.states[place{session, one.key}] = caller.call([]groupCall{call}, updating)[0].state
	}
}

func (sessions *sessions) advance(caller *caller, watermark int64) {
	var calls []groupCall
	for _, place := range sorted(sessions.states) {
		if window := place.window; window.last() <= watermark {
			calls = append(calls, groupCall{place.key, window, window.last(), sessions.states[place], nil})
			delete(sessions.states, place)
			open := sessions.open[place.key]
			sessions.open[place.key] = slices.DeleteFunc(open, func(other span) bool { return other == window })
		}
	}
	caller.call(calls, contract.WindowEnd)
}
