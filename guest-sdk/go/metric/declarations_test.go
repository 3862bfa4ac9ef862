// What cannot be meant is refused where it is declared, all of it at once.
package metric_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/guest-sdk/go/metric"
)

type fold[I, S, O any] struct{}

func (fold[I, S, O]) Update(*S, metric.Rows[I], *metric.Context[O]) error    { return nil }
func (fold[I, S, O]) Close(*S, metric.CloseReason, *metric.Context[O]) error { return nil }

type number struct {
	N metric.Optional[int64] `at:"data.n"`
}

type noPath struct{ N metric.Optional[int64] }

type notOptional struct {
	N int64 `at:"data.n"`
}

type wrongPath struct {
	N metric.Optional[int64] `at:"payload.n"`
}

type one struct{ N int64 }

type taken struct{ Key string }

type twice struct {
	A int64
	B int64 `column:"a"`
}

type wrongState struct{ N map[float64]int64 }

type wrongMerge struct{ fold[number, one, one] }

func (wrongMerge) Merge(*one, *one) error { return nil }

type wrongSetting struct {
	fold[number, one, one]
	Limit float32 `setting:"limit"`
}

// mistakes are those of a metric with these differences to a right one.
func mistakes[I, S, O any](metricUnderTest metric.Fold[I, S, O], change func(*metric.Facts)) (found string) {
	facts := metric.Facts{Name: "x", Version: "1.0.0", Key: "data.k", Window: metric.Tumbling{Size: time.Second}}
	change(&facts)
	defer func() {
		if cause := recover(); cause != nil {
			found = fmt.Sprint(cause)
		}
	}()
	metric.Export[I, S, O](metricUnderTest, facts)
	return ""
}

func TestEachMistakeHasItsSentence(t *testing.T) {
	same := func(*metric.Facts) {}
	right := fold[number, one, one]{}
	with := func(change func(*metric.Facts)) string { return mistakes(right, change) }
	window := func(window metric.Window) string {
		return with(func(facts *metric.Facts) { facts.Window = window })
	}
	both := metric.Filter{"type": metric.Present}
	if found := mistakes(right, same); found != "" {
		t.Error(found)
	}
	for _, test := range []struct{ found, sentence string }{
		{with(func(facts *metric.Facts) { facts.Name = "Bad_Name" }), "lower-case letters"},
		{with(func(facts *metric.Facts) { facts.Version = "1.0" }), "semantic version"},
		{with(func(facts *metric.Facts) { facts.Key = "stream_id" }), "a path begins with"},
		{with(func(facts *metric.Facts) { facts.Filter = metric.Filter{"data..x": metric.Absent} }), "a dot between them"},
		{window(nil), "Facts.Window is missing"},
		{window(metric.Session{Gap: time.Second}), "sessions grow together"},
		{window(metric.Tumbling{}), "Tumbling.Size must be positive"},
		{window(metric.Tumbling{Size: time.Second, Offset: time.Second}), "shorter than the window"},
		{window(metric.Tumbling{Size: time.Microsecond}), "whole milliseconds"},
		{window(metric.Sliding{Size: time.Second}), "Sliding.Every must be positive"},
		{window(metric.PerKey{TTL: -1}), "PerKey.TTL must be positive"},
		{window(metric.IntervalJoin{Left: both, Right: both, Upper: time.Second}), "belongs to ExportJoin"},
		{window(metric.IntervalJoin{Left: both, Right: both, LowerExclusive: true}), "no time lies between"},
		{mistakes(fold[noPath, one, one]{}, same), "say where its value stands"},
		{mistakes(fold[notOptional, one, one]{}, same), "an event may lack it"},
		{mistakes(fold[wrongPath, one, one]{}, same), "a path begins with"},
		{mistakes(fold[number, wrongState, one]{}, same), "keys of a map"},
		{mistakes(fold[number, one, taken]{}, same), "every row has a column `key` already"},
		{mistakes(fold[number, one, twice]{}, same), "two columns `a`"},
		{mistakes(wrongMerge{}, same), "the method Merge must be Merge(state *one, later one) error"},
		{mistakes(wrongSetting{}, same), "but a setting is"},
	} {
		if !strings.Contains(test.found, test.sentence) {
			t.Errorf("%q is not in %q", test.sentence, test.found)
		}
	}
}

func TestAllMistakesComeAtOnce(t *testing.T) {
	found := mistakes(fold[number, one, one]{}, func(facts *metric.Facts) { *facts = metric.Facts{} })
	if strings.Count(found, "\n") != 4 {
		t.Error(found)
	}
}
