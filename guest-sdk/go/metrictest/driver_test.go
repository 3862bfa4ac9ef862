// The test driver itself: its windows are those of the runtime, and it finds impure metrics.
package metrictest_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/guest-sdk/go/metric"
	"github.com/tidemark/tidemark/guest-sdk/go/metrictest"
)

// numbers joins the numbers of a key.
type numbers struct{}

type number struct {
	N metric.Optional[int64] `at:"data.n"`
}

type seen struct{ numbers []int64 }

type joined struct{ Numbers, Reason string }

func (numbers) Update(seen *seen, rows metric.Rows[number], ctx *metric.Context[joined]) error {
	for _, row := range rows.All() {
		switch n, ok := row.N.Get(); {
		case !ok:
			return errors.New("no number")
		// In key windows, numbers over 100 are timers, and 0 forgets.
		case n >= 100:
			ctx.TimerAt(n)
		case n == 0:
			ctx.Forget()
		default:
			seen.numbers = append(seen.numbers, n)
		}
	}
	return nil
}

func (numbers) Close(seen *seen, reason metric.CloseReason, ctx *metric.Context[joined]) error {
	words := map[metric.CloseReason]string{metric.WindowEnd: "end", metric.TimerDue: "timer", metric.Expired: "expired"}
	ctx.Emit(joined{strings.Trim(fmt.Sprint(seen.numbers), "[]"), words[reason]})
	return nil
}

func (numbers) Merge(seen *seen, later seen) error {
	seen.numbers = append(seen.numbers, later.numbers...)
	return nil
}

var numbersMetric = metric.Export[number, seen, joined](numbers{}, metric.Facts{
	Name: "numbers", Version: "1.0.0", Key: "data.k", Window: metric.Tumbling{Size: 10 * time.Millisecond},
})

func event(kind, key string, timeMS, n int64) string {
	return fmt.Sprintf(`{"type": "%s", "timestamp": "%d", "data": {"k": "%s", "n": %d}}`, kind, timeMS, key, n)
}

type given struct {
	key       string
	timeMS, n int64
}

func (given given) event() string { return event("number", given.key, given.timeMS, given.n) }

func feed(driver *metrictest.Driver[joined], events ...given) {
	for _, given := range events {
		driver.Event(given.event())
	}
}

// expect compares key, window start, event time, numbers and reason of each row.
func expect(t *testing.T, driver *metrictest.Driver[joined], expected ...string) {
	t.Helper()
	var found []string
	for _, row := range driver.Rows() {
		start := fmt.Sprint(row.WindowStartMS)
		if row.WindowStartMS == math.MinInt64 {
			start = "ever"
		}
		found = append(found, fmt.Sprintf("%s %s %d [%s] %s", row.Key, start, row.EventTimeMS, row.Output.Numbers, row.Output.Reason))
	}
	if !slices.Equal(found, expected) {
		t.Errorf("%q\nis not\n%q", found, expected)
	}
}

func TestABatchIsInEventTimeOrderAndWindowsCloseByEndAndKey(t *testing.T) {
	driver := metrictest.New(t, numbersMetric)
	var lines []string
	for _, given := range []given{{"b", 15, 5}, {"b", 9, 3}, {"a", 9, 4}, {"b", 1, 2}, {"a", 1, 1}} {
		lines = append(lines, given.event())
	}
	driver.Events(lines...)
	driver.Finish()
	expect(t, driver, "a 0 9 [1 4] end", "b 0 9 [2 3] end", "b 10 19 [5] end")
}

func TestAWindowWithinTheAllowedLatenessFiresAgain(t *testing.T) {
	driver := metrictest.New(t, numbersMetric, metrictest.WithAllowedLateness(5))
	feed(driver, given{"a", 1, 1})
	driver.AdvanceWatermark(13)
	feed(driver, given{"a", 2, 2})
	expect(t, driver, "a 0 9 [1] end", "a 0 9 [1 2] end")
	driver.AdvanceWatermark(14)
	feed(driver, given{"a", 3, 3})
	driver.Finish()
	if len(driver.Rows()) != 2 || driver.Late() != 1 {
		t.Error(driver.Rows(), driver.Late())
	}
}

