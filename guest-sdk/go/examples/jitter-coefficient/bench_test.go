package main

import (
	"testing"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// batchOf is a batch of statuses with three columns, as the host would pass it.
func batchOf(groups, rowsPerGroup int) *contract.Batch {
	rows := groups * rowsPerGroup
	text := func(value string, count int) (texts contract.ByteStrings) {
		for range count {
			texts.Push([]byte(value))
		}
		return texts
	}
	batch := &contract.Batch{
		EventTimes: make([]int64, rows),
		Columns: []contract.Column{
			{Type: contract.Floats, Floats: make([]float64, rows)},
			{Type: contract.Texts, Texts: text("0x52cf2968b3dc6016778742d3539449a6597d5954", rows)},
			{Type: contract.Texts, Texts: text("streamdiffusion-sdxl-faceid", rows)},
		},
		Groups: contract.Groups{
			Keys:         text("stream-o5s73x-mk5zc8fy", groups),
			WindowStarts: make([]int64, groups), WindowEnds: make([]int64, groups), Times: make([]int64, groups),
		},
	}
	for row := range rows {
		batch.EventTimes[row], batch.Columns[0].Floats[row] = int64(row), float64(row%32)
	}
	for group := range groups {
		batch.Groups.RowEnds = append(batch.Groups.RowEnds, uint32((group+1)*rowsPerGroup))
	}
	batch.Groups.States = text("", groups)
	states := Metric.NewModule().Update(batch).States
	batch.Groups.States = contract.ByteStrings{Ends: append([]uint32{}, states.Ends...), Bytes: append([]byte{}, states.Bytes...)}
	return batch
}

func benchmarkUpdate(b *testing.B, groups, rowsPerGroup int) {
	batch, module := batchOf(groups, rowsPerGroup), Metric.NewModule()
	b.ReportAllocs()
	for b.Loop() {
		module.Update(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*groups*rowsPerGroup), "ns/event")
}

func BenchmarkUpdate4096x1(b *testing.B)  { benchmarkUpdate(b, 4096, 1) }
func BenchmarkUpdate256x16(b *testing.B)  { benchmarkUpdate(b, 256, 16) }
func BenchmarkUpdate16x1024(b *testing.B) { benchmarkUpdate(b, 16, 1024) }

func BenchmarkClose4096(b *testing.B) {
	batch, module := batchOf(4096, 1), Metric.NewModule()
	b.ReportAllocs()
	for b.Loop() {
		module.Close(batch, contract.WindowEnd)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*4096), "ns/group")
}
