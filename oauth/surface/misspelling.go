package surface

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Resembled returns the known name that name looks like a misspelling of, or
// "". It returns "" for a known name itself. A misspelling differs in letter
// case, or in up to two letters of a name with at least six, or in one of a name
// with at least four; two letters that changed places count as one. Names that
// differ by "ID" at their end are different names: BuyerID and Buyer.
func Resembled(name string, known []string) string {
	if slices.Contains(known, name) || len(name) > maxNameLength {
		return ""
	}
	for _, k := range slices.Sorted(slices.Values(known)) {
		if isMisspelling(strings.ToLower(name), strings.ToLower(k)) {
			return k
		}
	}
	return ""
}

// maxNameLength bounds in bytes what is compared with known names.
const maxNameLength = 100

func isMisspelling(name, known string) bool {
	if name == known {
		return true
	}
	stem, isID := strings.CutSuffix(name, "id")
	knownStem, knownIsID := strings.CutSuffix(known, "id")
	if isID != knownIsID && (stem == knownStem) {
		return false
	}
	if isID && knownIsID {
		name, known = stem, knownStem
	}
	limit := 0
	switch letters := utf8.RuneCountInString(known); {
	case letters >= 6:
		limit = 2
	case letters >= 4:
		limit = 1
	}
	return limit > 0 && editDistance([]rune(name), []rune(known)) <= limit
}

// editDistance counts the letters that were left out, added, replaced or
// swapped with their neighbour (optimal string alignment).
func editDistance(a, b []rune) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
