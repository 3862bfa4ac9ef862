// What a metric remembers of a group between calls, and how it becomes bytes.

package metric

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"unicode/utf8"
	"unsafe"
)

// The encoding of states is that of wit/state.md, the same in every language: little-endian, field by field, without
// names or padding. No bytes at all are the zero value.

var errState = errors.New("the state was not written by this state version")

// ReadState reads what an older version of the metric wrote as state S: for Migrate.
//
//	type framesV1 struct{ samples uint32; mean float64 }
//
//	func (Frames) Migrate(state []byte, version uint32) (FramesState, error) {
//		old, err := metric.ReadState[framesV1](state)
//		return FramesState{samples: uint64(old.samples), mean: old.mean}, err
//	}
func ReadState[S any](state []byte) (S, error) {
	var read S
	var check mistakes
	program := programOf(reflect.TypeFor[S](), 0, reflect.TypeFor[S]().Name(), &check)
	check.report("state")
	return read, readState(program, state, unsafe.Pointer(&read))
}

// WriteState returns the bytes of a state: for tests.
func WriteState[S any](state S) []byte {
	var check mistakes
	program := programOf(reflect.TypeFor[S](), 0, reflect.TypeFor[S]().Name(), &check)
	check.report("state")
	return program.encode(nil, unsafe.Pointer(&state))
}

func readState(program program, state []byte, at unsafe.Pointer) error {
	if len(state) == 0 {
		return nil
	}
	reader := stateReader{rest: state}
	program.decode(&reader, at)
	if reader.malformed || len(reader.rest) > 0 {
		return errState
	}
	return nil
}

// program writes and reads the values of one type, step by step. It is made once, by reflection.
type program []step

// step is one value that is no struct: the fields of structs are steps of their own.
type step struct {
	kind   stepKind
	offset uintptr
	// Of an optional: where it says if there is a value.
	presentAt uintptr
	// What an optional, a list or a map holds.
	held program
	key  program
	list *listType
}

type stepKind uint8

const (
	bytes1 stepKind = iota
	bytes2
	bytes4
	bytes8
	boolean
	float
	text
	optional
	listed
	mapped
)

func (program program) encode(out []byte, base unsafe.Pointer) []byte {
	for i := range program {
		step := &program[i]
		at := unsafe.Add(base, step.offset)
		switch step.kind {
		case bytes1:
			out = append(out, *(*byte)(at))
		case bytes2:
			out = binary.LittleEndian.AppendUint16(out, *(*uint16)(at))
		case bytes4:
			out = binary.LittleEndian.AppendUint32(out, *(*uint32)(at))
		case bytes8:
			out = binary.LittleEndian.AppendUint64(out, *(*uint64)(at))
		case boolean:
			out = appendFlag(out, *(*bool)(at))
		case float:
			out = binary.LittleEndian.AppendUint64(out, floatBits(*(*float64)(at)))
		case text:
			text := *(*string)(at)
			out = append(binary.LittleEndian.AppendUint32(out, uint32(len(text))), text...)
		case optional:
			present := *(*bool)(unsafe.Add(base, step.presentAt))
			out = appendFlag(out, present)
			if present {
				out = step.held.encode(out, base)
			}
		case listed:
			out = step.encodeList(out, at)
		case mapped:
			out = step.encodeMap(out, at)
		}
	}
	return out
}

func (program program) decode(reader *stateReader, base unsafe.Pointer) {
	for i := range program {
		step := &program[i]
		at := unsafe.Add(base, step.offset)
		switch step.kind {
		case bytes1:
			*(*byte)(at) = reader.take(1)[0]
		case bytes2:
			*(*uint16)(at) = binary.LittleEndian.Uint16(reader.take(2))
		case bytes4:
			*(*uint32)(at) = binary.LittleEndian.Uint32(reader.take(4))
		case bytes8, float:
			*(*uint64)(at) = binary.LittleEndian.Uint64(reader.take(8))
		case boolean:
			*(*bool)(at) = reader.flag()
		case text:
			*(*string)(at) = reader.text()
		case optional:
			present := reader.flag()
			*(*bool)(unsafe.Add(base, step.presentAt)) = present
			if present {
				step.held.decode(reader, base)
			}
		case listed:
			step.decodeList(reader, at)
		case mapped:
			step.decodeMap(reader, at)
		}
	}
}

func appendFlag(out []byte, flag bool) []byte {
	if flag {
		return append(out, 1)
	}
	return append(out, 0)
}

// floatBits are the bits of a float; all NaNs are one.
func floatBits(value float64) uint64 {
	if value != value {
		return 0x7ff8_0000_0000_0000
	}
	return math.Float64bits(value)
}

// stateReader reads from the front. After the first thing that cannot be, it gives zeros.
type stateReader struct {
	rest      []byte
	malformed bool
}

var zeros [8]byte

// take returns the next bytes, at most 8 of them.
func (reader *stateReader) take(count int) []byte {
	if count > len(reader.rest) {
		reader.fail()
		return zeros[:count]
	}
	taken := reader.rest[:count]
	reader.rest = reader.rest[count:]
	return taken
}

func (reader *stateReader) fail() { reader.malformed, reader.rest = true, nil }

// length reads a length. No more can follow than there are bytes left.
func (reader *stateReader) length() int {
	length := binary.LittleEndian.Uint32(reader.take(4))
	if uint64(length) > uint64(len(reader.rest)) {
		reader.fail()
		return 0
	}
	return int(length)
}

// flag reads a byte that is 0 or 1.
func (reader *stateReader) flag() bool {
	flag := reader.take(1)[0]
	if flag > 1 {
		reader.fail()
	}
	return flag == 1
}

// text reads a text in place: the bytes of a state live as long as the call.
func (reader *stateReader) text() string {
	length := reader.length()
	bytes := reader.rest[:length]
	reader.rest = reader.rest[length:]
	if !utf8.Valid(bytes) {
		reader.fail()
	}
	return unsafe.String(unsafe.SliceData(bytes), length)
}
