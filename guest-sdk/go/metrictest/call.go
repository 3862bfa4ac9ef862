// Calls of a metric, and what they answer.

package metrictest

import (
	"cmp"
	"math"
	"reflect"
	"slices"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
	"github.com/tidemark/tidemark/guest-sdk/go/internal/jsontext"
)

// record is a row of input.
type record struct {
	key      string
	timeMS   int64
	sequence int
	side     contract.Side
	cells    []cell
}

// before is the canonical order.
func (a *record) before(b *record) bool {
	return a.timeMS < b.timeMS || a.timeMS == b.timeMS && a.sequence < b.sequence
}

// span is a window.
type span struct{ start, end int64 }

// last is the last millisecond of a window.
func (span span) last() int64 { return span.end - 1 }

// groupCall is one group of a call.
type groupCall struct {
	key     string
	window  span
	timeMS  int64
	state   []byte
	records []*record
}

// answer is what one group was answered. The state is the old one if the group failed.
type answer struct {
	state   []byte
	timers  []int64
	rows    [][]cell
	failure string
}

// keptRow is an emitted row.
type keptRow struct {
	key    string
	window span
	timeMS int64
	cells  []cell
}

// caller calls a metric through the very functions that a component exports, and keeps what it emits.
type caller struct {
	fail      func(format string, args ...any)
	module    *contract.Module
	hasTimers bool
	rows      []keptRow
	failures  []string
}

// The reason of a call of update.
const updating contract.CloseReason = math.MaxUint8

// call calls update, or close where there is a reason, and returns one answer per group.
func (caller *caller) call(calls []groupCall, reason contract.CloseReason) []answer {
	answers := caller.answers(calls, reason)
	for i := range calls {
		if alone := caller.answers(calls[i:i+1], reason); !reflect.DeepEqual(alone[0], answers[i]) {
			caller.fail("key %s: the answer depends on the other groups of the call:\n%+v\nalone %+v", calls[i].key, answers[i], alone[0])
		}
		if answers[i].failure != "" {
			caller.failures = append(caller.failures, calls[i].key+": "+answers[i].failure)
		}
		for _, cells := range answers[i].rows {
			caller.rows = append(caller.rows, keptRow{calls[i].key, calls[i].window, calls[i].timeMS, cells})
		}
	}
	return answers
}

// merge merges two states of a key.
func (caller *caller) merge(key string, left, right []byte) []byte {
	var leftStates, rightStates contract.ByteStrings
	leftStates.Push(left)
	rightStates.Push(right)
	folded := caller.module.Merge(&leftStates, &rightStates)
	if len(folded.Failures) > 0 {
		caller.failures = append(caller.failures, key+": "+folded.Failures[0].Message)
		return left
	}
	return slices.Clone(folded.States.Get(0))
}

func (caller *caller) answers(calls []groupCall, reason contract.CloseReason) []answer {
	if len(calls) == 0 {
		return nil
	}
	var folded *contract.Folded
	batch := caller.batch(calls)
	if reason == updating {
		folded = caller.module.Update(batch)
	} else {
		folded = caller.module.Close(batch, reason)
	}
	scribble(batch)
	if len(folded.Timers) > 0 && !caller.hasTimers {
		caller.fail("only PerKey windows have timers")
	}
	answers := make([]answer, len(calls))
	for group := range calls {
		answers[group].state = append([]byte{}, folded.States.Get(group)...)
	}
	for _, timer := range folded.Timers {
		answers[timer.Group].timers = append(answers[timer.Group].timers, timer.Time)
	}
	for row, group := range folded.Emitted {
		cells := make([]cell, len(folded.Columns))
		for i := range cells {
			cells[i] = cellAt(&folded.Columns[i], row)
		}
		answers[group].rows = append(answers[group].rows, cells)
	}
	for _, failure := range folded.Failures {
		answers[failure.Group] = answer{state: calls[failure.Group].state, failure: failure.Message}
	}
	return answers
}

// scribble overwrites the texts of a batch, as a component uses its memory again: a metric that kept one is found.
func scribble(batch *contract.Batch) {
	texts := [][]byte{batch.Groups.Keys.Bytes, batch.Groups.States.Bytes}
	for i := range batch.Columns {
		texts = append(texts, batch.Columns[i].Texts.Bytes)
	}
	for _, bytes := range texts {
		for i := range bytes {
			bytes[i] = '#'
		}
	}
}

func (caller *caller) batch(calls []groupCall) *contract.Batch {
	batch := &contract.Batch{Columns: make([]contract.Column, len(caller.module.Inputs))}
	for i, input := range caller.module.Inputs {
		batch.Columns[i].Type = input.Kind.Values()
	}
	groups := &batch.Groups
	for _, call := range calls {
		for _, record := range call.records {
			for i := range batch.Columns {
				record.cells[i].push(&batch.Columns[i], len(batch.EventTimes))
			}
			batch.EventTimes = append(batch.EventTimes, record.timeMS)
		}
		groups.Keys.Push([]byte(call.key))
		groups.WindowStarts = append(groups.WindowStarts, call.window.start)
		groups.WindowEnds = append(groups.WindowEnds, call.window.end)
		groups.Times = append(groups.Times, call.timeMS)
		groups.RowEnds = append(groups.RowEnds, uint32(len(batch.EventTimes)))
		groups.States.Push(call.state)
	}
	return batch
}

// push adds the cell to a column that has so many rows.
func (cell *cell) push(column *contract.Column, rows int) {
	if rows%8 == 0 {
		column.Validity = append(column.Validity, 0)
	}
	if cell.present {
		column.Validity[rows/8] |= 1 << (rows % 8)
	}
	switch column.Type {
	case contract.Booleans:
		var flag byte
		if cell.flag {
			flag = 1
		}
		column.Booleans = append(column.Booleans, flag)
	case contract.Integers:
		column.Integers = append(column.Integers, cell.integer)
	case contract.Floats:
		column.Floats = append(column.Floats, math.Float64frombits(cell.bits))
	case contract.Texts:
		column.Texts.Push([]byte(cell.text))
	}
}

// cellAt is the value of a row.
func cellAt(column *contract.Column, row int) cell {
	found := cell{kind: column.Type, present: column.IsValid(row)}
	if !found.present {
		return found
	}
	switch column.Type {
	case contract.Booleans:
		found.flag = column.Booleans[row] != 0
	case contract.Integers:
		found.integer = column.Integers[row]
	case contract.Floats:
		found.bits = math.Float64bits(column.Floats[row])
	case contract.Texts:
		found.text = string(column.Texts.Get(row))
	}
	return found
}

// json is the value as JSON.
func (cell *cell) json() jsontext.Value {
	switch {
	case !cell.present:
		return jsontext.Value{}
	case cell.kind == contract.Booleans:
		return jsontext.Bool(cell.flag)
	case cell.kind == contract.Integers:
		return jsontext.Int(cell.integer)
	case cell.kind == contract.Floats:
		return jsontext.Float(math.Float64frombits(cell.bits))
	default:
		return jsontext.String(cell.text)
	}
}

func sortRecords(records []*record) {
	slices.SortStableFunc(records, func(a, b *record) int {
		return cmp.Or(cmp.Compare(a.timeMS, b.timeMS), cmp.Compare(a.sequence, b.sequence))
	})
}
