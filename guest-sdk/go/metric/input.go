// Input rows, read from the columns of a batch in place.

package metric

import (
	"iter"
	"reflect"
	"unsafe"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// Rows are the rows of one group.
type Rows[I any] struct {
	readers    []columnReader
	eventTimes []int64
	start, end int
}

// All goes through the rows, each with its event time in milliseconds since 1970, in that order within a batch:
//
//	for eventTimeMS, status := range rows.All() { … }
//
// Texts of a row are only valid until the call ends. Whatever is kept in the state is copied anyway.
func (rows Rows[I]) All() iter.Seq2[int64, I] {
	return func(yield func(eventTimeMS int64, row I) bool) {
		var row I
		for i := rows.start; i < rows.end; i++ {
			readRow(rows.readers, i, unsafe.Pointer(&row))
			if !yield(rows.eventTimes[i], row) {
				return
			}
		}
	}
}

// Len is the number of rows.
func (rows Rows[I]) Len() int { return rows.end - rows.start }

// inputs reads rows of one struct from columns, by offsets that reflection found once.
type inputs struct {
	columns []contract.Input
	fields  []field
}

func inputsOf[I any](side contract.Side, check *mistakes) *inputs {
	read := &inputs{}
	row := reflect.TypeFor[I]()
	for _, declared := range structOf(row, "the input", check) {
		what := row.Name() + "." + declared.Name
		path, tagged := declared.Tag.Lookup("at")
		if !tagged {
			check.add(what, ": say where its value stands in the event: `at:\"data.…\"`")
			continue
		}
		check.path(what, path)
		found, known := fieldOf(&declared)
		if !known || !found.optional {
			check.add(what, " is ", declared.Type.String(), ", but an event may lack it: metric.Optional of ", columnTypes)
		}
		read.fields = append(read.fields, found)
		name := snakeCase(declared.Name)
		read.columns = append(read.columns, contract.Input{Name: name, Path: path, Kind: found.kind, Side: side})
	}
	return read
}

// columnReader reads one column into one field.
type columnReader struct {
	field
	column *contract.Column
}

// bind finds the columns of a batch. The message says which one is not as described.
func (read *inputs) bind(columns []contract.Column, readers []columnReader) ([]columnReader, string) {
	readers = readers[:0]
	for i, declared := range read.columns {
		if i >= len(columns) || columns[i].Type != declared.Kind.Values() {
			return nil, "the column of `" + declared.Name + "` is missing or has another type than described"
		}
		readers = append(readers, columnReader{read.fields[i], &columns[i]})
	}
	return readers, ""
}

// readRow fills a row of the struct that the readers were made for.
func readRow(readers []columnReader, row int, at unsafe.Pointer) {
	for i := range readers {
		reader := &readers[i]
		column := reader.column
		present := column.IsValid(row)
		*(*bool)(unsafe.Add(at, reader.present)) = present
		value := unsafe.Add(at, reader.offset)
		switch column.Type {
		case contract.Booleans:
			*(*bool)(value) = present && column.Booleans[row] != 0
		case contract.Integers:
			*(*int64)(value) = 0
			if present {
				*(*int64)(value) = column.Integers[row]
			}
		case contract.Floats:
			*(*float64)(value) = 0
			if present {
				*(*float64)(value) = column.Floats[row]
			}
		case contract.Texts:
			*(*string)(value) = ""
			if present {
				*(*string)(value) = textOf(&column.Texts, row)
			}
		}
	}
}

// textOf is a text in place, without a copy.
func textOf(texts *contract.ByteStrings, i int) string {
	bytes := texts.Get(i)
	return unsafe.String(unsafe.SliceData(bytes), len(bytes))
}
