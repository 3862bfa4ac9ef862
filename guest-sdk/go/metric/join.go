// Metrics that join: their methods, their declaration, and the loop over the pairs of a call.

package metric

import (
	"slices"
	"unsafe"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// Join is a metric over pairs of rows whose times lie close to each other: an IntervalJoin. It has no state. L and R
// are what it reads of an event on the left and on the right, O is what it emits.
type Join[L, R, O any] interface {
	// Matched handles a pair.
	Matched(left L, right R, ctx *Context[O]) error
}

// LeftJoin is a Join that wants left rows without a partner.
type LeftJoin[L, O any] interface {
	UnmatchedLeft(left L, ctx *Context[O]) error
}

// RightJoin is a Join that wants right rows without a partner.
type RightJoin[R, O any] interface {
	UnmatchedRight(right R, ctx *Context[O]) error
}

// ExportJoin is Export for a Join.
func ExportJoin[L, R, O any](metric Join[L, R, O], facts Facts) *Metric[O] {
	var check mistakes
	declared := declaredOf(&facts, &check)
	check.that(declared.Window.Kind == contract.IntervalJoin, "the window of a join is an IntervalJoin")
	declared.state(nil, facts.StateVersion, &check)
	left, right := inputsOf[L](contract.Left, &check), inputsOf[R](contract.Right, &check)
	outputs, settings := outputsOf[O](&check), settingsOf(metric, &check)
	leftJoin, rightJoin := checkJoin(metric, &check)
	check.report(facts.Name)

	declared.Window.UnmatchedLeft, declared.Window.UnmatchedRight = leftJoin != nil, rightJoin != nil
	declared.Inputs = slices.Concat(left.columns, right.columns)
	declared.Outputs, declared.Settings = outputs.columns, settings.schema()
	return export[O](declared.Module, outputs, func(module *contract.Module) {
		joiner := &joiner[L, R, O]{left: left, right: right, ctx: newContext[O](outputs)}
		joiner.use(metric)
		module.Configure = func(json string) error {
			configured, err := settings.configure(json)
			if err == nil {
				joiner.use(configured.(Join[L, R, O]))
			}
			return err
		}
		module.Update, module.Close = joiner.update, joiner.close
		module.Merge = func(left, _ *contract.ByteStrings) *contract.Folded {
			return joiner.ctx.allFailed(left.Len(), "a join has no states to merge")
		}
		module.Migrate = func(states *contract.ByteStrings, _ uint32) *contract.Folded {
			return joiner.ctx.allFailed(states.Len(), "a join has no states to migrate")
		}
	})
}

// checkJoin finds the methods that a Join may have, and those that look like one of them.
func checkJoin[L, R, O any](metric Join[L, R, O], check *mistakes) (LeftJoin[L, O], RightJoin[R, O]) {
	leftJoin, wantsLeft := metric.(LeftJoin[L, O])
	rightJoin, wantsRight := metric.(RightJoin[R, O])
	wrongMethod(metric, "UnmatchedLeft", wantsLeft, "UnmatchedLeft(left, ctx) error, as in Matched", check)
	wrongMethod(metric, "UnmatchedRight", wantsRight, "UnmatchedRight(right, ctx) error, as in Matched", check)
	return leftJoin, rightJoin
}

// joiner loops over the pairs of a call. Every group is one pair or one lonely row.
type joiner[L, R, O any] struct {
	metric                    Join[L, R, O]
	leftJoin                  LeftJoin[L, O]
	rightJoin                 RightJoin[R, O]
	left, right               *inputs
	leftColumns, rightColumns []columnReader
	ctx                       *Context[O]
}

// use takes a metric with its settings.
func (joiner *joiner[L, R, O]) use(metric Join[L, R, O]) {
	joiner.metric = metric
	joiner.leftJoin, joiner.rightJoin = checkJoin(metric, new(mistakes))
}

func (joiner *joiner[L, R, O]) update(batch *contract.Batch) *contract.Folded {
	return joiner.eachRow(batch, func(left L, right R) error { return joiner.metric.Matched(left, right, joiner.ctx) })
}

func (joiner *joiner[L, R, O]) close(batch *contract.Batch, reason contract.CloseReason) *contract.Folded {
	switch {
	case reason == contract.UnmatchedLeft && joiner.leftJoin != nil:
		return joiner.eachRow(batch, func(left L, _ R) error { return joiner.leftJoin.UnmatchedLeft(left, joiner.ctx) })
	case reason == contract.UnmatchedRight && joiner.rightJoin != nil:
		return joiner.eachRow(batch, func(_ L, right R) error { return joiner.rightJoin.UnmatchedRight(right, joiner.ctx) })
	}
	return joiner.ctx.allFailed(len(batch.Groups.Times), "a join has neither windows nor timers")
}

func (joiner *joiner[L, R, O]) eachRow(batch *contract.Batch, handle func(L, R) error) *contract.Folded {
	var wrong, wrongRight string
	split := min(len(joiner.left.columns), len(batch.Columns))
	joiner.leftColumns, wrong = joiner.left.bind(batch.Columns[:split], joiner.leftColumns)
	joiner.rightColumns, wrongRight = joiner.right.bind(batch.Columns[split:], joiner.rightColumns)
	if wrong += wrongRight; wrong != "" {
		return joiner.ctx.allFailed(len(batch.Groups.Times), wrong)
	}
	joiner.ctx.begin(&batch.Groups)
	count := len(batch.Groups.Times)
	for next := 0; next < count; {
		next = joiner.groupsFrom(next, count, batch.Groups.RowEnds, handle)
	}
	return &joiner.ctx.folded
}

// groupsFrom handles groups until the last one, or the first one that panics, and returns the one after that.
func (joiner *joiner[L, R, O]) groupsFrom(group, count int, ends []uint32, handle func(L, R) error) (next int) {
	defer func() {
		if failed := panicked(recover()); failed != nil {
			joiner.ctx.endGroup(failed)
			next = group + 1
		}
	}()
	var left L
	var right R
	for ; group < count; group++ {
		joiner.ctx.group = group
		var failed error
		for row, end := contract.Span(ends, group); row < end && failed == nil; row++ {
			readRow(joiner.leftColumns, row, unsafe.Pointer(&left))
			readRow(joiner.rightColumns, row, unsafe.Pointer(&right))
			failed = handle(left, right)
		}
		joiner.ctx.endGroup(failed)
	}
	return count
}