func TestARowIsInEachWindowThatCoversIt(t *testing.T) {
	sliding := metric.Sliding{Size: 10 * time.Millisecond, Every: 5 * time.Millisecond}
	driver := metrictest.New(t, numbersMetric, metrictest.WithWindow(sliding))
	feed(driver, given{"a", 7, 1})
	driver.Finish()
	expect(t, driver, "a 0 9 [1] end", "a 5 14 [1] end")
	starts := map[int64]map[time.Duration]int64{0: {0: 0}, 59: {0: 0}, 60: {0: 60}, -1: {0: -60}, 14: {15: -45}, 44: {-15: -15}}
	for timeMS, byOffset := range starts {
		for offset, start := range byOffset {
			window := metric.Tumbling{Size: 60 * time.Millisecond, Offset: offset * time.Millisecond}
			driver := metrictest.New(t, numbersMetric, metrictest.WithWindow(window))
			feed(driver, given{"a", timeMS, 1})
			driver.Finish()
			if found := driver.Rows()[0].WindowStartMS; found != start {
				t.Errorf("%d with offset %d is in the window from %d, not %d", timeMS, offset, found, start)
			}
		}
	}
}

func TestSessionsMergeWithTheEarlierOneFirst(t *testing.T) {
	driver := metrictest.New(t, numbersMetric, metrictest.WithWindow(metric.Session{Gap: 10 * time.Millisecond}))
	feed(driver, given{"a", 20, 3}, given{"a", 0, 1}, given{"a", 50, 9}, given{"a", 10, 2})
	driver.AdvanceWatermark(29)
	expect(t, driver, "a 0 29 [1 3 2] end")
	feed(driver, given{"a", 12, 7})
	driver.Finish()
	if len(driver.Rows()) != 2 || driver.Late() != 1 {
		t.Error(driver.Rows(), driver.Late())
	}
}

func TestAKeyHasTimersAndATimeToLive(t *testing.T) {
	driver := metrictest.New(t, numbersMetric, metrictest.WithWindow(metric.PerKey{TTL: time.Second}))
	feed(driver, given{"a", 1, 7}, given{"a", 2, 200}, given{"a", 3, 150}, given{"b", 4, 100})
	driver.AdvanceWatermark(150)
	expect(t, driver, "b ever 100 [] timer", "a ever 150 [7] timer")
	feed(driver, given{"a", 400, 8})
	driver.Finish()
	expect(t, driver, "b ever 100 [] timer", "a ever 150 [7] timer", "a ever 200 [7 8] timer", "b ever 1004 [] expired",
		"a ever 1400 [7 8] expired")
}

func TestAForgottenKeyIsGone(t *testing.T) {
	driver := metrictest.New(t, numbersMetric, metrictest.WithWindow(metric.PerKey{TTL: 10 * time.Millisecond}))
	feed(driver, given{"a", 1, 7}, given{"a", 2, 0})
	driver.Finish()
	expect(t, driver)
}

func TestAFailureLeavesTheStateAsItWas(t *testing.T) {
	driver := metrictest.New(t, numbersMetric)
	feed(driver, given{"a", 1, 1})
	driver.Events(`{"timestamp": 2, "data": {"k": "a", "n": 2}}`, `{"timestamp": 3, "data": {"k": "a"}}`)
	feed(driver, given{"a", 4, 4})
	driver.Finish()
	expect(t, driver, "a 0 9 [1 4] end")
	if !slices.Equal(driver.Failures(), []string{"a: no number"}) {
		t.Error(driver.Failures())
	}
}

func TestEventsAreReadAsTheRuntimeReadsThem(t *testing.T) {
	driver := metrictest.New(t, numbersMetric)
	driver.Events(
		`{"timestamp": 99, "data": "{\"k\": \"a\", \"n\": \"1\", \"timestamp\": 1}"}`,
		`{"timestamp": "2", "data": {"k": "a", "n": 2.0}}`,
		`{"timestamp": 3, "data": {"k": "", "n": 3}}`,
		`{"timestamp": 4, "data": {"n": 4}}`,
		"",
	)
	driver.Finish()
	expect(t, driver, "a 0 9 [1 2] end")
	expected := `{"type":"metric.numbers","timestamp":9,"data":{"numbers":"1 2","reason":"end","key":"a"}}`
	if events := driver.RowsAsEvents(); !slices.Equal(events, []string{expected}) {
		t.Error(events)
	}
}

