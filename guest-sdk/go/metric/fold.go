// Metrics that fold: their methods, their declaration, and the loop over the groups of a call.

package metric

import (
	"reflect"
	"strconv"
	"unsafe"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// Fold is a metric that folds the rows of a group into its state: tumbling, sliding, session and key windows. I is what
// it reads of an event, S what it remembers of a group, O what it emits.
//
// Both methods must depend on their arguments and the metric's settings alone. An error, or a panic, fails the group
// and no other: its state stays as it was, its rows become a dead letter with the message.
type Fold[I, S, O any] interface {
	// Update adds rows of one key and window to its state. Called for every batch that has some.
	Update(state *S, rows Rows[I], ctx *Context[O]) error
	// Close ends a window, or handles a timer or the expiry of a key.
	Close(state *S, reason CloseReason, ctx *Context[O]) error
}

// Merger is a Fold whose states can be merged. Session windows need it.
type Merger[S any] interface {
	// Merge adds later, which was folded from rows after those of state. Must be associative, and the zero value must
	// change nothing.
	Merge(state *S, later S) error
}

// Migrator is a Fold that can read states of its older versions.
type Migrator[S any] interface {
	// Migrate returns the state in the bytes, which a metric with StateVersion version wrote. ReadState reads them.
	Migrate(state []byte, version uint32) (S, error)
}

// Export makes metric the metric of this component; call it once, for a variable of the package, which tests drive. The
// fields of metric that have a tag `setting:"name"` are its settings, their values here the defaults.
//
//	var Metric = metric.Export[Request, Minute, Slow](SlowRequests{LimitMS: 500}, metric.Facts{…})
//
// It panics if something is declared wrongly, with every mistake that there is.
func Export[I, S, O any](metric Fold[I, S, O], facts Facts) *Metric[O] {
	var check mistakes
	declared := declaredOf(&facts, &check)
	check.that(declared.Window.Kind != contract.IntervalJoin, "an IntervalJoin belongs to ExportJoin")
	declared.state(programOf(reflect.TypeFor[S](), 0, reflect.TypeFor[S]().Name(), &check), facts.StateVersion, &check)
	inputs, outputs, settings := inputsOf[I](contract.NoSide, &check), outputsOf[O](&check), settingsOf(metric, &check)
	merger, _ := checkFold(metric, &check)
	declared.Mergeable = merger != nil
	check.that(declared.Mergeable || declared.Window.Kind != contract.Session, "sessions grow together: implement Merge")
	check.report(facts.Name)

	declared.Inputs, declared.Outputs, declared.Settings = inputs.columns, outputs.columns, settings.schema()
	return export[O](declared.Module, outputs, func(module *contract.Module) {
		folder := &folder[I, S, O]{inputs: inputs, program: declared.program, ctx: newContext[O](outputs)}
		folder.use(metric)
		module.Configure = func(json string) error {
			configured, err := settings.configure(json)
			if err == nil {
				folder.use(configured.(Fold[I, S, O]))
			}
			return err
		}
		module.Update, module.Close = folder.update, folder.close
		module.Merge, module.Migrate = folder.merge, folder.migrate
	})
}

// checkFold finds the methods that a Fold may have, and those that look like one of them.
func checkFold[I, S, O any](metric Fold[I, S, O], check *mistakes) (Merger[S], Migrator[S]) {
	merger, merges := metric.(Merger[S])
	migrator, migrates := metric.(Migrator[S])
	state := reflect.TypeFor[S]().Name()
	wrongMethod(metric, "Merge", merges, "Merge(state *"+state+", later "+state+") error", check)
	wrongMethod(metric, "Migrate", migrates, "Migrate(state []byte, version uint32) ("+state+", error)", check)
	return merger, migrator
}

// folder loops over the groups of a call. What it reuses from call to call is memory alone.
type folder[I, S, O any] struct {
	metric   Fold[I, S, O]
	merger   Merger[S]
	migrator Migrator[S]
	inputs   *inputs
	program  program
	ctx      *Context[O]

	// The group in hand.
	state S
	rows  Rows[I]
}

// use takes a metric with its settings.
func (folder *folder[I, S, O]) use(metric Fold[I, S, O]) {
	folder.metric = metric
	folder.merger, folder.migrator = checkFold(metric, new(mistakes))
}

func (folder *folder[I, S, O]) update(batch *contract.Batch) *contract.Folded {
	var wrong string
	rows := &folder.rows
	rows.eventTimes = batch.EventTimes
	rows.readers, wrong = folder.inputs.bind(batch.Columns, rows.readers)
	if wrong != "" {
		return folder.ctx.allFailed(len(batch.Groups.Times), wrong)
	}
	groups := &batch.Groups
	return folder.eachGroup(groups, len(groups.Times), func(group int) error {
		rows.start, rows.end = contract.Span(groups.RowEnds, group)
		if err := folder.read(groups.States.Get(group)); err != nil {
			return err
		}
		return folder.metric.Update(&folder.state, *rows, folder.ctx)
	})
}

func (folder *folder[I, S, O]) close(batch *contract.Batch, reason contract.CloseReason) *contract.Folded {
	groups := &batch.Groups
	return folder.eachGroup(groups, len(groups.Times), func(group int) error {
		if err := folder.read(groups.States.Get(group)); err != nil {
			return err
		}
		return folder.metric.Close(&folder.state, reason, folder.ctx)
	})
}

func (folder *folder[I, S, O]) merge(left, right *contract.ByteStrings) *contract.Folded {
	if folder.merger == nil {
		return folder.ctx.allFailed(left.Len(), "states of this metric cannot be merged")
	}
	return folder.eachGroup(nil, left.Len(), func(pair int) error {
		var later S
		if err := readState(folder.program, right.Get(pair), unsafe.Pointer(&later)); err != nil {
			return err
		}
		if err := folder.read(left.Get(pair)); err != nil {
			return err
		}
		return folder.merger.Merge(&folder.state, later)
	})
}

func (folder *folder[I, S, O]) migrate(states *contract.ByteStrings, from uint32) *contract.Folded {
	if folder.migrator == nil {
		reason := "states of version " + strconv.FormatUint(uint64(from), 10) + " cannot be read"
		return folder.ctx.allFailed(states.Len(), reason)
	}
	return folder.eachGroup(nil, states.Len(), func(group int) (err error) {
		folder.state, err = folder.migrator.Migrate(states.Get(group), from)
		return err
	})
}

// read makes the state in the bytes that of the group in hand.
func (folder *folder[I, S, O]) read(state []byte) error {
	var zero S
	folder.state = zero
	return readState(folder.program, state, unsafe.Pointer(&folder.state))
}

// eachGroup runs all groups and keeps the state of each, or why it failed.
func (folder *folder[I, S, O]) eachGroup(groups *contract.Groups, count int, run func(group int) error) *contract.Folded {
	folder.ctx.begin(groups)
	for next := 0; next < count; {
		next = folder.groupsFrom(next, count, run)
	}
	return &folder.ctx.folded
}

// groupsFrom runs groups until the last one, or the first one that panics, and returns the one after that.
func (folder *folder[I, S, O]) groupsFrom(group, count int, run func(group int) error) (next int) {
	defer func() {
		if failed := panicked(recover()); failed != nil {
			folder.ctx.endGroup(failed)
			next = group + 1
		}
	}()
	ctx := folder.ctx
	for ; group < count; group++ {
		ctx.group = group
		if err := run(group); err != nil {
			ctx.endGroup(err)
			continue
		}
		if !ctx.forget {
			ctx.folded.States.Bytes = folder.program.encode(ctx.folded.States.Bytes, unsafe.Pointer(&folder.state))
		}
		ctx.endGroup(nil)
	}
	return count
}
