// The fields of inputs and outputs, found by reflection once. How their values are read and written is not known here.

package metric

import (
	"reflect"
	"strings"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// field is a field of an input or output, as the codecs need it: where it lies in the struct and what it holds.
type field struct {
	offset  uintptr
	kind    contract.Kind
	present uintptr
	// optional says whether the byte at present tells if there is a value.
	optional bool
}

var kinds = map[reflect.Type]contract.Kind{
	reflect.TypeFor[bool]():  contract.Boolean,
	reflect.TypeFor[int64](): contract.Integer,
	// As wide as int64 on every machine that is still in use.
	reflect.TypeFor[int]():     contract.Integer,
	reflect.TypeFor[float64](): contract.Float,
	reflect.TypeFor[string]():  contract.Text,
	reflect.TypeFor[JSON]():    contract.JSON,
}

// fieldOf finds out what a field holds.
func fieldOf(declared *reflect.StructField) (field, bool) {
	found := field{offset: declared.Offset}
	held := declared.Type
	if inner, ok := optionalOf(held); ok {
		found.optional, found.present = true, declared.Offset+held.Field(1).Offset
		held = inner
	}
	kind, known := kinds[held]
	found.kind = kind
	return found, known
}

// optionalOf is T of an Optional[T].
func optionalOf(held reflect.Type) (reflect.Type, bool) {
	if held.Kind() == reflect.Struct && held.Implements(reflect.TypeFor[optionalType]()) && held.NumField() == 2 {
		return held.Field(0).Type, true
	}
	return nil, false
}

// structOf adds a mistake if a row is not a struct.
func structOf(row reflect.Type, what string, check *mistakes) []reflect.StructField {
	if row.Kind() != reflect.Struct {
		check.add(what, " ", row.String(), " must be a struct")
		return nil
	}
	fields := make([]reflect.StructField, row.NumField())
	for i := range fields {
		fields[i] = row.Field(i)
	}
	return fields
}

const columnTypes = "bool, int, int64, float64, string or metric.JSON"

// snakeCase is the name of a column: MeanFPS becomes mean_fps, P95Latency p95_latency.
func snakeCase(name string) string {
	var snake strings.Builder
	for i, letter := range name {
		if isUpper(name, i) {
			afterWord := i > 0 && name[i-1] != '_' && !isUpper(name, i-1)
			beforeWord := i > 0 && isUpper(name, i-1) && i+1 < len(name) && 'a' <= name[i+1] && name[i+1] <= 'z'
			if afterWord || beforeWord {
				snake.WriteByte('_')
			}
			letter += 'a' - 'A'
		}
		snake.WriteRune(letter)
	}
	return snake.String()
}

func isUpper(name string, i int) bool { return 'A' <= name[i] && name[i] <= 'Z' }
