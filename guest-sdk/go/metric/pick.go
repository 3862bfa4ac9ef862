// Picks by event time: which text a group had first or last, whatever the order in which its rows arrive.

package metric

// LatestText is the text with the latest time, of those that are not empty; of one moment the greatest text. So it does
// not depend on the order in which rows arrive. The zero value has none.
type LatestText struct{ kept Optional[timedText] }

// EarliestText is the text with the earliest time, of those that are not empty; of one moment the least text.
type EarliestText struct{ kept Optional[timedText] }

type timedText struct {
	timeMS int64
	text   string
}

// isBefore is the order by time, then text.
func (a timedText) isBefore(b timedText) bool {
	return a.timeMS < b.timeMS || a.timeMS == b.timeMS && a.text < b.text
}

// Offer takes the text if it is later.
func (latest *LatestText) Offer(eventTimeMS int64, text Optional[string]) {
	offered := timedText{eventTimeMS, text.value}
	if text.value != "" && (!latest.kept.present || latest.kept.value.isBefore(offered)) {
		latest.kept = Some(offered)
	}
}

// Merge takes the text of the other one if it is later.
func (latest *LatestText) Merge(other LatestText) {
	if other.kept.present && (!latest.kept.present || latest.kept.value.isBefore(other.kept.value)) {
		*latest = other
	}
}

// Get returns the text.
func (latest LatestText) Get() Optional[string] { return textOfKept(latest.kept) }

// Offer takes the text if it is earlier.
func (earliest *EarliestText) Offer(eventTimeMS int64, text Optional[string]) {
	offered := timedText{eventTimeMS, text.value}
	if text.value != "" && (!earliest.kept.present || offered.isBefore(earliest.kept.value)) {
		earliest.kept = Some(offered)
	}
}

// Merge takes the text of the other one if it is earlier.
func (earliest *EarliestText) Merge(other EarliestText) {
	if other.kept.present && (!earliest.kept.present || other.kept.value.isBefore(earliest.kept.value)) {
		*earliest = other
	}
}

// Get returns the text.
func (earliest EarliestText) Get() Optional[string] { return textOfKept(earliest.kept) }

// Until returns the text if it is not later than a moment.
func (earliest EarliestText) Until(eventTimeMS int64) Optional[string] {
	if earliest.kept.value.timeMS > eventTimeMS {
		return None[string]()
	}
	return textOfKept(earliest.kept)
}

func textOfKept(kept Optional[timedText]) Optional[string] {
	return When(kept.present, kept.value.text)
}

// KeepEarliest keeps the earliest moment that it is given.
func KeepEarliest(keptMS *Optional[int64], eventTimeMS int64) {
	if !keptMS.present || eventTimeMS < keptMS.value {
		*keptMS = Some(eventTimeMS)
	}
}
