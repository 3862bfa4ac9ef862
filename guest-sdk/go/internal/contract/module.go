// A module: a declaration, and the contract's functions.

package contract

import "github.com/tidemark/tidemark/guest-sdk/go/internal/jsontext"

// Kind is the type of a column in describe.
type Kind uint8

// The kinds.
const (
	Boolean Kind = iota
	Integer
	Float
	Text
	JSON
)

// Name is the kind's name in describe.
func (kind Kind) Name() string {
	return [...]string{"boolean", "integer", "float", "text", "json"}[kind]
}

// Values is the type of a column of this kind.
func (kind Kind) Values() ValuesType { return ValuesType(min(kind, Text)) }

// Side says which side of a join a column belongs to.
type Side uint8

// The sides; NoSide where there is no join.
const (
	NoSide Side = iota
	Left
	Right
)

// Input is a column that a metric reads.
type Input struct {
	Name, Path string
	Kind       Kind
	Side       Side
}

// Output is a column that a metric emits.
type Output struct {
	Name     string
	Kind     Kind
	Nullable bool
}

// Condition is what a path of an event must hold: one of the texts; without any, something or nothing.
type Condition struct {
	OneOf   []string
	Present bool
}

// Filter has conditions by path, sorted by path.
type Filter []PathCondition

// PathCondition is a condition with its path.
type PathCondition struct {
	Path string
	Condition
}

// WindowKind says how rows are grouped.
type WindowKind uint8

// The kinds of windows.
const (
	Tumbling WindowKind = iota
	Sliding
	Session
	PerKey
	IntervalJoin
)

// Window is how rows are grouped; which members count depends on the kind.
type Window struct {
	Kind                      WindowKind
	SizeMS, SlideMS, OffsetMS int64
	GapMS                     int64
	// TTLMS is 0 for ever.
	TTLMS            int64
	LeftFilter       Filter
	RightFilter      Filter
	LowerMS, UpperMS int64
	LowerExclusive   bool
	UpperExclusive   bool
	TakeFirst        bool
	UnmatchedLeft    bool
	UnmatchedRight   bool
}

// Module is a metric as a component exports it, and as the test driver plays it. A module reuses the memory of its
// answers: each holds until the next call.
type Module struct {
	Name, Version, Doc, Key string
	Filter                  Filter
	Window                  Window
	Inputs                  []Input
	Outputs                 []Output
	StateVersion            uint32
	Mergeable               bool
	// Settings is the JSON schema of what Configure takes; null where there are none.
	Settings jsontext.Value

	Describe  func() string
	Configure func(json string) error
	Update    func(*Batch) *Folded
	Close     func(*Batch, CloseReason) *Folded
	Merge     func(left, right *ByteStrings) *Folded
	Migrate   func(states *ByteStrings, from uint32) *Folded
}
