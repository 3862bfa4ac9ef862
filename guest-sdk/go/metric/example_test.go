// The README's metric, run as a test.
package metric_test

import (
	"testing"
	"time"

	"github.com/tidemark/tidemark/guest-sdk/go/metric"
	"github.com/tidemark/tidemark/guest-sdk/go/metrictest"
)

// Metric counts requests of a service that took too long, each minute.
var Metric = metric.Export[Request, Minute, Slow](SlowRequests{LimitMS: 500}, metric.Facts{
	Name:    "slow-requests",
	Version: "1.0.0",
	Doc:     "Requests of a service that took too long, each minute.",
	Key:     "data.service",
	Filter:  metric.Filter{"type": metric.OneOf("request"), "data.user": metric.Present},
	Window:  metric.Tumbling{Size: time.Minute},
})

type SlowRequests struct {
	LimitMS int64 `setting:"limit_ms" doc:"Milliseconds from which a request is slow."`
}

type Request struct {
	DurationMS metric.Optional[int64]  `at:"data.duration_ms"`
	Path       metric.Optional[string] `at:"data.path"`
}

type Minute struct {
	Requests, Slow, SlowestMS int64
	SlowestPath               metric.Optional[string]
}

type Slow struct {
	Requests, Slow int64
	SlowestPath    metric.Optional[string]
}

func (slow SlowRequests) Update(minute *Minute, requests metric.Rows[Request], _ *metric.Context[Slow]) error {
	for _, request := range requests.All() {
		durationMS := request.DurationMS.Or(0)
		minute.Requests++
		if durationMS > slow.LimitMS {
			minute.Slow++
		}
		if durationMS > minute.SlowestMS {
			minute.SlowestMS, minute.SlowestPath = durationMS, request.Path
		}
	}
	return nil
}

func (SlowRequests) Close(minute *Minute, _ metric.CloseReason, ctx *metric.Context[Slow]) error {
	ctx.Emit(Slow{minute.Requests, minute.Slow, minute.SlowestPath})
	return nil
}

func TestASlowRequestIsCounted(t *testing.T) {
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

func TestTheLimitIsASetting(t *testing.T) {
	driver := metrictest.New(t, Metric, metrictest.WithSettings(`{"limit_ms": 10}`))
	driver.Event(`{"type": "request", "timestamp": 1000, "data": {"service": "api", "user": "u", "duration_ms": 20}}`)
	driver.Finish()
	if row := driver.Rows()[0].Output; row.Slow != 1 {
		t.Errorf("%+v", row)
	}
}
