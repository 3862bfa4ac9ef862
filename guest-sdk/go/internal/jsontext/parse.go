// The reader.

package jsontext

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The deepest nesting that is read.
const maxDepth = 64

// Parse reads a whole document. The error says what is wrong and at which byte.
func Parse(document string) (Value, error) {
	parser := parser{document: document}
	value := parser.value(maxDepth)
	parser.skipSpace()
	if parser.failed == nil && parser.at != len(document) {
		parser.fail("expected the end")
	}
	return value, parser.failed
}

// parser reads from the front. After a failure it stands still, at the end.
type parser struct {
	document string
	at       int
	failed   error
}

func (parser *parser) fail(message string) {
	if parser.failed == nil {
		parser.failed = errors.New(message + " at byte " + strconv.Itoa(parser.at))
	}
	parser.at = len(parser.document)
}

// peek returns the next byte; 0 at the end.
func (parser *parser) peek() byte {
	if parser.at < len(parser.document) {
		return parser.document[parser.at]
	}
	return 0
}

func (parser *parser) expect(want byte) {
	if parser.peek() != want || want == 0 {
		parser.fail("expected `" + string(rune(want)) + "`")
		return
	}
	parser.at++
}

func (parser *parser) skipSpace() {
	for strings.IndexByte(" \n\r\t", parser.peek()) >= 0 && parser.at < len(parser.document) {
		parser.at++
	}
}

func (parser *parser) value(depth int) Value {
	parser.skipSpace()
	switch next := parser.peek(); {
	case next == '{':
		value := Value{Kind: Object}
		parser.items(depth, '}', func(depth int) {
			parser.skipSpace()
			name := parser.text()
			parser.skipSpace()
			parser.expect(':')
			value.Members = append(value.Members, Member{name, parser.value(depth)})
		})
		return value
	case next == '[':
		value := Value{Kind: Array}
		parser.items(depth, ']', func(depth int) { value.Items = append(value.Items, parser.value(depth)) })
		return value
	case next == '"':
		return String(parser.text())
	case next == '-' || '0' <= next && next <= '9':
		return parser.number()
	}
	for _, word := range []struct {
		text  string
		value Value
	}{{"null", Value{}}, {"true", Bool(true)}, {"false", Bool(false)}} {
		if strings.HasPrefix(parser.document[parser.at:], word.text) {
			parser.at += len(word.text)
			return word.value
		}
	}
	parser.fail("expected a value")
	return Value{}
}

// items reads what stands between an opening bracket and the closing one, separated by commas.
func (parser *parser) items(depth int, closing byte, item func(depth int)) {
	if depth == 0 {
		parser.fail("nested too deeply")
		return
	}
	parser.at++
	parser.skipSpace()
	if parser.peek() == closing {
		parser.at++
		return
	}
	for parser.failed == nil {
		item(depth - 1)
		parser.skipSpace()
		if parser.peek() == closing {
			parser.at++
			return
		}
		parser.expect(',')
	}
}

func (parser *parser) number() Value {
	start := parser.at
	digits := func() bool {
		from := parser.at
		for '0' <= parser.peek() && parser.peek() <= '9' {
			parser.at++
		}
		return parser.at > from
	}
	if parser.peek() == '-' {
		parser.at++
	}
	leadingZero := parser.peek() == '0'
	wholeFrom := parser.at
	sound := digits() && !(leadingZero && parser.at > wholeFrom+1)
	if sound && parser.peek() == '.' {
		parser.at++
		sound = digits()
	}
	if sound && (parser.peek() == 'e' || parser.peek() == 'E') {
		parser.at++
		if parser.peek() == '+' || parser.peek() == '-' {
			parser.at++
		}
		sound = digits()
	}
	if !sound {
		parser.at = start
		parser.fail("expected a number")
		return Value{}
	}
	return Value{Kind: Number, Text: parser.document[start:parser.at]}
}

func (parser *parser) text() string {
	parser.expect('"')
	var text []byte
	for parser.failed == nil {
		start := parser.at
		for next := parser.peek(); next >= ' ' && next != '"' && next != '\\'; next = parser.peek() {
			parser.at++
		}
		text = append(text, parser.document[start:parser.at]...)
		switch parser.peek() {
		case '"':
			parser.at++
			return string(text)
		case '\\':
			parser.at++
			text = utf8.AppendRune(text, parser.escape())
		default:
			parser.fail("expected the end of a string")
		}
	}
	return ""
}

func (parser *parser) escape() rune {
	letter := parser.peek()
	if plain := strings.IndexByte(`"\/bfnrt`, letter); plain >= 0 && letter != 0 {
		parser.at++
		return rune("\"\\/\b\f\n\r\t"[plain])
	}
	if letter != 'u' {
		parser.fail("no such escape")
		return 0
	}
	first := parser.unit()
	if !utf16.IsSurrogate(first) {
		return first
	}
	if strings.HasPrefix(parser.document[parser.at:], `\u`) {
		parser.at++
		if both := utf16.DecodeRune(first, parser.unit()); both != utf8.RuneError {
			return both
		}
	}
	parser.fail("half of a surrogate pair")
	return 0
}

// unit reads `u` and four hexadecimal digits.
func (parser *parser) unit() rune {
	parser.at++
	digits := parser.document[parser.at:min(parser.at+4, len(parser.document))]
	unit, err := strconv.ParseUint(digits, 16, 16)
	if err != nil || len(digits) != 4 {
		parser.fail("expected four hexadecimal digits")
		return 0
	}
	parser.at += 4
	return rune(unit)
}
