// The text of describe, from a declaration that has been checked.

package metric

import (
	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
	"github.com/tidemark/tidemark/guest-sdk/go/internal/jsontext"
)

// describe writes what wit/describe.md defines.
func describe(module *contract.Module) string {
	var text jsontext.Value
	text.Add("describe", jsontext.Int(1))
	text.Add("name", jsontext.String(module.Name))
	text.Add("version", jsontext.String(module.Version))
	text.Add("doc", jsontext.String(module.Doc))
	inputs, outputs := jsontext.Value{Kind: jsontext.Array}, jsontext.Value{Kind: jsontext.Array}
	for _, input := range module.Inputs {
		var column jsontext.Value
		column.Add("name", jsontext.String(input.Name))
		column.Add("path", jsontext.String(input.Path))
		column.Add("type", jsontext.String(input.Kind.Name()))
		if input.Side != contract.NoSide {
			column.Add("side", jsontext.String([...]string{contract.Left: "left", contract.Right: "right"}[input.Side]))
		}
		inputs.Items = append(inputs.Items, column)
	}
	text.Add("inputs", inputs)
	text.Add("filter", describeFilter(module.Filter))
	text.Add("key", jsontext.String(module.Key))
	text.Add("window", describeWindow(&module.Window))
	for _, output := range module.Outputs {
		var column jsontext.Value
		column.Add("name", jsontext.String(output.Name))
		column.Add("type", jsontext.String(output.Kind.Name()))
		column.Add("nullable", jsontext.Bool(output.Nullable))
		outputs.Items = append(outputs.Items, column)
	}
	text.Add("output", outputs)
	text.Add("state_version", jsontext.Int(int64(module.StateVersion)))
	text.Add("config_schema", module.Settings)
	text.Add("mergeable", jsontext.Bool(module.Mergeable))
	return text.String()
}

func describeFilter(filter contract.Filter) jsontext.Value {
	conditions := jsontext.Value{Kind: jsontext.Object}
	for _, condition := range filter {
		if condition.OneOf != nil {
			conditions.Add(condition.Path, jsontext.Strings(condition.OneOf))
		} else {
			conditions.Add(condition.Path, jsontext.Bool(condition.Present))
		}
	}
	return conditions
}

func describeWindow(window *contract.Window) jsontext.Value {
	var text jsontext.Value
	kinds := [...]string{"tumbling", "sliding", "session", "key", "interval-join"}
	text.Add("kind", jsontext.String(kinds[window.Kind]))
	switch window.Kind {
	case contract.Tumbling:
		text.Add("size_ms", jsontext.Int(window.SizeMS))
		text.Add("offset_ms", jsontext.Int(window.OffsetMS))
	case contract.Sliding:
		text.Add("size_ms", jsontext.Int(window.SizeMS))
		text.Add("slide_ms", jsontext.Int(window.SlideMS))
		text.Add("offset_ms", jsontext.Int(window.OffsetMS))
	case contract.Session:
		text.Add("gap_ms", jsontext.Int(window.GapMS))
	case contract.PerKey:
		if window.TTLMS > 0 {
			text.Add("ttl_ms", jsontext.Int(window.TTLMS))
		}
	case contract.IntervalJoin:
		text.Add("left", describeFilter(window.LeftFilter))
		text.Add("right", describeFilter(window.RightFilter))
		text.Add("lower_ms", jsontext.Int(window.LowerMS))
		text.Add("upper_ms", jsontext.Int(window.UpperMS))
		text.Add("lower", describeWord(window.LowerExclusive, "inclusive", "exclusive"))
		text.Add("upper", describeWord(window.UpperExclusive, "inclusive", "exclusive"))
		text.Add("take", describeWord(window.TakeFirst, "all", "first"))
		sides := [...]string{"none", "left", "right", "both"}
		side := 0
		if window.UnmatchedLeft {
			side++
		}
		if window.UnmatchedRight {
			side += 2
		}
		text.Add("unmatched", jsontext.String(sides[side]))
	}
	return text
}

func describeWord(flag bool, off, on string) jsontext.Value {
	if flag {
		return jsontext.String(on)
	}
	return jsontext.String(off)
}
