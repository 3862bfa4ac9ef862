// Requests of a service that took too long, each minute.
package main

import (
	"time"

	"github.com/tidemark/tidemark/guest-sdk/go/metric"
)

// Metric is what the component is made of.
var Metric = metric.Export[Request, Minute, Slow](SlowRequests{LimitMS: 500}, metric.Facts{
	Name:    "{{name}}",
	Version: "0.1.0",
	Doc:     "Requests of a service that took too long, each minute.",
	Key:     "data.service",
	Filter:  metric.Filter{"type": metric.OneOf("request"), "data.user": metric.Present},
	Window:  metric.Tumbling{Size: time.Minute},
})

// SlowRequests has the metric's settings, with their defaults above.
type SlowRequests struct {
	LimitMS int64 `setting:"limit_ms" doc:"Milliseconds from which a request is slow."`
}

// Request is what is read of an event.
type Request struct {
	DurationMS metric.Optional[int64]  `at:"data.duration_ms"`
	Path       metric.Optional[string] `at:"data.path"`
}

// Minute has the requests of a minute so far.
type Minute struct {
	Requests, Slow, SlowestMS int64
	SlowestPath               metric.Optional[string]
}

// Slow is a row.
type Slow struct {
	Requests, Slow int64
	SlowestPath    metric.Optional[string]
}

// Update adds requests to their minute.
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

// Close emits the minute's row.
func (SlowRequests) Close(minute *Minute, _ metric.CloseReason, context *metric.Context[Slow]) error {
	context.Emit(Slow{minute.Requests, minute.Slow, minute.SlowestPath})
	return nil
}

func main() {} // Go wants one; a component has none.
