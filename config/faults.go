package config

import (
	"slices"
	"strings"
)

// Fault is one error of the configuration.
type Fault struct {
	Setting string `json:"setting"`          // key of the setting, or an unknown name
	Source  string `json:"source,omitempty"` // where the value came from: a variable, a flag, or a file and line; empty: not one place
	Problem string `json:"problem"`          // what is wrong; it never contains the value of a secret
}

func (f Fault) String() string {
	if f.Source == "" || f.Source == f.Setting {
		return f.Setting + ": " + f.Problem
	}
	return f.Setting + " (" + f.Source + "): " + f.Problem
}

// Faults lists all errors of a configuration. Its text is one line.
type Faults []Fault

func (f Faults) Error() string {
	parts := make([]string, len(f))
	for i, fault := range f {
		parts[i] = fault.String()
	}
	return "configuration: " + strings.Join(parts, "; ")
}

// orNil returns the faults as an error, or nil if there are none. An empty Faults
// in an error would not be nil.
func (f Faults) orNil() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

func (f Faults) has(setting string) bool {
	return slices.ContainsFunc(f, func(x Fault) bool { return x.Setting == setting })
}

// without returns the faults of settings that have no fault in known, so that a
// value that cannot be parsed is reported once.
func (f Faults) without(known Faults) Faults {
	return slices.DeleteFunc(slices.Clone(f), func(x Fault) bool { return known.has(x.Setting) })
}
