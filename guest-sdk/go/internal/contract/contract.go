// Package contract has the types of wit/metric.wit in Go: what crosses the boundary, and the module that answers. It
// does not know how a component passes them, nor what a metric makes of them.
package contract

// ByteStrings are many byte strings in two buffers: string i is Bytes[Ends[i-1]:Ends[i]].
type ByteStrings struct {
	Ends  []uint32
	Bytes []byte
}

// Len is the number of strings.
func (strings *ByteStrings) Len() int { return len(strings.Ends) }

// Get returns string i, in place.
func (strings *ByteStrings) Get(i int) []byte {
	start, end := Span(strings.Ends, i)
	return strings.Bytes[start:end]
}

// EndString ends the string that was written to Bytes since the last one.
func (strings *ByteStrings) EndString() {
	strings.Ends = append(strings.Ends, uint32(len(strings.Bytes)))
}

// Push adds one string.
func (strings *ByteStrings) Push(value []byte) {
	strings.Bytes = append(strings.Bytes, value...)
	strings.EndString()
}

// Reset empties it and keeps its memory.
func (strings *ByteStrings) Reset() {
	strings.Ends, strings.Bytes = strings.Ends[:0], strings.Bytes[:0]
}

// Span says where item i begins and ends, from the ends of all items.
func Span(ends []uint32, i int) (start, end int) {
	if i > 0 {
		start = int(ends[i-1])
	}
	return start, int(ends[i])
}

// ValuesType is the case of the variant `values`.
type ValuesType uint32

// The cases, in the order of the contract.
const (
	Booleans ValuesType = iota
	Integers
	Floats
	Texts
)

// Column is one column. Of the values only those of its type are used.
type Column struct {
	// Validity is the bitmap of rows that are not null; empty: all of them.
	Validity []byte
	Type     ValuesType
	Booleans []byte
	Integers []int64
	Floats   []float64
	Texts    ByteStrings
}

// IsValid says whether the value of a row is not null.
func (column *Column) IsValid(row int) bool {
	return len(column.Validity) == 0 || column.Validity[row/8]>>(row%8)&1 == 1
}

// Groups are the groups of a call, in parallel lists.
type Groups struct {
	Keys         ByteStrings
	WindowStarts []int64
	WindowEnds   []int64
	Times        []int64
	RowEnds      []uint32
	States       ByteStrings
}

// Batch is rows and their groups.
type Batch struct {
	Columns    []Column
	EventTimes []int64
	Groups     Groups
}

// CloseReason says why close is called, in the order of the contract.
type CloseReason uint8

// The reasons.
const (
	WindowEnd CloseReason = iota
	Timer
	Expired
	UnmatchedLeft
	UnmatchedRight
)

// TimerRequest has the layout of the contract's `timer` in memory.
type TimerRequest struct {
	Group uint32
	_     uint32
	Time  int64
}

// Failure is a group that could not be handled.
type Failure struct {
	Group   uint32
	Message string
}

// Folded is what a call returns.
type Folded struct {
	States   ByteStrings
	Emitted  []uint32
	Columns  []Column
	Timers   []TimerRequest
	Failures []Failure
}

// Reset empties it and keeps its memory. The columns stay, each without a row.
func (folded *Folded) Reset() {
	folded.States.Reset()
	folded.Emitted, folded.Timers, folded.Failures = folded.Emitted[:0], folded.Timers[:0], folded.Failures[:0]
	for i := range folded.Columns {
		column := &folded.Columns[i]
		column.Validity, column.Booleans = column.Validity[:0], column.Booleans[:0]
		column.Integers, column.Floats = column.Integers[:0], column.Floats[:0]
		column.Texts.Reset()
	}
}

// Fail adds a failed group. It has no state.
func (folded *Folded) Fail(group int, message string) {
	folded.Failures = append(folded.Failures, Failure{Group: uint32(group), Message: message})
}
