package wire

import (
	"fmt"
	"strings"
)

// Fault is one fault of a document.
type Fault struct {
	Path    string // "ApiClients[2].AccessTokenDuration"
	Problem string // never holds a secret
	Code    string // ErrorCode of OrderCloud; empty: ValidationFailure
}

// String returns "path: problem".
func (f Fault) String() string {
	if f.Path == "" {
		return f.Problem
	}
	return f.Path + ": " + f.Problem
}

// Faults are all faults of a document. As an error it has a line for each. Err
// returns one.
type Faults []Fault

// Error implements error.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns f, or nil if there is no fault.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Add appends a fault.
func (f *Faults) Add(path, format string, args ...any) {
	*f = append(*f, Fault{Path: path, Problem: fmt.Sprintf(format, args...)})
}

// Join returns the path of a member of the object at path.
func Join(path, member string) string {
	if path == "" {
		return member
	}
	return path + "." + member
}

// Index returns the path of element i of the list at path.
func Index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
