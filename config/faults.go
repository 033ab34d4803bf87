package config

import (
	"slices"
	"strings"
)

// Fault is one thing that is wrong with the configuration.
type Fault struct {
	Setting string `json:"setting"`          // its key, or the unknown name
	Source  string `json:"source,omitempty"` // where the value came from: a variable, a flag or a file; empty: the whole
	Problem string `json:"problem"`          // what is wrong; never holds the value of a secret
}

func (f Fault) String() string {
	if f.Source == "" || f.Source == f.Setting {
		return f.Setting + ": " + f.Problem
	}
	return f.Setting + " (" + f.Source + "): " + f.Problem
}

// Faults is everything that is wrong with a configuration. It is an error of
// one line.
type Faults []Fault

func (f Faults) Error() string {
	parts := make([]string, len(f))
	for i, fault := range f {
		parts[i] = fault.String()
	}
	return "configuration: " + strings.Join(parts, "; ")
}

// orNil returns the faults as an error, or nil when there are none: a Faults of
// length zero in an error would not be nil.
func (f Faults) orNil() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

func (f Faults) has(setting string) bool {
	return slices.ContainsFunc(f, func(x Fault) bool { return x.Setting == setting })
}

// without returns the faults of settings that known has no fault of: what is
// unreadable is told once.
func (f Faults) without(known Faults) Faults {
	return slices.DeleteFunc(slices.Clone(f), func(x Fault) bool { return known.has(x.Setting) })
}
