package wire

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong with a document, and where.
type Fault struct {
	Path    string // "ApiClients[2].AccessTokenDuration"
	Problem string // never holds a secret
	Code    string // OrderCloud's for it; empty: that of any fault
}

// String returns "path: problem".
func (f Fault) String() string {
	if f.Path == "" {
		return f.Problem
	}
	return f.Path + ": " + f.Problem
}

// Faults is everything wrong with a document. As an error it has a line for
// each; use Err to get one.
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

// Join returns the path of a member of what stands at path.
func Join(path, member string) string {
	if path == "" {
		return member
	}
	return path + "." + member
}

// Index returns the path of element i of the list at path.
func Index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
