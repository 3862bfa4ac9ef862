// The component's side of the contract. Nothing else knows how the host passes arguments.

package metric

import (
	"structs"
	"unsafe"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// The exports of the component, by the canonical ABI of wit/metric.wit: lists are pairs of address and length, records
// stand field behind field. Arguments are read in place and answers left where they are until the host has copied them,
// so that nothing is copied here.

const inComponent = true

// exported is the one metric of this component.
var exported *contract.Module

func exportModule(_ string, newModule func() *contract.Module) { exported = newModule() }

// address is a place in the component's memory, as the host writes it.
type address = uint32

// list is a list as the host writes it.
type list struct {
	_      structs.HostLayout
	at     address
	length uint32
}

func listOf[T any](values []T) list {
	return list{at: address(uintptr(unsafe.Pointer(unsafe.SliceData(values)))), length: uint32(len(values))}
}

func sliceOf[T any](list list) []T {
	if list.length == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Add(unsafe.Pointer(nil), list.at)), list.length)
}

type byteStringsABI struct {
	_           structs.HostLayout
	ends, bytes list
}

func (abi byteStringsABI) strings() contract.ByteStrings {
	return contract.ByteStrings{Ends: sliceOf[uint32](abi.ends), Bytes: sliceOf[byte](abi.bytes)}
}

func stringsABI(strings *contract.ByteStrings) byteStringsABI {
	return byteStringsABI{ends: listOf(strings.Ends), bytes: listOf(strings.Bytes)}
}

type columnABI struct {
	_          structs.HostLayout
	validity   list
	valuesType uint32
	// The values, or the ends of texts and then their bytes.
	values byteStringsABI
}

type batchABI struct {
	_                                       structs.HostLayout
	columns, eventTimes                     list
	keys                                    byteStringsABI
	windowStarts, windowEnds, times, rowEnd list
	states                                  byteStringsABI
	// Of close alone.
	reason contract.CloseReason
}

type failureABI struct {
	_       structs.HostLayout
	group   uint32
	message list
}

type foldedABI struct {
	_                                    structs.HostLayout
	states                               byteStringsABI
	emitted, columns, timers, failureRef list
}

// What the host reads after a call; it stays until the next one.
var (
	answer      foldedABI
	answerText  list
	answerError struct {
		_       structs.HostLayout
		isError uint32
		message list
	}
	answerFailures []failureABI
	answerColumns  []columnABI
	messages       []byte
	description    string
	batch          contract.Batch
)

//go:wasmexport tidemark:metric/metric@1.0.0#describe
func exportDescribe() unsafe.Pointer {
	description = exported.Describe()
	answerText = listOf(unsafe.Slice(unsafe.StringData(description), len(description)))
	return unsafe.Pointer(&answerText)
}

//go:wasmexport tidemark:metric/metric@1.0.0#configure
func exportConfigure(at address, length uint32) unsafe.Pointer {
	json := string(sliceOf[byte](list{at: at, length: length}))
	arguments.reset()
	answerError.isError = 0
	if err := exported.Configure(json); err != nil {
		messages = append(messages[:0], err.Error()...)
		answerError.isError, answerError.message = 1, listOf(messages)
	}
	return unsafe.Pointer(&answerError)
}

//go:wasmexport tidemark:metric/metric@1.0.0#update
func exportUpdate(at *batchABI) unsafe.Pointer { return answered(exported.Update(read(at))) }

//go:wasmexport tidemark:metric/metric@1.0.0#close
func exportClose(at *batchABI) unsafe.Pointer { return answered(exported.Close(read(at), at.reason)) }

//go:wasmexport tidemark:metric/metric@1.0.0#merge
func exportMerge(
	leftEnds address, leftCount uint32, leftBytes address, leftLength uint32,
	rightEnds address, rightCount uint32, rightBytes address, rightLength uint32,
) unsafe.Pointer {
	left := byteStringsABI{ends: list{at: leftEnds, length: leftCount}, bytes: list{at: leftBytes, length: leftLength}}
	right := byteStringsABI{ends: list{at: rightEnds, length: rightCount}, bytes: list{at: rightBytes, length: rightLength}}
	leftStates, rightStates := left.strings(), right.strings()
	return answered(exported.Merge(&leftStates, &rightStates))
}

//go:wasmexport tidemark:metric/metric@1.0.0#migrate
func exportMigrate(ends address, count uint32, bytes address, length uint32, from uint32) unsafe.Pointer {
	abi := byteStringsABI{ends: list{at: ends, length: count}, bytes: list{at: bytes, length: length}}
	states := abi.strings()
	return answered(exported.Migrate(&states, from))
}

// read makes a batch of the host's, without copying any values.
func read(abi *batchABI) *contract.Batch {
	batch.EventTimes = sliceOf[int64](abi.eventTimes)
	batch.Groups = contract.Groups{
		Keys: abi.keys.strings(), States: abi.states.strings(),
		WindowStarts: sliceOf[int64](abi.windowStarts), WindowEnds: sliceOf[int64](abi.windowEnds),
		Times: sliceOf[int64](abi.times), RowEnds: sliceOf[uint32](abi.rowEnd),
	}
	batch.Columns = batch.Columns[:0]
	for _, abi := range sliceOf[columnABI](abi.columns) {
		// The type is one byte; what the others hold is not said.
		column := contract.Column{Validity: sliceOf[byte](abi.validity), Type: contract.ValuesType(abi.valuesType & 0xff)}
		switch column.Type {
		case contract.Booleans:
			column.Booleans = sliceOf[byte](abi.values.ends)
		case contract.Integers:
			column.Integers = sliceOf[int64](abi.values.ends)
		case contract.Floats:
			column.Floats = sliceOf[float64](abi.values.ends)
		case contract.Texts:
			column.Texts = abi.values.strings()
		}
		batch.Columns = append(batch.Columns, column)
	}
	return &batch
}

// answered leaves an answer for the host. The arguments are not needed any more.
func answered(folded *contract.Folded) unsafe.Pointer {
	answerColumns, answerFailures, messages = answerColumns[:0], answerFailures[:0], messages[:0]
	if len(folded.Emitted) > 0 {
		for i := range folded.Columns {
			answerColumns = append(answerColumns, columnOf(&folded.Columns[i]))
		}
	}
	for _, failure := range folded.Failures {
		messages = append(messages, failure.Message...)
	}
	rest := messages
	for _, failure := range folded.Failures {
		length := len(failure.Message)
		answerFailures = append(answerFailures, failureABI{group: failure.Group, message: listOf(rest[:length])})
		rest = rest[length:]
	}
	answer = foldedABI{
		states: stringsABI(&folded.States), emitted: listOf(folded.Emitted), columns: listOf(answerColumns),
		timers: listOf(folded.Timers), failureRef: listOf(answerFailures),
	}
	arguments.reset()
	return unsafe.Pointer(&answer)
}

func columnOf(column *contract.Column) columnABI {
	abi := columnABI{validity: listOf(column.Validity), valuesType: uint32(column.Type)}
	switch column.Type {
	case contract.Booleans:
		abi.values.ends = listOf(column.Booleans)
	case contract.Integers:
		abi.values.ends = listOf(column.Integers)
	case contract.Floats:
		abi.values.ends = listOf(column.Floats)
	case contract.Texts:
		abi.values = stringsABI(&column.Texts)
	}
	return abi
}
