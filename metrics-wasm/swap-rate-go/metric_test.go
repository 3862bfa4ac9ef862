// The share on hand-made rows.
package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tidemark/tidemark/guest-sdk/go/metric"
	"github.com/tidemark/tidemark/guest-sdk/go/metrictest"
)

func request(timeMS int64, orchestrator, swaps string) string {
	return fmt.Sprintf(`{"type": "metric.startup-outcome", "timestamp": %d,
		"data": {"orchestrator": %q, "swaps": %s}}`, timeMS, orchestrator, swaps)
}

// rowsOf is a line for each row: key, start of the hour, requests, swapped ones, rate.
func rowsOf(t *testing.T, events ...string) []string {
	t.Helper()
	driver := metrictest.New(t, Metric)
	driver.Events(events...)
	driver.Finish()
	var lines []string
	for _, row := range driver.Rows() {
		lines = append(lines, fmt.Sprint(row.Key, row.WindowStartMS, row.Output))
	}
	return lines
}

func expect(t *testing.T, found []string, expected ...string) {
	t.Helper()
	if !slices.Equal(found, expected) {
		t.Errorf("%q instead of %q", found, expected)
	}
}

func TestARequestCountsOnceHoweverOftenItWasSwapped(t *testing.T) {
	rows := rowsOf(t, request(0, "0xa", "0"), request(1, "0xa", "3"), request(2, "0xa", "1"), request(3, "0xa", "null"))
	expect(t, rows, "0xa0 {4 2 0.5}")
}

func TestEachOrchestratorAndHourHasItsOwn(t *testing.T) {
	rows := rowsOf(t, request(0, "0xa", "1"), request(0, "0xb", "0"), request(3_599_999, "0xa", "0"),
		request(3_600_000, "0xa", "0"))
	expect(t, rows, "0xa0 {2 1 0.5}", "0xb0 {1 0 0}", "0xa3600000 {1 0 0}")
}

func TestRequestsThatNobodyTookAreLeftOut(t *testing.T) {
	expect(t, rowsOf(t, request(0, "", "0")))
}

func TestHoursMerge(t *testing.T) {
	driver := metrictest.New(t, Metric, metrictest.WithWindow(metric.Session{Gap: 1_000_000}))
	driver.Events(request(0, "0xa", "1"), request(2, "0xa", "0"), request(1, "0xa", "0"))
	driver.Finish()
	if rows := driver.Rows(); len(rows) != 1 || rows[0].Output.Requested != 3 || rows[0].Output.Swapped != 1 {
		t.Errorf("%+v", rows)
	}
}
