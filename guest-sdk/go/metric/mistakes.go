// What can be wrong with a declaration.

package metric

import (
	"slices"
	"strings"
	"time"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// mistakes collects what is wrong with a declaration, so that an author sees all of it at once.
type mistakes []string

func (check *mistakes) add(parts ...string) { *check = append(*check, strings.Join(parts, "")) }

func (check *mistakes) that(holds bool, otherwise string) {
	if !holds {
		check.add(otherwise)
	}
}

// report panics with everything that was found: a metric with mistakes must not start.
func (check mistakes) report(name string) {
	if len(check) > 0 {
		panic("metric " + name + " is declared wrongly:\n  " + strings.Join(check, "\n  "))
	}
}

func (check *mistakes) milliseconds(what string, duration time.Duration) int64 {
	check.that(duration%time.Millisecond == 0, what+" must be whole milliseconds")
	return duration.Milliseconds()
}

func (check *mistakes) positive(what string, duration time.Duration) int64 {
	check.that(duration > 0, what+" must be positive")
	return check.milliseconds(what, duration)
}

func (check *mistakes) filter(what string, filter Filter) contract.Filter {
	sorted := filter.sorted()
	for _, condition := range sorted {
		check.path(what, condition.Path)
	}
	return sorted
}

// path adds a mistake if path is not one into an event.
func (check *mistakes) path(what, path string) {
	names := strings.Split(path, ".")
	roots := []string{"id", "type", "timestamp", "gateway", "data", "enrich"}
	switch {
	case slices.Contains(names, ""):
		check.add(what, " ", quote(path), ": a path is made of names with a dot between them, such as \"data.stream_id\"")
	case !slices.Contains(roots, names[0]):
		check.add(what, " ", quote(path), ": a path begins with ", strings.Join(roots, ", "))
	}
}

// isName says whether text begins with a lower-case letter and goes on with letters, digits and the separator.
func isName(text string, separator rune) bool {
	isLetter := func(letter rune) bool { return 'a' <= letter && letter <= 'z' }
	other := func(letter rune) bool {
		return !isLetter(letter) && (letter < '0' || letter > '9') && letter != separator
	}
	return text != "" && isLetter(rune(text[0])) && !strings.ContainsFunc(text, other)
}

func (check *mistakes) facts(facts *Facts) {
	check.that(isName(facts.Name, '-'), "Facts.Name: lower-case letters, digits and hyphens")
	check.that(isVersion(facts.Version), "Facts.Version: a semantic version such as \"1.0.0\"")
	check.path("Facts.Key", facts.Key)
	check.that(facts.Window != nil, "Facts.Window is missing: Tumbling, Sliding, Session, PerKey or IntervalJoin")
}

// isVersion says whether text is three numbers, with whatever follows a hyphen or a plus.
func isVersion(text string) bool {
	if end := strings.IndexAny(text, "-+"); end >= 0 {
		text = text[:end]
	}
	numbers := strings.Split(text, ".")
	noNumber := func(number string) bool {
		return number == "" || strings.Trim(number, "0123456789") != "" || number[0] == '0' && number != "0"
	}
	return len(numbers) == 3 && !slices.ContainsFunc(numbers, noNumber)
}

func quote(text string) string { return `"` + text + `"` }
