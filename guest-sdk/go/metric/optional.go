// Values that may be missing.

package metric

// Optional is a value that may be missing. The zero value is missing.
//
// Every field of an input is one, since an event may always lack it; in an output it is a column that may be null, in
// a state an optional value.
type Optional[T any] struct {
	// The codecs know this layout.
	value   T
	present bool
}

// Some is a value that is there.
func Some[T any](value T) Optional[T] { return Optional[T]{value, true} }

// None is a value that is missing.
func None[T any]() Optional[T] { return Optional[T]{} }

// When is the value if the condition holds, and missing otherwise.
func When[T any](condition bool, value T) Optional[T] {
	if condition {
		return Some(value)
	}
	return None[T]()
}

// Get returns the value and whether it is there.
func (optional Optional[T]) Get() (T, bool) { return optional.value, optional.present }

// Present says whether the value is there.
func (optional Optional[T]) Present() bool { return optional.present }

// Or returns the value, or another one where it is missing.
func (optional Optional[T]) Or(other T) T {
	if optional.present {
		return optional.value
	}
	return other
}

// OrElse returns the optional itself, or another one where the value is missing.
func (optional Optional[T]) OrElse(other Optional[T]) Optional[T] {
	if optional.present {
		return optional
	}
	return other
}

// NonEmpty is the text if it is neither missing nor empty.
func NonEmpty(text Optional[string]) Optional[string] {
	return When(text.value != "", text.value)
}

func (Optional[T]) isOptional() {}

// optionalType marks instances of Optional for reflection.
type optionalType interface{ isOptional() }

// JSON is any JSON value, as its text.
type JSON string
