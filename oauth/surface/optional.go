package surface

import "slices"

// ValueOr returns the value of an optional member, or otherwise if it is absent.
func ValueOr[T any](member *T, otherwise T) T {
	if member == nil {
		return otherwise
	}
	return *member
}

// Optional returns a pointer to value, or nil for the zero value, which JSON shows as null.
func Optional[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// Overwrite stores the value of an optional member in into. An absent member
// leaves it as it is.
func Overwrite[T any](into *T, member *T) {
	if member != nil {
		*into = *member
	}
}

// SortedSet returns the elements of all lists, sorted and without duplicates.
func SortedSet(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// OrEmpty returns list, or an empty list for nil, so that JSON shows [].
func OrEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
