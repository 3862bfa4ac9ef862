// Known answers from a real session, and the edges of the definition.
package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/capture"
	"github.com/tidemark/tidemark/guest-sdk/go/metric"
	"github.com/tidemark/tidemark/guest-sdk/go/metrictest"
)

// status is a status of stream s, so many milliseconds after the epoch.
func status(timeMS int64, fps string) string {
	return fmt.Sprintf(`{"type": "ai_stream_status", "timestamp": "0", "data":
		{"stream_id": "s", "timestamp": %d, "inference_status": {"fps": %s}}}`, timeMS, fps)
}

// windowOf is the only window of these frame rates.
func windowOf(t *testing.T, rates ...string) Jitter {
	t.Helper()
	driver := metrictest.New(t, Metric)
	for second, fps := range rates {
		driver.Event(status(int64(second)*1000, fps))
	}
	driver.Finish()
	if len(driver.Rows()) != 1 {
		t.Fatalf("%d rows instead of one window", len(driver.Rows()))
	}
	return driver.Rows()[0].Output
}

func closeTo(t *testing.T, found metric.Optional[float64], expected float64) {
	t.Helper()
	if value, ok := found.Get(); !ok || math.Abs(value-expected) > 1e-12*math.Abs(expected) {
		t.Errorf("%v is not %v", found, expected)
	}
}

func TestARealSessionHasItsKnownAnswers(t *testing.T) {
	lines := capture.Lines(t, "session_db936fab.jsonl")
	if lines == nil {
		return
	}
	driver := metrictest.New(t, Metric)
	driver.Events(lines...)
	driver.Finish()
	expected := []struct {
		windowStartMS, samples int64
		jitter                 float64
	}{
		{1_767_908_940_000, 5, 0.0038519678052262693},
		{1_767_909_000_000, 6, 0.03671380618600201},
		{1_767_909_060_000, 6, 0.1664614418190553},
	}
	rows := driver.Rows()
	if len(rows) != len(expected) {
		t.Fatalf("%d rows", len(rows))
	}
	for i, row := range rows {
		if row.WindowStartMS != expected[i].windowStartMS || row.Output.Samples != expected[i].samples {
			t.Errorf("window %d has %d samples", row.WindowStartMS, row.Output.Samples)
		}
		closeTo(t, row.Output.Jitter, expected[i].jitter)
	}
	first := rows[0]
	closeTo(t, first.Output.MeanFPS, 17.189625700588834)
	if first.Key != "stream-o5s73x-mk5zc8fy" ||
		first.Output.Orchestrator != metric.Some("0x52cf2968b3dc6016778742d3539449a6597d5954") ||
		first.Output.Pipeline != metric.Some("streamdiffusion-sdxl-faceid") {
		t.Errorf("%+v", first)
	}
}

func TestADeploymentMayChooseALongerWindow(t *testing.T) {
	lines := capture.Lines(t, "session_db936fab.jsonl")
	if lines == nil {
		return
	}
	driver := metrictest.New(t, Metric, metrictest.WithWindow(metric.Tumbling{Size: time.Hour}))
	driver.Events(lines...)
	driver.Finish()
	row := driver.Rows()[0].Output
	closeTo(t, row.MeanFPS, 15.99995153439375)
	closeTo(t, row.Jitter, 0.11631881975130488)
}

func TestFoldingApartAndMergingGivesTheSame(t *testing.T) {
	var statuses []string
	for _, line := range capture.Lines(t, "session_db936fab.jsonl") {
		if strings.Contains(line, "ai_stream_status") {
			statuses = append(statuses, line)
		}
	}
	if statuses == nil {
		return
	}
	// Statuses come every 10 s: every other one is a session of its own until those between close the gaps.
	driver := metrictest.New(t, Metric, metrictest.WithWindow(metric.Session{Gap: 15 * time.Second}))
	for _, odd := range []int{0, 1} {
		for i := odd; i < len(statuses); i += 2 {
			driver.Event(statuses[i])
		}
	}
	driver.Finish()
	if len(driver.Rows()) != 1 || driver.Rows()[0].Output.Samples != 17 {
		t.Fatalf("%+v", driver.Rows())
	}
	closeTo(t, driver.Rows()[0].Output.MeanFPS, 15.99995153439375)
	closeTo(t, driver.Rows()[0].Output.Jitter, 0.11631881975130488)
}

func TestMergingAnEmptyWindowChangesNoBit(t *testing.T) {
	var rates, empty FrameRates
	rates.add(17.3)
	rates.add(16.9)
	before := metric.WriteState(rates)
	if err := (JitterCoefficient{}).Merge(&rates, empty); err != nil || !slices.Equal(metric.WriteState(rates), before) {
		t.Errorf("%+v, %v", rates, err)
	}
	if err := (JitterCoefficient{}).Merge(&empty, rates); err != nil || !slices.Equal(metric.WriteState(empty), before) {
		t.Errorf("%+v, %v", empty, err)
	}
}

func TestJitterNeedsTwoSamplesAndAMean(t *testing.T) {
	none, some := metric.None[float64](), metric.Some[float64]
	cases := []struct {
		rates    []string
		expected Jitter
	}{
		{[]string{"20"}, Jitter{Samples: 1, MeanFPS: some(20), Jitter: none}},
		{[]string{"0", "0"}, Jitter{Samples: 2, ZeroSamples: 2, MeanFPS: some(0), Jitter: none}},
		{[]string{"0", "2"}, Jitter{Samples: 2, ZeroSamples: 1, MeanFPS: some(1), Jitter: some(1)}},
		{[]string{"20", "20.0"}, Jitter{Samples: 2, MeanFPS: some(20), Jitter: some(0)}},
		{[]string{"null", "20", `"fast"`, "20"}, Jitter{Samples: 2, MeanFPS: some(20), Jitter: some(0)}},
		{[]string{"null"}, Jitter{}},
	}
	for _, test := range cases {
		if found := windowOf(t, test.rates...); found != test.expected {
			t.Errorf("%v: %+v", test.rates, found)
		}
	}
}

func TestAWindowIsHalfOpenAndLateRowsAreNotCounted(t *testing.T) {
	driver := metrictest.New(t, Metric)
	driver.Event(status(59_999, "10"))
	driver.Event(status(60_000, "20"))
	driver.AdvanceWatermark(59_998)
	if len(driver.Rows()) != 0 {
		t.Fatal("too early")
	}
	driver.AdvanceWatermark(59_999)
	driver.Event(status(1000, "30"))
	driver.Finish()
	rows := driver.Rows()
	if len(rows) != 2 || rows[0].Output.MeanFPS != metric.Some(10.0) || rows[1].WindowStartMS != 60_000 || driver.Late() != 1 {
		t.Errorf("%+v, %d late", rows, driver.Late())
	}
}
