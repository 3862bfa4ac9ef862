// How the program of a state's type comes about, and the steps that need reflection: lists and maps.

package metric

import (
	"cmp"
	"encoding/binary"
	"reflect"
	"slices"
	"unsafe"
)

// programOf writes the program of a type whose values lie at an offset.
func programOf(held reflect.Type, offset uintptr, what string, check *mistakes) program {
	if inner, ok := optionalOf(held); ok {
		presentAt := offset + held.Field(1).Offset
		return program{{kind: optional, offset: offset, presentAt: presentAt, held: programOf(inner, offset, what, check)}}
	}
	switch held.Kind() {
	case reflect.Bool:
		return program{{kind: boolean, offset: offset}}
	case reflect.Int8, reflect.Uint8:
		return program{{kind: bytes1, offset: offset}}
	case reflect.Int16, reflect.Uint16:
		return program{{kind: bytes2, offset: offset}}
	case reflect.Int32, reflect.Uint32:
		return program{{kind: bytes4, offset: offset}}
	case reflect.Int64, reflect.Uint64, reflect.Int, reflect.Uint:
		return program{{kind: bytes8, offset: offset}}
	case reflect.Float64:
		return program{{kind: float, offset: offset}}
	case reflect.String:
		return program{{kind: text, offset: offset}}
	case reflect.Struct:
		var steps program
		for i := range held.NumField() {
			field := held.Field(i)
			steps = append(steps, programOf(field.Type, offset+field.Offset, what+"."+field.Name, check)...)
		}
		return steps
	case reflect.Slice:
		item := programOf(held.Elem(), 0, what, check)
		return program{{kind: listed, offset: offset, held: item, list: &listType{held: held}}}
	case reflect.Map:
		compare := keyOrder(held.Key())
		if compare == nil {
			check.add(what, " is ", held.String(), ", but the keys of a map in a state are integers or strings")
		}
		return program{{
			kind: mapped, offset: offset, list: &listType{held, compare},
			key: programOf(held.Key(), 0, what, check), held: programOf(held.Elem(), 0, what, check),
		}}
	}
	check.add(what, " is ", held.String(), ", but a state has bool, integers, float64, string, structs, slices, maps with "+
		"keys that are integers or strings, and metric.Optional")
	return nil
}

// listType is what reflection needs to make a list or a map.
type listType struct {
	held reflect.Type
	// Of a map: the order of its keys.
	compare func(a, b reflect.Value) int
}

func (step *step) encodeList(out []byte, at unsafe.Pointer) []byte {
	// Every slice has the layout of this one.
	items := *(*[]byte)(at)
	size := step.list.held.Elem().Size()
	out = binary.LittleEndian.AppendUint32(out, uint32(len(items)))
	first := unsafe.Pointer(unsafe.SliceData(items))
	for i := range len(items) {
		out = step.held.encode(out, unsafe.Add(first, uintptr(i)*size))
	}
	return out
}

func (step *step) decodeList(reader *stateReader, at unsafe.Pointer) {
	length := reader.length()
	if length == 0 {
		return
	}
	items := reflect.MakeSlice(step.list.held, length, length)
	first, size := items.UnsafePointer(), step.list.held.Elem().Size()
	for i := range length {
		step.held.decode(reader, unsafe.Add(first, uintptr(i)*size))
	}
	reflect.NewAt(step.list.held, at).Elem().Set(items)
}

// encodeMap writes entries ascending by key: Go's own order differs from run to run.
func (step *step) encodeMap(out []byte, at unsafe.Pointer) []byte {
	held := step.list.held
	entries := reflect.NewAt(held, at).Elem()
	out = binary.LittleEndian.AppendUint32(out, uint32(entries.Len()))
	keys := entries.MapKeys()
	slices.SortFunc(keys, step.list.compare)
	// Entries of a map have no address: copies do.
	key, value := reflect.New(held.Key()), reflect.New(held.Elem())
	for _, each := range keys {
		key.Elem().Set(each)
		value.Elem().Set(entries.MapIndex(each))
		out = step.key.encode(out, key.UnsafePointer())
		out = step.held.encode(out, value.UnsafePointer())
	}
	return out
}

func (step *step) decodeMap(reader *stateReader, at unsafe.Pointer) {
	length := reader.length()
	if length == 0 {
		return
	}
	held := step.list.held
	entries := reflect.MakeMapWithSize(held, length)
	for range length {
		key, value := reflect.New(held.Key()), reflect.New(held.Elem())
		step.key.decode(reader, key.UnsafePointer())
		step.held.decode(reader, value.UnsafePointer())
		if reader.malformed {
			return
		}
		entries.SetMapIndex(key.Elem(), value.Elem())
	}
	reflect.NewAt(held, at).Elem().Set(entries)
}

// keyOrder compares keys of a map; nil where they have no order.
func keyOrder(key reflect.Type) func(a, b reflect.Value) int {
	switch {
	case key.Kind() == reflect.String:
		return func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) }
	case reflect.Zero(key).CanInt():
		return func(a, b reflect.Value) int { return cmp.Compare(a.Int(), b.Int()) }
	case reflect.Zero(key).CanUint():
		return func(a, b reflect.Value) int { return cmp.Compare(a.Uint(), b.Uint()) }
	}
	return nil
}
