// Package metrictest tests metrics without a runtime: a Driver plays the host, one line per record, after the model of
// Kafka Streams' TopologyTestDriver. Time moves only where a test says so.
//
//	driver := metrictest.New(t, Metric)
//	driver.Event(`{"type": "upload", "timestamp": 1000, "data": {"client": "a", "bytes": 40}}`)
//	driver.AdvanceWatermark(59_999)
//	row := driver.Rows()[0]
package metrictest

import (
	"math"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
	"github.com/tidemark/tidemark/guest-sdk/go/internal/jsontext"
	"github.com/tidemark/tidemark/guest-sdk/go/metric"
)

// Driver runs one metric on events and watermarks, with the window that it declares.
//
// Every batch is given to the metric twice, as a whole and group by group: a metric whose answers differ is not pure,
// and the test fails. So it does on whatever cannot be meant, with a message that says what is wrong.
type Driver[O any] struct {
	t         testing.TB
	metric    *metric.Metric[O]
	module    *contract.Module
	caller    *caller
	window    contract.Window
	grouping  grouping
	watermark int64
	events    int
}

// Row is an emitted row.
type Row[O any] struct {
	// Key of the group.
	Key string
	// WindowStartMS is the first millisecond of the window, WindowEndMS the first after it.
	WindowStartMS, WindowEndMS int64
	// EventTimeMS is the row's own time.
	EventTimeMS int64
	// Output is what the metric emitted.
	Output O
}

// Option changes what a deployment may change.
type Option func(settings *options)

type options struct {
	window     metric.Window
	latenessMS int64
	settings   string
}

// WithWindow takes another window than the declared one.
func WithWindow(window metric.Window) Option {
	return func(options *options) { options.window = window }
}

// WithAllowedLateness has windows count late rows for so much longer, and fire again for each batch of them. Tumbling
// and sliding windows only.
func WithAllowedLateness(latenessMS int64) Option {
	return func(options *options) { options.latenessMS = latenessMS }
}

// WithSettings configures the metric with a JSON document; without, it has its defaults.
func WithSettings(json string) Option { return func(options *options) { options.settings = json } }

// New is a driver of a metric.
func New[O any](t testing.TB, metric *metric.Metric[O], change ...Option) *Driver[O] {
	t.Helper()
	var options options
	for _, option := range change {
		option(&options)
	}
	module := metric.NewModule()
	if err := module.Configure(options.settings); err != nil {
		t.Fatalf("the settings are refused: %v", err)
	}
	driver := &Driver[O]{t: t, metric: metric, module: module, window: module.Window, watermark: math.MinInt64}
	if options.window != nil {
		driver.window = driver.otherWindow(options.window)
	}
	driver.caller = &caller{fail: t.Fatalf, module: module, hasTimers: driver.window.Kind == contract.PerKey}
	driver.grouping = groupingOf(driver.window, options.latenessMS)
	if _, isAligned := driver.grouping.(*aligned); options.latenessMS != 0 && !isAligned {
		t.Fatal("only tumbling and sliding windows of the driver have an allowed lateness")
	}
	return driver
}

func (driver *Driver[O]) otherWindow(declared metric.Window) contract.Window {
	driver.t.Helper()
	window, err := metric.CheckWindow(declared)
	if err != nil {
		driver.t.Fatal(err)
	}
	if (window.Kind == contract.IntervalJoin) != (driver.window.Kind == contract.IntervalJoin) {
		driver.t.Fatal("a join stays a join")
	}
	// Which rows without a partner count is a question of the metric's methods.
	window.UnmatchedLeft, window.UnmatchedRight = driver.window.UnmatchedLeft, driver.window.UnmatchedRight
	return window
}

func groupingOf(window contract.Window, latenessMS int64) grouping {
	switch window.Kind {
	case contract.Tumbling:
		return &aligned{window.SizeMS, window.SizeMS, window.OffsetMS, latenessMS, 0, map[place]pane{}}
	case contract.Sliding:
		return &aligned{window.SizeMS, window.SlideMS, window.OffsetMS, latenessMS, 0, map[place]pane{}}
	case contract.Session:
		return &sessions{window.GapMS, 0, map[string][]span{}, map[place][]byte{}}
	case contract.PerKey:
		return &keyed{window.TTLMS, map[string]keyState{}, map[due]bool{}}
	default:
		return &paired{window, 0, map[string]*sides{}}
	}
}

