// Jitter coefficient: σ / μ of a stream's frame rate over a window, the population standard deviation over the mean.
//
// A steady stream is near 0; the target is at most 0.1. Mean and deviation are kept by Welford's method (Note on a method
// for calculating corrected sums of squares and products, Technometrics 4, 1962), which does not lose digits where the
// mean is large and the deviation small; two windows are merged by the formula of Chan, Golub and LeVeque (Updating
// formulae and a pairwise algorithm for computing sample variances, 1979).
//
// A status without a frame rate is no sample; a frame rate of zero is one, and counted.
package main

import (
	"math"
	"time"

	"github.com/tidemark/tidemark/guest-sdk/go/metric"
)

var Metric = metric.Export[Status, FrameRates, Jitter](JitterCoefficient{}, metric.Facts{
	Name:    "jitter-coefficient",
	Version: "1.0.0",
	Doc:     "The standard deviation of a stream's frame rate over its mean, each minute.",
	Key:     "data.stream_id",
	Filter:  metric.Filter{"type": metric.OneOf("ai_stream_status")},
	Window:  metric.Tumbling{Size: time.Minute},
})

type JitterCoefficient struct{}

// Status is what a status says of the stream.
type Status struct {
	FPS          metric.Optional[float64] `at:"data.inference_status.fps"`
	Orchestrator metric.Optional[string]  `at:"data.orchestrator_info.address"`
	Pipeline     metric.Optional[string]  `at:"data.pipeline"`
}

// FrameRates are the frame rates of a window so far.
type FrameRates struct {
	Samples     uint64
	ZeroSamples uint64
	Mean        float64
	// Squares is the sum of the squared distances from the mean.
	Squares      float64
	Orchestrator metric.LatestText
	Pipeline     metric.LatestText
}

// Jitter is the evenness of a window.
type Jitter struct {
	Samples      int64                    // Statuses with a frame rate.
	ZeroSamples  int64                    // Those of them with a frame rate of zero.
	MeanFPS      metric.Optional[float64] // Null without samples.
	Jitter       metric.Optional[float64] // Null for fewer than two samples and for a mean of zero.
	Orchestrator metric.Optional[string]  // The last one of the window.
	Pipeline     metric.Optional[string]  // The last one of the window.
}

func (JitterCoefficient) Update(rates *FrameRates, rows metric.Rows[Status], _ *metric.Context[Jitter]) error {
	for eventTimeMS, status := range rows.All() {
		rates.Orchestrator.Offer(eventTimeMS, status.Orchestrator)
		rates.Pipeline.Offer(eventTimeMS, status.Pipeline)
		if fps, ok := status.FPS.Get(); ok {
			rates.add(fps)
		}
	}
	return nil
}

func (JitterCoefficient) Close(rates *FrameRates, _ metric.CloseReason, ctx *metric.Context[Jitter]) error {
	ctx.Emit(Jitter{
		Samples:      int64(rates.Samples),
		ZeroSamples:  int64(rates.ZeroSamples),
		MeanFPS:      metric.When(rates.Samples > 0, rates.Mean),
		Jitter:       rates.jitter(),
		Orchestrator: rates.Orchestrator.Get(),
		Pipeline:     rates.Pipeline.Get(),
	})
	return nil
}

// Merge is Chan's step. An empty side changes nothing, not even a rounding.
func (JitterCoefficient) Merge(rates *FrameRates, later FrameRates) error {
	rates.Orchestrator.Merge(later.Orchestrator)
	rates.Pipeline.Merge(later.Pipeline)
	own, others := float64(rates.Samples), float64(later.Samples)
	switch distance := later.Mean - rates.Mean; {
	case later.Samples == 0:
	case rates.Samples == 0:
		rates.Mean, rates.Squares = later.Mean, later.Squares
	default:
		// A conversion rounds: without it some processors would add to a product that is not rounded yet.
		rates.Mean += float64(distance*others) / (own + others)
		rates.Squares = rates.Squares + later.Squares + float64(distance*distance*own*others)/(own+others)
	}
	rates.Samples += later.Samples
	rates.ZeroSamples += later.ZeroSamples
	return nil
}

// add is Welford's step.
func (rates *FrameRates) add(fps float64) {
	rates.Samples++
	if fps == 0 {
		rates.ZeroSamples++
	}
	distance := fps - rates.Mean
	rates.Mean += distance / float64(rates.Samples)
	rates.Squares += float64(distance * (fps - rates.Mean))
}

func (rates *FrameRates) jitter() metric.Optional[float64] {
	deviation := math.Sqrt(rates.Squares / float64(rates.Samples))
	return metric.When(rates.Samples >= 2 && rates.Mean != 0, deviation/rates.Mean)
}

func main() {}
