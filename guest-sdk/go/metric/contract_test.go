// What the host sees of a metric: the contract's functions, called as the exports call them.
package metric_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
	"github.com/tidemark/tidemark/guest-sdk/go/metric"
)

type sums struct {
	Plus  float64                   `setting:"plus" doc:"Added to each value."`
	Names metric.Optional[[]string] `setting:"names"`
}

type thing struct {
	Value metric.Optional[float64]     `at:"data.value"`
	Tags  metric.Optional[metric.JSON] `at:"data.tags"`
}

type sum struct {
	Sum  float64
	Tags string
}

type total struct {
	Sum  float64
	Tags metric.Optional[metric.JSON]
	Text string `column:"the_text"`
}

func (sums sums) Update(state *sum, rows metric.Rows[thing], ctx *metric.Context[total]) error {
	for eventTimeMS, row := range rows.All() {
		value, ok := row.Value.Get()
		if !ok {
			ctx.Emit(total{Sum: -1})
			return fmt.Errorf("%s has no value at %d", ctx.Key(), eventTimeMS)
		}
		state.Sum += value + sums.Plus
		state.Tags = string(row.Tags.Or(metric.JSON(state.Tags)))
	}
	return nil
}

func (sums) Close(state *sum, _ metric.CloseReason, ctx *metric.Context[total]) error {
	if state.Sum < 0 {
		// A panic with an error of Go's own.
		return errors.New("sum of " + []string{}[int(-state.Sum)])
	}
	row := total{Sum: state.Sum, Tags: metric.When(state.Tags != "", metric.JSON(state.Tags))}
	if state.Sum > 100 {
		row.Text = "\xff"
	}
	ctx.Emit(row)
	return nil
}

func (sums) Merge(state *sum, later sum) error {
	state.Sum, state.Tags = state.Sum+later.Sum, later.Tags
	return nil
}

func (sums) Migrate(state []byte, version uint32) (sum, error) {
	if version != 2 {
		return sum{}, errors.New("only version 2 is known")
	}
	old, err := metric.ReadState[int64](state)
	return sum{Sum: float64(old)}, err
}

var sumsMetric = metric.Export[thing, sum, total](sums{Plus: 0.5}, metric.Facts{
	Name: "sums", Version: "0.1.0", Doc: "Sums of a thing.", Key: "data.thing",
	Filter:       metric.Filter{"type": metric.OneOf("a", "b"), "data.on": metric.Present, "data.off": metric.Absent},
	Window:       metric.Sliding{Size: 5 * time.Minute, Every: time.Minute, Offset: 10 * time.Second},
	StateVersion: 3,
})

const noState = "the state was not written by this state version"

func sumsModule(t *testing.T) *contract.Module {
	t.Helper()
	module := sumsMetric.NewModule()
	if err := module.Configure(`{"plus": 1}`); err != nil {
		t.Fatal(err)
	}
	return module
}

type group struct {
	key   string
	value metric.Optional[float64]
	state []byte
}

// batch has one row per group.
func batch(groups ...group) *contract.Batch {
	batch := &contract.Batch{Columns: []contract.Column{{Type: contract.Floats}, {Type: contract.Texts}}}
	batch.Columns[0].Validity = make([]byte, (len(groups)+7)/8)
	for row, group := range groups {
		if group.value.Present() {
			batch.Columns[0].Validity[row/8] |= 1 << (row % 8)
		}
		batch.Columns[0].Floats = append(batch.Columns[0].Floats, group.value.Or(math.NaN()))
		batch.Columns[1].Texts.Push([]byte("[1]"))
		batch.EventTimes = append(batch.EventTimes, int64(row))
		batch.Groups.Keys.Push([]byte(group.key))
		batch.Groups.WindowStarts = append(batch.Groups.WindowStarts, 0)
		batch.Groups.WindowEnds = append(batch.Groups.WindowEnds, 60)
		batch.Groups.Times = append(batch.Groups.Times, 59)
		batch.Groups.RowEnds = append(batch.Groups.RowEnds, uint32(row+1))
		batch.Groups.States.Push(group.state)
	}
	return batch
}

func states(values ...[]byte) *contract.ByteStrings {
	var states contract.ByteStrings
	for _, value := range values {
		states.Push(value)
	}
	return &states
}

func stateOf(value float64, tags string) []byte { return metric.WriteState(sum{value, tags}) }

func expectStates(t *testing.T, folded *contract.Folded, expected ...[]byte) {
	t.Helper()
	if folded.States.Len() != len(expected) {
		t.Fatalf("%d states", folded.States.Len())
	}
	for i, state := range expected {
		if found := folded.States.Get(i); !slices.Equal(found, state) {
			t.Errorf("state %d is %x, not %x", i, found, state)
		}
	}
}

func expectFailures(t *testing.T, folded *contract.Folded, expected ...contract.Failure) {
	t.Helper()
	if !slices.Equal(folded.Failures, expected) {
		t.Errorf("%+v is not %+v", folded.Failures, expected)
	}
}

func TestAGroupFailsAlone(t *testing.T) {
	before := stateOf(10, "")
	one, two := metric.Some(1.0), metric.Some(2.0)
	folded := sumsModule(t).Update(batch(group{"a", one, nil}, group{key: "b", state: before}, group{"c", two, before}))
	expectStates(t, folded, stateOf(2, "[1]"), nil, stateOf(13, "[1]"))
	expectFailures(t, folded, contract.Failure{Group: 1, Message: "b has no value at 1"})
}