// calls counts its calls, which no metric may.
type calls struct{}

type count struct{ Calls int }

var callsSoFar int

func (calls) Update(_ *struct{}, _ metric.Rows[number], ctx *metric.Context[count]) error {
	callsSoFar++
	ctx.Emit(count{callsSoFar})
	return nil
}

func (calls) Close(*struct{}, metric.CloseReason, *metric.Context[count]) error { return nil }

// listener is a test that must fail.
type listener struct {
	testing.TB
	message string
}

func (listener *listener) Helper() {}

func (listener *listener) Fatalf(format string, arguments ...any) {
	listener.message = fmt.Sprintf(format, arguments...)
}

func TestAnImpureMetricIsFound(t *testing.T) {
	callsMetric := metric.Export[number, struct{}, count](calls{}, metric.Facts{
		Name: "calls", Version: "1.0.0", Key: "data.k", Window: metric.Tumbling{Size: 10 * time.Millisecond},
	})
	listener := &listener{TB: t}
	metrictest.New(listener, callsMetric).Event(event("number", "a", 1, 1))
	if !strings.Contains(listener.message, "the answer depends on the other groups of the call") {
		t.Error(listener.message)
	}
}

// pairs is a join of times.
type pairs struct{}

type pair struct{ Left, Right metric.Optional[int64] }

func (pairs) Matched(left, right number, ctx *metric.Context[pair]) error {
	ctx.Emit(pair{left.N, right.N})
	return nil
}

func (pairs) UnmatchedLeft(left number, ctx *metric.Context[pair]) error {
	ctx.Emit(pair{Left: left.N})
	return nil
}

func (pairs) UnmatchedRight(right number, ctx *metric.Context[pair]) error {
	ctx.Emit(pair{Right: right.N})
	return nil
}

func join(lower, upper time.Duration) metric.IntervalJoin {
	return metric.IntervalJoin{
		Left: metric.Filter{"type": metric.OneOf("l")}, Right: metric.Filter{"type": metric.OneOf("r")},
		Lower: lower * time.Millisecond, Upper: upper * time.Millisecond,
	}
}

var pairsMetric = metric.ExportJoin[number, number, pair](pairs{}, metric.Facts{
	Name: "pairs", Version: "1.0.0", Key: "data.k", Window: join(-1, 1),
})

// pairsOf are the pairs of L and R at 1 to 4, as two digits each.
func pairsOf(t *testing.T, window metric.IntervalJoin, sides ...string) (found []int64) {
	driver := metrictest.New(t, pairsMetric, metrictest.WithWindow(window))
	for _, side := range sides {
		for timeMS := range int64(4) {
			driver.Event(event(side, "a", timeMS+1, timeMS+1))
		}
	}
	driver.Finish()
	for _, row := range driver.Rows() {
		found = append(found, row.Output.Left.Or(0)*10+row.Output.Right.Or(0))
	}
	slices.Sort(found)
	return found
}

func TestJoinsPairWhatFlinkPairs(t *testing.T) {
	exclusive := func(lower, upper time.Duration) metric.IntervalJoin {
		window := join(lower, upper)
		window.LowerExclusive, window.UpperExclusive = true, true
		return window
	}
	first := join(-1, -1)
	first.TakeFirst = true
	// Rows without a partner are among them: 3 is a lonely right row, 30 a lonely left one.
	for _, test := range []struct {
		window   metric.IntervalJoin
		expected []int64
	}{
		{join(-2, -1), []int64{4, 10, 21, 31, 32, 42, 43}},
		{join(-1, 1), []int64{11, 12, 21, 22, 23, 32, 33, 34, 43, 44}},
		{join(1, 2), []int64{1, 12, 13, 23, 24, 34, 40}},
		{exclusive(-3, -1), []int64{3, 4, 10, 20, 31, 42}},
		{exclusive(-1, 1), []int64{11, 22, 33, 44}},
		{exclusive(1, 3), []int64{1, 2, 13, 24, 30, 40}},
		{first, []int64{4, 10, 21, 32, 43}},
	} {
		for _, sides := range [][]string{{"l", "r"}, {"r", "l"}} {
			if found := pairsOf(t, test.window, sides...); !slices.Equal(found, test.expected) {
				t.Errorf("%+v, %v: %v is not %v", test.window, sides, found, test.expected)
			}
		}
	}
}
