// What a metric can ask and do while it handles one group, and the answer that grows of it.

package metric

import (
	"unsafe"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// Context is the group in hand: its key and window, and what is emitted for it.
type Context[O any] struct {
	outputs *outputs
	groups  *contract.Groups
	group   int
	folded  contract.Folded
	forget  bool
}

func newContext[O any](outputs *outputs) *Context[O] {
	return &Context[O]{outputs: outputs, folded: contract.Folded{Columns: outputs.emptyColumns()}}
}

// Key is the group's key.
func (ctx *Context[O]) Key() string { return textOf(&ctx.groups.Keys, ctx.group) }

// WindowStartMS is the first millisecond of the window. The least int64 for PerKey; of a join, the time of the left
// row, or of the only one.
func (ctx *Context[O]) WindowStartMS() int64 { return ctx.groups.WindowStarts[ctx.group] }

// WindowEndMS is the first millisecond after the window. The greatest int64 for PerKey.
func (ctx *Context[O]) WindowEndMS() int64 { return ctx.groups.WindowEnds[ctx.group] }

// EventTimeMS is the event time that emitted rows will have: the window's last millisecond, the newest row of a key,
// the time of a timer, or the greater time of both sides of a join.
func (ctx *Context[O]) EventTimeMS() int64 { return ctx.groups.Times[ctx.group] }

// Emit emits a row. A group may emit any number of them, in Update as well as in Close. A text that is not UTF-8 fails
// the group.
func (ctx *Context[O]) Emit(row O) {
	ctx.outputs.check(unsafe.Pointer(&row))
	ctx.outputs.writeRow(ctx.folded.Columns, len(ctx.folded.Emitted), unsafe.Pointer(&row))
	ctx.folded.Emitted = append(ctx.folded.Emitted, uint32(ctx.group))
}

// TimerAt asks for a call of Close with TimerDue when the watermark reaches a moment. PerKey only. Setting a timer
// twice is setting it once.
func (ctx *Context[O]) TimerAt(eventTimeMS int64) {
	timer := contract.TimerRequest{Group: uint32(ctx.group), Time: eventTimeMS}
	ctx.folded.Timers = append(ctx.folded.Timers, timer)
}

// Forget drops the group's state after this call, whatever the metric made of it. Where the window lives on, the next
// call begins with the zero value.
func (ctx *Context[O]) Forget() { ctx.forget = true }

// begin starts the answer to a call. The answer before it is gone.
func (ctx *Context[O]) begin(groups *contract.Groups) {
	ctx.groups = groups
	ctx.folded.Reset()
}

// endGroup ends the group in hand, whose state has been written. Of a group that failed the host ignores everything else.
func (ctx *Context[O]) endGroup(failed error) {
	if failed != nil {
		ctx.folded.Fail(ctx.group, failed.Error())
	}
	ctx.forget = false
	ctx.folded.States.EndString()
}

// allFailed is the answer of a call in which every group failed for one reason.
func (ctx *Context[O]) allFailed(groups int, reason string) *contract.Folded {
	ctx.folded.Reset()
	for group := range groups {
		ctx.folded.Fail(group, reason)
		ctx.folded.States.EndString()
	}
	return &ctx.folded
}
