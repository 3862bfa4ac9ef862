// Package jsontext is a small JSON reader and writer that keeps the order of members and the text of numbers: settings
// come as JSON, describe is JSON, and tests write events in it. The standard library's would make every component a
// third larger.
package jsontext

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is the kind of a value.
type Kind uint8

// The kinds.
const (
	Null Kind = iota
	Boolean
	Number
	Text
	Array
	Object
)

// Value is a JSON value.
type Value struct {
	Kind Kind
	// True is the value of a boolean.
	True bool
	// Text is the value of a text, or a number as it is written.
	Text    string
	Items   []Value
	Members []Member
}

// Member is a member of an object.
type Member struct {
	Name  string
	Value Value
}

// Bool is a boolean.
func Bool(value bool) Value { return Value{Kind: Boolean, True: value} }

// Int is a whole number.
func Int(value int64) Value { return Value{Kind: Number, Text: strconv.FormatInt(value, 10)} }

// Float is a number that is finite.
func Float(value float64) Value {
	return Value{Kind: Number, Text: strconv.FormatFloat(value, 'g', -1, 64)}
}

// String is a text.
func String(value string) Value { return Value{Kind: Text, Text: value} }

// Strings is an array of texts.
func Strings(values []string) Value {
	array := Value{Kind: Array}
	for _, value := range values {
		array.Items = append(array.Items, String(value))
	}
	return array
}

// Add adds a member to an object.
func (value *Value) Add(name string, member Value) {
	value.Kind = Object
	value.Members = append(value.Members, Member{name, member})
}

// Get returns the member of an object, of several with the name the last; nil where there is none.
func (value *Value) Get(name string) *Value {
	for i := len(value.Members) - 1; i >= 0; i-- {
		if value.Members[i].Name == name {
			return &value.Members[i].Value
		}
	}
	return nil
}

// String writes the value without spaces.
func (value Value) String() string {
	return string(value.append(nil))
}

func (value *Value) append(out []byte) []byte {
	switch value.Kind {
	case Boolean:
		return strconv.AppendBool(out, value.True)
	case Number:
		return append(out, value.Text...)
	case Text:
		return appendText(out, value.Text)
	case Array:
		out = append(out, '[')
		for i := range value.Items {
			if i > 0 {
				out = append(out, ',')
			}
			out = value.Items[i].append(out)
		}
		return append(out, ']')
	case Object:
		out = append(out, '{')
		for i := range value.Members {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendText(out, value.Members[i].Name), ':')
			out = value.Members[i].Value.append(out)
		}
		return append(out, '}')
	default:
		return append(out, "null"...)
	}
}

func appendText(out []byte, text string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for _, letter := range strings.ToValidUTF8(text, string(utf8.RuneError)) {
		switch {
		case letter == '"' || letter == '\\':
			out = append(out, '\\', byte(letter))
		case letter == '\n':
			out = append(out, `\n`...)
		case letter < ' ':
			out = append(out, `\u00`...)
			out = append(out, hex[letter>>4], hex[letter&15])
		default:
			out = utf8.AppendRune(out, letter)
		}
	}
	return append(out, '"')
}
