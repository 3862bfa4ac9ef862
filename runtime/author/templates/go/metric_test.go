package main

import (
	"testing"

	"github.com/tidemark/tidemark/guest-sdk/go/metric"
	"github.com/tidemark/tidemark/guest-sdk/go/metrictest"
)

func TestRequestsOverTheLimitAreSlow(t *testing.T) {
	driver := metrictest.New(t, Metric)
	driver.Event(`{"type": "request", "timestamp": 1000,
		"data": {"service": "api", "user": "u", "duration_ms": 700, "path": "/report"}}`)
	driver.Event(`{"type": "request", "timestamp": 2000,
		"data": {"service": "api", "user": "u", "duration_ms": 20, "path": "/"}}`)
	driver.AdvanceWatermark(59_999)

	row := driver.Rows()[0]
	if row.Key != "api" || row.WindowStartMS != 0 || row.Output != (Slow{2, 1, metric.Some("/report")}) {
		t.Errorf("%+v", row)
	}
}
