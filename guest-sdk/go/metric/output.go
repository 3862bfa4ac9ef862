// Output rows, written to columns.

package metric

import (
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// Columns that every row has anyway.
var takenColumns = []string{
	"key", "window_start", "window_end", "event_time", "module", "version", "digest", "config_digest", "epoch", "row_id",
}

// wrongRow is what Emit panics with: the group fails with this message.
type wrongRow string

// outputs writes rows of one struct to columns.
type outputs struct {
	columns []contract.Output
	fields  []field
}

func outputsOf[O any](check *mistakes) *outputs {
	write := &outputs{}
	row := reflect.TypeFor[O]()
	for _, declared := range structOf(row, "the output", check) {
		what := row.Name() + "." + declared.Name
		name, tagged := declared.Tag.Lookup("column")
		if !tagged {
			name = snakeCase(declared.Name)
		}
		check.that(isName(name, '_'), what+": a column's name has lower-case letters, digits and underscores")
		check.that(!slices.Contains(takenColumns, name), what+": every row has a column `"+name+"` already")
		isTwice := slices.ContainsFunc(write.columns, func(other contract.Output) bool { return other.Name == name })
		check.that(!isTwice, what+": there are two columns `"+name+"`")
		found, known := fieldOf(&declared)
		if !known {
			check.add(what, " is ", declared.Type.String(), ", but must be ", columnTypes, ", or metric.Optional of it")
		}
		write.fields = append(write.fields, found)
		write.columns = append(write.columns, contract.Output{Name: name, Kind: found.kind, Nullable: found.optional})
	}
	return write
}

// emptyColumns are columns without rows.
func (write *outputs) emptyColumns() []contract.Column {
	columns := make([]contract.Column, len(write.columns))
	for i := range columns {
		columns[i].Type = write.columns[i].Kind.Values()
	}
	return columns
}

// check panics if a text is none, before anything of the row is written.
func (write *outputs) check(at unsafe.Pointer) {
	for i := range write.fields {
		field := &write.fields[i]
		if field.kind.Values() == contract.Texts && !utf8.ValidString(*(*string)(unsafe.Add(at, field.offset))) {
			panic(wrongRow("the column " + write.columns[i].Name + " holds a text that is not UTF-8"))
		}
	}
}

// writeRow adds a row to columns that have `rows` of them.
func (write *outputs) writeRow(columns []contract.Column, rows int, at unsafe.Pointer) {
	for i := range write.fields {
		field, column := &write.fields[i], &columns[i]
		present := true
		if field.optional {
			present = *(*bool)(unsafe.Add(at, field.present))
			column.Validity = appendBit(column.Validity, rows, present)
		}
		value := unsafe.Add(at, field.offset)
		switch column.Type {
		case contract.Booleans:
			var flag byte
			if present && *(*bool)(value) {
				flag = 1
			}
			column.Booleans = append(column.Booleans, flag)
		case contract.Integers:
			column.Integers = append(column.Integers, whenPresent[int64](present, value))
		case contract.Floats:
			column.Floats = append(column.Floats, whenPresent[float64](present, value))
		case contract.Texts:
			column.Texts.Bytes = append(column.Texts.Bytes, whenPresent[string](present, value)...)
			column.Texts.EndString()
		}
	}
}

// whenPresent is the value, or zero: what a null row holds must not depend on what the metric left there.
func whenPresent[T any](present bool, value unsafe.Pointer) T {
	if present {
		return *(*T)(value)
	}
	var zero T
	return zero
}

func appendBit(bitmap []byte, row int, bit bool) []byte {
	if row%8 == 0 {
		bitmap = append(bitmap, 0)
	}
	if bit {
		bitmap[row/8] |= 1 << (row % 8)
	}
	return bitmap
}

// readRow reads a row back: for tests.
func (write *outputs) readRow(columns []contract.Column, row int, at unsafe.Pointer) {
	for i := range write.fields {
		field, column := &write.fields[i], &columns[i]
		present := column.IsValid(row)
		if field.optional {
			*(*bool)(unsafe.Add(at, field.present)) = present
		}
		value := unsafe.Add(at, field.offset)
		switch column.Type {
		case contract.Booleans:
			*(*bool)(value) = column.Booleans[row] != 0
		case contract.Integers:
			*(*int64)(value) = column.Integers[row]
		case contract.Floats:
			*(*float64)(value) = column.Floats[row]
		case contract.Texts:
			*(*string)(value) = strings.Clone(textOf(&column.Texts, row))
		}
	}
}
