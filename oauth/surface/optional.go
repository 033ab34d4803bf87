package surface

// ValueOr returns the value of an optional member, or otherwise if it is absent.
func ValueOr[T any](member *T, otherwise T) T {
	if member == nil {
		return otherwise
	}
	return *member
}

// Optional returns nil for the zero value, which JSON shows as null.
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
