// Package metric is what the author of a Tidemark metric writes against: typed input, state and output, and code for one
// key and one window.
//
// A metric is a struct with the methods of a [Fold] or of a [Join]. [Export] or [ExportJoin] declare it. Everything else
// is the runtime's: reading, time, windows, joins, state, delivery. Package metrictest runs it in tests, and
// tidemark-go makes a component of it, which imports nothing: it has no clock, no random numbers, no files and no
// network, so its rows depend on its input alone.
package metric
