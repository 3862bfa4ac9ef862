// Interval joins, as the runtime has them.

package metrictest

import (
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// paired is an interval join: every pair and every row without a partner is a group of its own.
type paired struct {
	terms   contract.Window
	late    int
	waiting map[string]*sides
}

// sides are the waiting rows of a key, each side in canonical order.
type sides struct{ left, right []*waitingRow }

type waitingRow struct {
	*record
	matched bool
}

func (paired *paired) lateRows() int { return paired.late }

// bounds are inclusive.
func (paired *paired) bounds() (lowerMS, upperMS int64) {
	lowerMS, upperMS = paired.terms.LowerMS, paired.terms.UpperMS
	if paired.terms.LowerExclusive {
		lowerMS++
	}
	if paired.terms.UpperExclusive {
		upperMS--
	}
	return lowerMS, upperMS
}

func (paired *paired) isPair(left, right *waitingRow) bool {
	lowerMS, upperMS := paired.bounds()
	distanceMS := right.timeMS - left.timeMS
	return lowerMS <= distanceMS && distanceMS <= upperMS
}

func (paired *paired) fold(caller *caller, records []*record, watermark int64) {
	var pairs []groupCall
	for _, record := range records {
		if watermark != math.MinInt64 && record.timeMS < watermark {
			paired.late++
			continue
		}
		waiting := paired.waiting[record.key]
		if waiting == nil {
			waiting = &sides{}
			paired.waiting[record.key] = waiting
		}
		row := &waitingRow{record: record}
		own, others := &waiting.left, waiting.right
		if record.side == contract.Right {
			own, others = &waiting.right, waiting.left
		}
		for _, other := range others {
			left, right := row, other
			if record.side == contract.Right {
				left, right = other, row
			}
			if !paired.terms.TakeFirst && paired.isPair(left, right) {
				left.matched, right.matched = true, true
				pairs = append(pairs, pairCall(left.record, right.record))
			}
		}
		at := sort.Search(len(*own), func(i int) bool { return record.before((*own)[i].record) })
		*own = slices.Insert(*own, at, row)
	}
	caller.call(pairs, updating)
}

func (paired *paired) advance(caller *caller, watermark int64) {
	var pairs, leftAlone, rightAlone []groupCall
	lowerMS, upperMS := paired.bounds()
	for _, key := range slices.Sorted(maps.Keys(paired.waiting)) {
		waiting := paired.waiting[key]
		if paired.terms.TakeFirst {
			pairs = append(pairs, paired.takeFirst(waiting, watermark)...)
		}
		left, right := expired(&waiting.left, max(upperMS, 0), watermark), expired(&waiting.right, max(-lowerMS, 0), watermark)
		if paired.terms.UnmatchedLeft {
			leftAlone = append(leftAlone, left...)
		}
		if paired.terms.UnmatchedRight {
			rightAlone = append(rightAlone, right...)
		}
	}
	caller.call(pairs, updating)
	caller.call(leftAlone, contract.UnmatchedLeft)
	caller.call(rightAlone, contract.UnmatchedRight)
}

// takeFirst takes the first partners that are certain: none before them can still come.
func (paired *paired) takeFirst(waiting *sides, watermark int64) (pairs []groupCall) {
	lowerMS, _ := paired.bounds()
	waiting.left = slices.DeleteFunc(waiting.left, func(left *waitingRow) bool {
		rights := waiting.right
		first := sort.Search(len(rights), func(i int) bool { return rights[i].timeMS >= left.timeMS+lowerMS })
		if first == len(rights) || !paired.isPair(left, rights[first]) || rights[first].timeMS > watermark {
			return false
		}
		rights[first].matched = true
		pairs = append(pairs, pairCall(left.record, rights[first].record))
		return true
	})
	return pairs
}

// expired takes out the rows that can find no new partner, and returns those that never had one.
func expired(rows *[]*waitingRow, waitMS, watermark int64) (alone []groupCall) {
	gone := sort.Search(len(*rows), func(i int) bool { return plus((*rows)[i].timeMS, waitMS) > watermark })
	for _, row := range (*rows)[:gone] {
		if !row.matched {
			window := span{row.timeMS, plus(row.timeMS, 1)}
			alone = append(alone, groupCall{row.key, window, row.timeMS, nil, []*record{row.record}})
		}
	}
	*rows = (*rows)[gone:]
	return alone
}

// pairCall makes one row of a pair: each side fills its own columns.
func pairCall(left, right *record) groupCall {
	timeMS := max(left.timeMS, right.timeMS)
	cells := slices.Clone(left.cells)
	for i, cell := range right.cells {
		if !cells[i].present {
			cells[i] = cell
		}
	}
	window := span{left.timeMS, plus(left.timeMS, 1)}
	return groupCall{left.key, window, timeMS, nil, []*record{{key: left.key, timeMS: timeMS, cells: cells}}}
}