// Event feeds one event, an envelope as JSON. Its time is data.timestamp, else the envelope's timestamp. Events that the
// filter does not want and events without a key change nothing.
func (driver *Driver[O]) Event(json string) {
	driver.t.Helper()
	driver.Events(json)
}

// Events feeds several events in one batch; lines that are empty are skipped.
func (driver *Driver[O]) Events(lines ...string) {
	driver.t.Helper()
	var records []*record
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		driver.events++
		event, wrong := parseEvent(line, driver.events)
		if wrong != "" {
			driver.t.Fatal(wrong)
		}
		if event.passes(driver.module.Filter) {
			records = append(records, driver.records(event)...)
		}
	}
	sortRecords(records)
	driver.grouping.fold(driver.caller, records, driver.watermark)
}

// records makes rows of input of an event: one, or for a join one per side that wants it.
func (driver *Driver[O]) records(event *event) (records []*record) {
	key := event.text(driver.module.Key)
	if key == "" {
		return nil
	}
	sides := []contract.Side{contract.NoSide}
	if driver.window.Kind == contract.IntervalJoin {
		sides = nil
		if event.passes(driver.window.LeftFilter) {
			sides = append(sides, contract.Left)
		}
		if event.passes(driver.window.RightFilter) {
			sides = append(sides, contract.Right)
		}
	}
	for _, side := range sides {
		row := &record{key: key, timeMS: event.timeMS, sequence: event.sequence, side: side}
		for _, input := range driver.module.Inputs {
			found := cell{kind: input.Kind.Values()}
			if input.Side == side {
				found = event.cell(input.Path, input.Kind)
			}
			row.cells = append(row.cells, found)
		}
		records = append(records, row)
	}
	return records
}

// AdvanceWatermark moves event time: everything up to a moment has come, what is due is closed. Never moves back.
func (driver *Driver[O]) AdvanceWatermark(eventTimeMS int64) {
	driver.t.Helper()
	if eventTimeMS > driver.watermark {
		driver.watermark = eventTimeMS
		driver.grouping.advance(driver.caller, eventTimeMS)
	}
}

// Finish ends the input: the watermark goes to the end of time.
func (driver *Driver[O]) Finish() {
	driver.t.Helper()
	driver.AdvanceWatermark(math.MaxInt64)
}

// Rows are the rows that the metric emitted, in order.
func (driver *Driver[O]) Rows() []Row[O] {
	rows := make([]Row[O], len(driver.caller.rows))
	for i, kept := range driver.caller.rows {
		columns := make([]contract.Column, len(kept.cells))
		for j, cell := range kept.cells {
			columns[j].Type = cell.kind
			cell.push(&columns[j], 0)
		}
		rows[i] = Row[O]{kept.key, kept.window.start, kept.window.end, kept.timeMS, driver.metric.ReadRow(columns, 0)}
	}
	return rows
}

// RowsAsEvents are the rows as events of type metric.<name>: input for a metric that reads this one.
func (driver *Driver[O]) RowsAsEvents() []string {
	var events []string
	for _, kept := range driver.caller.rows {
		var event, data jsontext.Value
		for i, output := range driver.module.Outputs {
			data.Add(output.Name, kept.cells[i].json())
		}
		data.Add("key", jsontext.String(kept.key))
		event.Add("type", jsontext.String("metric."+driver.module.Name))
		event.Add("timestamp", jsontext.Int(kept.timeMS))
		event.Add("data", data)
		events = append(events, event.String())
	}
	return events
}

// Failures are the groups that failed, each as "key: message".
func (driver *Driver[O]) Failures() []string { return driver.caller.failures }

// Late is how many rows came too late for every window or partner.
func (driver *Driver[O]) Late() int { return driver.grouping.lateRows() }
