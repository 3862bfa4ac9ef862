// Key windows, as the runtime has them.

package metrictest

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// keyed is a window per key: one state, timers, and a time to live.
type keyed struct {
	// 0 is for ever.
	ttlMS  int64
	states map[string]keyState
	timers map[due]bool
}

type keyState struct {
	state    []byte
	newestMS int64
}

// due is a timer of the metric's, or the expiry of a key, which comes after the timers of the same moment.
type due struct {
	timeMS   int64
	isExpiry bool
	key      string
}

func (a due) compare(b due) int {
	expiry := 0
	if a.isExpiry != b.isExpiry {
		expiry = -1
		if a.isExpiry {
			expiry = 1
		}
	}
	return cmp.Or(cmp.Compare(a.timeMS, b.timeMS), expiry, cmp.Compare(a.key, b.key))
}

func (keyed *keyed) lateRows() int { return 0 }

func (keyed *keyed) fold(caller *caller, records []*record, watermark int64) {
	byKey := map[string][]*record{}
	for _, record := range records {
		byKey[record.key] = append(byKey[record.key], record)
	}
	var calls []groupCall
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		own := byKey[key]
		calls = append(calls, keyed.call(key, own[len(own)-1].timeMS, own))
	}
	for i, answer := range caller.call(calls, updating) {
		key, newestMS := calls[i].key, calls[i].timeMS
		if before, known := keyed.states[key]; known {
			newestMS = max(newestMS, before.newestMS)
		}
		if keyed.ttlMS > 0 {
			keyed.timers[due{plus(newestMS, keyed.ttlMS), true, key}] = true
		}
		keyed.keep(key, newestMS, answer)
	}
	keyed.advance(caller, watermark)
}

func (keyed *keyed) advance(caller *caller, watermark int64) {
	// A call may set a timer that is due at once, so this goes on until there is none.
	for len(keyed.timers) > 0 {
		next := slices.MinFunc(slices.Collect(maps.Keys(keyed.timers)), due.compare)
		if next.timeMS > watermark {
			return
		}
		delete(keyed.timers, next)
		state, known := keyed.states[next.key]
		call := []groupCall{keyed.call(next.key, next.timeMS, nil)}
		switch {
		case !known:
		case !next.isExpiry:
			keyed.keep(next.key, state.newestMS, caller.call(call, contract.Timer)[0])
		case plus(state.newestMS, keyed.ttlMS) <= next.timeMS:
			caller.call(call, contract.Expired)
			delete(keyed.states, next.key)
		}
	}
}

func (keyed *keyed) keep(key string, newestMS int64, answer answer) {
	for _, timeMS := range answer.timers {
		keyed.timers[due{timeMS, false, key}] = true
	}
	if len(answer.state) == 0 && len(answer.timers) == 0 {
		delete(keyed.states, key)
	} else {
		keyed.states[key] = keyState{answer.state, newestMS}
	}
}

func (keyed *keyed) call(key string, timeMS int64, records []*record) groupCall {
	return groupCall{key, span{math.MinInt64, math.MaxInt64}, timeMS, keyed.states[key].state, records}
}
