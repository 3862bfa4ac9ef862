// Swap rate: the share of an orchestrator's requests that were swapped away from it. The target is less than 5 %.
//
// swap rate = swapped requests / requests, from the rows of startup-outcome. It is counted there and not from
// orchestrator_swap traces themselves, because a rate needs its denominator: the trace of a request names no
// orchestrator, so whose request it was is known only where all events of the request come together.
//
// A request counts for the orchestrator that took it first, once, however often it was swapped. Requests that nobody
// took count for nobody. A request belongs to the hour in which its session ends.
//
// This is ../swap-rate in Go: the same rows, and the same bytes of state.
package main

import (
	"time"

	"github.com/tidemark/tidemark/guest-sdk/go/metric"
)

var Metric = metric.Export[Request, Hour, Swaps](SwapRate{}, metric.Facts{
	Name:    "swap-rate",
	Version: "1.0.0",
	Doc:     "The share of an orchestrator's requests that were swapped away from it, each hour.",
	Key:     "data.orchestrator",
	Filter:  metric.Filter{"type": metric.OneOf("metric.startup-outcome"), "data.orchestrator": metric.Present},
	Window:  metric.Tumbling{Size: time.Hour},
})

type SwapRate struct{}

// Request is a row of startup-outcome.
type Request struct {
	Swaps metric.Optional[int64] `at:"data.swaps"`
}

// Hour is the hour of an orchestrator so far.
type Hour struct {
	Requested, Swapped int64
}

// Swaps is the share, and the counts that it comes from.
type Swaps struct {
	Requested int64   // Requests.
	Swapped   int64   // Those of them that were swapped.
	SwapRate  float64 // Swapped / requested, from 0 to 1.
}

func (SwapRate) Update(hour *Hour, requests metric.Rows[Request], _ *metric.Context[Swaps]) error {
	for _, request := range requests.All() {
		hour.Requested++
		if request.Swaps.Or(0) > 0 {
			hour.Swapped++
		}
	}
	return nil
}

func (SwapRate) Close(hour *Hour, _ metric.CloseReason, ctx *metric.Context[Swaps]) error {
	// An hour without a request has no window, so this divides by one at least.
	ctx.Emit(Swaps{hour.Requested, hour.Swapped, float64(hour.Swapped) / float64(hour.Requested)})
	return nil
}

func (SwapRate) Merge(hour *Hour, later Hour) error {
	hour.Requested += later.Requested
	hour.Swapped += later.Swapped
	return nil
}

func main() {}
