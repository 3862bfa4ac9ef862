// Events as tests write them.

package metrictest

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
	"github.com/tidemark/tidemark/guest-sdk/go/internal/jsontext"
)

// event is an envelope as a test writes it, read as the runtime reads it.
type event struct {
	envelope jsontext.Value
	timeMS   int64
	sequence int
}

// parseEvent returns what is wrong with the line, if anything.
func parseEvent(line string, sequence int) (*event, string) {
	envelope, err := jsontext.Parse(line)
	if err != nil {
		return nil, "event " + strconv.Itoa(sequence) + " is no JSON: " + err.Error() + ": " + line
	}
	if envelope.Kind != jsontext.Object {
		return nil, "event " + strconv.Itoa(sequence) + " is no JSON object: " + line
	}
	// Some streams carry `data` as JSON in a string.
	if data := envelope.Get("data"); data != nil && data.Kind == jsontext.Text {
		if inner, err := jsontext.Parse(data.Text); err == nil {
			*data = inner
		}
	}
	event := &event{envelope: envelope, sequence: sequence}
	for _, path := range []string{"data.timestamp", "timestamp"} {
		if time := event.cell(path, contract.Integer); time.present {
			event.timeMS = time.integer
			return event, ""
		}
	}
	return nil, "event " + strconv.Itoa(sequence) + " has no timestamp: " + line
}

// cell is one value of a row, whatever its type; equal ones are so to the bit.
type cell struct {
	kind    contract.ValuesType
	present bool
	flag    bool
	integer int64
	// Bits of a float: a metric must not even change the sign of a zero.
	bits uint64
	text string
}

// cell is the value at a path as a column of a kind holds it.
func (event *event) cell(path string, kind contract.Kind) cell {
	found := &event.envelope
	for _, name := range strings.Split(path, ".") {
		if found.Kind == jsontext.Array {
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(found.Items) {
				return cell{kind: kind.Values()}
			}
			found = &found.Items[index]
		} else if found = found.Get(name); found == nil {
			return cell{kind: kind.Values()}
		}
	}
	return cellOf(found, kind)
}

var number = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

func cellOf(value *jsontext.Value, kind contract.Kind) cell {
	found := cell{kind: kind.Values()}
	isScalar := value.Kind == jsontext.Number || value.Kind == jsontext.Text
	switch {
	case value.Kind == jsontext.Null:
	case kind == contract.JSON:
		found.present, found.text = true, value.String()
	case kind == contract.Boolean:
		found.present, found.flag = value.Kind == jsontext.Boolean, value.True
	case kind == contract.Text && value.Kind == jsontext.Boolean:
		found.present, found.text = true, value.String()
	case kind == contract.Text && isScalar:
		found.present, found.text = true, value.Text
	case kind == contract.Integer && isScalar:
		found.integer, found.present = whole(value.Text)
	case kind == contract.Float && isScalar && number.MatchString(value.Text):
		float, err := strconv.ParseFloat(value.Text, 64)
		found.bits, found.present = math.Float64bits(float), err == nil
	}
	return found
}

// whole is a whole number, also one that is written as a float, of which those up to 2^53 are exact.
func whole(text string) (int64, bool) {
	if !number.MatchString(text) {
		return 0, false
	}
	if integer, err := strconv.ParseInt(text, 10, 64); err == nil {
		return integer, true
	}
	float, err := strconv.ParseFloat(text, 64)
	return int64(float), err == nil && math.Abs(float) <= 1<<53 && float == math.Trunc(float)
}

// text is the text at a path; empty where there is none.
func (event *event) text(path string) string { return event.cell(path, contract.Text).text }

// passes says whether all conditions hold.
func (event *event) passes(filter contract.Filter) bool {
	for _, condition := range filter {
		text := event.text(condition.Path)
		holds := (text != "") == condition.Present
		if condition.OneOf != nil {
			holds = slices.Contains(condition.OneOf, text)
		}
		if !holds {
			return false
		}
	}
	return true
}
