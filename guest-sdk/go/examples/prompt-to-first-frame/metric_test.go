// Known answers from real sessions, and the edges of the definition.
package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/capture"
	"github.com/tidemark/tidemark/guest-sdk/go/metric"
	"github.com/tidemark/tidemark/guest-sdk/go/metrictest"
)

func trace(kind string, timeMS int64, orchestrator string) string {
	return fmt.Sprintf(`{"type": "stream_trace", "timestamp": "%d", "gateway": "g", "data": {"type": "%s",
		"request_id": "r", "stream_id": "s", "timestamp": %[1]d, "orchestrator_info": {"address": "%[3]s"}}}`,
		timeMS, kind, orchestrator)
}

func request(timeMS int64) string { return trace("gateway_receive_stream_request", timeMS, "") }

func segment(timeMS int64, orchestrator string) string {
	return trace("gateway_receive_first_processed_segment", timeMS, orchestrator)
}

// answer is what of a row depends on its segment.
type answer struct {
	latencyMS    metric.Optional[int64]
	orchestrator metric.Optional[string]
	matched      bool
}

func rowsOf(t *testing.T, events ...string) (answers []answer) {
	t.Helper()
	driver := metrictest.New(t, Metric)
	for _, event := range events {
		driver.Event(event)
	}
	driver.Finish()
	for _, row := range driver.Rows() {
		answers = append(answers, answer{row.Output.LatencyMS, row.Output.Orchestrator, row.Output.Matched})
	}
	return answers
}

func matched(latencyMS int64, orchestrator string) answer {
	return answer{metric.Some(latencyMS), metric.Some(orchestrator), true}
}

func TestRealSessionsHaveTheirKnownAnswers(t *testing.T) {
	expected := []struct {
		file, requestID string
		latencyMS       metric.Optional[int64]
	}{
		{"session_db936fab.jsonl", "db936fab", metric.Some[int64](2655)},
		{"session_bd1cd871_swap.jsonl", "bd1cd871", metric.Some[int64](10_777)},
		{"session_a06463a9_no_orchestrator.jsonl", "a06463a9", metric.None[int64]()},
	}
	for _, session := range expected {
		lines := capture.Lines(t, session.file)
		if lines == nil {
			return
		}
		driver := metrictest.New(t, Metric)
		driver.Events(lines...)
		driver.Finish()
		rows := driver.Rows()
		if len(rows) != 1 {
			t.Fatalf("%s: %d rows instead of one request", session.file, len(rows))
		}
		row := rows[0].Output
		isMatched := session.latencyMS.Present()
		if row.RequestID != session.requestID || row.LatencyMS != session.latencyMS || row.Matched != isMatched ||
			row.Orchestrator.Present() != isMatched {
			t.Errorf("%s: %+v", session.file, row)
		}
	}
}

func TestARowHasTheTimesOfThePairAndTheNamesOfTheRequest(t *testing.T) {
	driver := metrictest.New(t, Metric)
	driver.Event(request(1000))
	driver.Event(segment(3500, "0xa"))
	driver.AdvanceWatermark(3499)
	if len(driver.Rows()) != 0 {
		t.Fatal("an earlier segment may still come")
	}
	driver.AdvanceWatermark(3500)
	expected := []metrictest.Row[Latency]{{
		Key: "r", WindowStartMS: 1000, WindowEndMS: 1001, EventTimeMS: 3500,
		Output: Latency{
			RequestID: "r", StreamID: metric.Some("s"), Gateway: metric.Some("g"),
			Orchestrator: metric.Some("0xa"), LatencyMS: metric.Some[int64](2500), Matched: true,
		},
	}}
	if !slices.Equal(driver.Rows(), expected) {
		t.Errorf("%+v", driver.Rows())
	}
}

func TestTheFirstSegmentCountsInAnyOrderOfArrival(t *testing.T) {
	first := []answer{matched(2000, "0xa")}
	for _, events := range [][]string{
		{segment(9000, "0xb"), segment(3000, "0xa"), request(1000)},
		{request(1000), segment(9000, "0xb"), segment(3000, "0xa")},
	} {
		if found := rowsOf(t, events...); !slices.Equal(found, first) {
			t.Errorf("%+v", found)
		}
	}
}

func TestBothBoundsBelongToTheInterval(t *testing.T) {
	for distanceMS, expected := range map[int64]bool{-10_001: false, -10_000: true, 60_000: true, 60_001: false} {
		if found := rowsOf(t, request(100_000), segment(100_000+distanceMS, "0xa")); found[0].matched != expected {
			t.Errorf("%d: %+v", distanceMS, found)
		}
	}
}

func TestANegativeLatencyIsNullAndZeroIsNot(t *testing.T) {
	latencies := map[int64]metric.Optional[int64]{-1: metric.None[int64](), 0: metric.Some[int64](0), 1: metric.Some[int64](1)}
	for distanceMS, expected := range latencies {
		if found := rowsOf(t, request(5000), segment(5000+distanceMS, "0xa")); found[0].latencyMS != expected {
			t.Errorf("%d: %+v", distanceMS, found)
		}
	}
}

func TestARequestWithoutASegmentComesWhenNoSegmentCan(t *testing.T) {
	driver := metrictest.New(t, Metric)
	driver.Event(request(1000))
	driver.AdvanceWatermark(60_999)
	if len(driver.Rows()) != 0 {
		t.Fatal("a segment may still come")
	}
	driver.AdvanceWatermark(61_000)
	if rows := driver.Rows(); len(rows) != 1 || rows[0].Output.Matched || rows[0].Output.LatencyMS.Present() {
		t.Errorf("%+v", rows)
	}
}

func TestASegmentAloneIsNoRowAndAnEmptyOrchestratorIsNull(t *testing.T) {
	if found := rowsOf(t, segment(1000, "0xa")); found != nil {
		t.Errorf("%+v", found)
	}
	expected := []answer{{latencyMS: metric.Some[int64](500), matched: true}}
	if found := rowsOf(t, request(1000), segment(1500, "")); !slices.Equal(found, expected) {
		t.Errorf("%+v", found)
	}
}