func TestDamagedStateAndWrongColumnsAreFailures(t *testing.T) {
	module, one := sumsModule(t), metric.Some(1.0)
	folded := module.Update(batch(group{"a", one, []byte("xyz")}, group{"b", one, nil}))
	expectFailures(t, folded, contract.Failure{Message: noState})
	expectStates(t, folded, nil, stateOf(2, "[1]"))
	for _, broken := range []int{0, 1} {
		batch := batch(group{"a", one, nil}, group{"b", one, nil})
		batch.Columns[broken] = contract.Column{Type: contract.Integers, Integers: []int64{1, 2}}
		if folded := module.Update(batch); len(folded.Failures) != 2 || folded.States.Len() != 2 {
			t.Errorf("every group fails: %+v", folded)
		}
	}
}

func TestAPanicFailsItsGroup(t *testing.T) {
	module := sumsModule(t)
	folded := module.Close(batch(
		group{state: stateOf(1, "")}, group{state: stateOf(-3, "")}, group{state: stateOf(101, "")}, group{state: stateOf(4, "")},
	), contract.WindowEnd)
	expectStates(t, folded, stateOf(1, ""), nil, nil, stateOf(4, ""))
	expectFailures(t, folded,
		contract.Failure{Group: 1, Message: "panic: runtime error: index out of range [3] with length 0"},
		contract.Failure{Group: 2, Message: "the column the_text holds a text that is not UTF-8"})
	if !slices.Equal(folded.Emitted, []uint32{0, 3}) || !slices.Equal(folded.Columns[0].Floats, []float64{1, 4}) ||
		folded.Columns[2].Texts.Len() != 2 {
		t.Errorf("rows of groups that failed, or halves of rows: %+v", folded)
	}
}

func TestNullsAreABitmap(t *testing.T) {
	var groups []group
	for i := range 10 {
		state := stateOf(1, "")
		if i%3 == 0 {
			state = stateOf(1, "[2]")
		}
		groups = append(groups, group{state: state})
	}
	folded := sumsModule(t).Close(batch(groups...), contract.WindowEnd)
	tags := &folded.Columns[1]
	if !slices.Equal(tags.Validity, []byte{0b0100_1001, 0b10}) || string(tags.Texts.Get(9)) != "[2]" || len(tags.Texts.Get(1)) != 0 {
		t.Errorf("%+v", tags)
	}
}

func TestStatesMergeAndMigrateOneByOne(t *testing.T) {
	module, one, two := sumsModule(t), stateOf(1, "x"), stateOf(2, "y")
	merged := module.Merge(states(one, nil, []byte("!")), states(two, two, two))
	expectStates(t, merged, stateOf(3, "y"), two, nil)
	expectFailures(t, merged, contract.Failure{Group: 2, Message: noState})
	old := metric.WriteState(int64(7))
	migrated := module.Migrate(states(old, []byte("?")), 2)
	expectStates(t, migrated, stateOf(7, ""), nil)
	expectFailures(t, migrated, contract.Failure{Group: 1, Message: noState})
	expectFailures(t, module.Migrate(states(old), 1), contract.Failure{Message: "only version 2 is known"})
}

func TestTheDescriptionIsTheDocumentedOne(t *testing.T) {
	expected := `{"describe":1,"name":"sums","version":"0.1.0","doc":"Sums of a thing.",` +
		`"inputs":[{"name":"value","path":"data.value","type":"float"},{"name":"tags","path":"data.tags","type":"json"}],` +
		`"filter":{"data.off":false,"data.on":true,"type":["a","b"]},"key":"data.thing",` +
		`"window":{"kind":"sliding","size_ms":300000,"slide_ms":60000,"offset_ms":10000},` +
		`"output":[{"name":"sum","type":"float","nullable":false},{"name":"tags","type":"json","nullable":true},` +
		`{"name":"the_text","type":"text","nullable":false}],` +
		`"state_version":3,"config_schema":{"type":"object","properties":{` +
		`"plus":{"type":"number","description":"Added to each value.","default":0.5},` +
		`"names":{"anyOf":[{"type":"array","items":{"type":"string"}},{"type":"null"}],"default":null}},` +
		`"required":[],"additionalProperties":false},"mergeable":true}`
	if found := sumsMetric.Describe(); found != expected {
		t.Errorf("%s\nis not\n%s", found, expected)
	}
}

func TestSettingsAreReadWithTheirDefaults(t *testing.T) {
	module := sumsMetric.NewModule()
	for document, expected := range map[string]string{
		"": "", "{}": "", "null": "", `{"plus": 2, "names": ["a"]}`: "", `{"names": null}`: "",
		`{"names": ["a", 1]}`: "names: item 1: 1 is not a text",
		"[]":                  "[] is not an object",
		`{"plus": "2"}`:       `plus: "2" is not a number`,
		`{"puls": 1}`:         "there is no setting puls; there are plus, names",
		"{":                   "expected `\"` at byte 1",
	} {
		message := ""
		if err := module.Configure(document); err != nil {
			message = err.Error()
		}
		if message != expected {
			t.Errorf("%s: %s", document, message)
		}
	}
}
