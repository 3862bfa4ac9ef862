// Prompt to first frame: how long a user waits from the request of a stream to its first processed segment.
//
// t(gateway_receive_first_processed_segment) − t(gateway_receive_stream_request), joined by request. The bounds are those
// of the network's own analytics: −10 s, because events of one request overtake each other, to +60 s. After a swap of the
// orchestrator the first segment repeats under the same request: the first one counts. A request that no segment follows
// is a row too, without latency; so is one whose segment seems to come before it, which no user saw.
package main

import (
	"time"

	"github.com/tidemark/tidemark/guest-sdk/go/metric"
)

var Metric = metric.ExportJoin[Request, FirstSegment, Latency](PromptToFirstFrame{}, metric.Facts{
	Name:    "prompt-to-first-frame",
	Version: "1.0.0",
	Doc:     "Milliseconds from the request of a stream to its first processed segment.",
	Key:     "data.request_id",
	Filter:  metric.Filter{"type": metric.OneOf("stream_trace")},
	Window: metric.IntervalJoin{
		Left:      metric.Filter{"data.type": metric.OneOf("gateway_receive_stream_request")},
		Right:     metric.Filter{"data.type": metric.OneOf("gateway_receive_first_processed_segment")},
		Lower:     -10 * time.Second,
		Upper:     60 * time.Second,
		TakeFirst: true,
	},
})

type PromptToFirstFrame struct{}

// Request is the left side: the gateway received a request.
type Request struct {
	StreamID metric.Optional[string] `at:"data.stream_id"`
	Gateway  metric.Optional[string] `at:"gateway"`
}

// FirstSegment is the right side: the gateway received the first processed segment.
type FirstSegment struct {
	TimestampMS         metric.Optional[int64]  `at:"data.timestamp"`
	EnvelopeTimestampMS metric.Optional[int64]  `at:"timestamp"`
	Orchestrator        metric.Optional[string] `at:"data.orchestrator_info.address"`
}

// Latency is one request.
type Latency struct {
	RequestID    string                  // Which request.
	StreamID     metric.Optional[string] // Its stream.
	Gateway      metric.Optional[string] // The gateway that received it.
	Orchestrator metric.Optional[string] // Who sent the first segment; null for a request without one.
	LatencyMS    metric.Optional[int64]  // Null without a segment, and where the difference is negative.
	Matched      bool                    // Whether a segment followed.
}

func (PromptToFirstFrame) Matched(request Request, segment FirstSegment, ctx *metric.Context[Latency]) error {
	row := request.withoutSegment(ctx.Key())
	row.Orchestrator, row.Matched = metric.NonEmpty(segment.Orchestrator), true
	// A pair has only one event time, that of its later side, and here the segment may be the earlier.
	if timeMS, ok := segment.TimestampMS.OrElse(segment.EnvelopeTimestampMS).Get(); ok {
		latencyMS := timeMS - ctx.WindowStartMS()
		row.LatencyMS = metric.When(latencyMS >= 0, latencyMS)
	}
	ctx.Emit(row)
	return nil
}

func (PromptToFirstFrame) UnmatchedLeft(request Request, ctx *metric.Context[Latency]) error {
	ctx.Emit(request.withoutSegment(ctx.Key()))
	return nil
}

func (request Request) withoutSegment(requestID string) Latency {
	return Latency{
		RequestID: requestID,
		StreamID:  metric.NonEmpty(request.StreamID),
		Gateway:   metric.NonEmpty(request.Gateway),
	}
}

func main() {}
