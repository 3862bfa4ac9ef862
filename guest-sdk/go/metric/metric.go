// A whole metric, and what Export and ExportJoin share.

package metric

import (
	"errors"
	"reflect"
	"strings"
	"unsafe"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// Metric is a whole metric: what a component exports and what a test drives. Export and ExportJoin make it.
type Metric[O any] struct {
	described string
	outputs   *outputs
	newModule func() *contract.Module
}

// Describe is what the module says of itself, as JSON: wit/describe.md has the format.
func (metric *Metric[O]) Describe() string { return metric.described }

// NewModule is for the test driver: the contract's functions, with memory of their own.
func (metric *Metric[O]) NewModule() *contract.Module { return metric.newModule() }

// ReadRow is for the test driver: a row of columns that the metric emitted.
func (metric *Metric[O]) ReadRow(columns []contract.Column, row int) (read O) {
	metric.outputs.readRow(columns, row, unsafe.Pointer(&read))
	return read
}

// CheckWindow is for the test driver: a window as it was declared, or what is wrong with it.
func CheckWindow(window Window) (contract.Window, error) {
	var check mistakes
	checked := window.facts(&check)
	if len(check) > 0 {
		return checked, errors.New(strings.Join(check, "; "))
	}
	return checked, nil
}

// CloseReason says why Close is called.
type CloseReason = contract.CloseReason

const (
	// WindowEnd: the watermark passed the window's end. Called again whenever a late row within the allowed lateness
	// changed the window, so the state must stay usable.
	WindowEnd = contract.WindowEnd
	// TimerDue: a timer that this key set is due; Context.EventTimeMS is the time it was set for.
	TimerDue = contract.Timer
	// Expired: no row came for the key's time to live; the state is dropped after this call.
	Expired = contract.Expired
)

// Validator is a metric that checks its settings beyond their types. The error is for the person who wrote the
// configuration.
type Validator interface{ Validate() error }

// export makes a metric of its declaration and of what gives a module its functions, and makes it that of this
// component. Outside of WebAssembly there may be several, in tests.
func export[O any](declared contract.Module, outputs *outputs, complete func(*contract.Module)) *Metric[O] {
	described := describe(&declared)
	declared.Describe = func() string { return described }
	newModule := func() *contract.Module {
		module := declared
		complete(&module)
		return &module
	}
	exportModule(described, newModule)
	return &Metric[O]{described, outputs, newModule}
}

// declaration is a module that has no functions yet.
type declaration struct {
	contract.Module
	program program
}

func declaredOf(facts *Facts, check *mistakes) *declaration {
	check.facts(facts)
	declared := &declaration{Module: contract.Module{
		Name: facts.Name, Version: facts.Version, Doc: facts.Doc, Key: facts.Key,
		Filter: check.filter("Facts.Filter", facts.Filter),
	}}
	if facts.Window != nil {
		declared.Window = facts.Window.facts(check)
	}
	return declared
}

// state sets the program of the state and its version.
func (declared *declaration) state(program program, version uint32, check *mistakes) {
	declared.program, declared.StateVersion = program, max(version, 1)
	if len(program) == 0 {
		check.that(version == 0, "Facts.StateVersion: a metric without state has none")
		declared.StateVersion = 0
	}
}

// wrongMethod adds a mistake if the metric has a method of this name that is not the one of the interface: it would
// never be called. Only natively: looking for methods by name makes the linker keep every method of every type.
func wrongMethod(metric any, name string, implemented bool, signature string, check *mistakes) {
	if inComponent {
		return
	}
	if _, found := reflect.TypeOf(metric).MethodByName(name); found && !implemented {
		check.add("the method ", name, " must be ", signature)
	}
}

// panicked makes what recover returned the failure of a group: the message says what, and no other group is affected.
func panicked(cause any) error {
	switch cause := cause.(type) {
	case nil:
		return nil
	case error:
		return errors.New("panic: " + cause.Error())
	case wrongRow:
		return errors.New(string(cause))
	case string:
		return errors.New("panic: " + cause)
	default:
		return errors.New("panic: " + reflect.TypeOf(cause).String())
	}
}
