package apply

import (
	"fmt"
	"io"
	"strings"
)

// The actions of a Change.
const (
	Create = "create"
	Update = "update"
	Delete = "delete"
)

// Change is one record that differs from the document.
type Change struct {
	Action string   `json:"action"`
	Kind   string   `json:"kind"`             // "ApiClient", "User", …
	ID     string   `json:"id"`               // "storefront", "b1/jane"
	Fields []string `json:"fields,omitempty"` // names of the fields that an update changes, without values
}

// String returns the change as one line.
func (c Change) String() string {
	line := c.Action + " " + c.Kind + " " + c.ID
	if len(c.Fields) > 0 {
		line += ": " + strings.Join(c.Fields, ", ")
	}
	return line
}

// Result lists what a run changed or, in a dry run, would change.
type Result struct {
	DryRun   bool     `json:"dry_run"`
	Changes  []Change `json:"changes"`
	Warnings []string `json:"warnings"`
}

// WriteText writes a line for each change, or "no changes".
func (r Result) WriteText(w io.Writer) error {
	var text strings.Builder
	for _, c := range r.Changes {
		text.WriteString(c.String() + "\n")
	}
	if len(r.Changes) == 0 {
		text.WriteString("no changes\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func (r *Result) warn(path, format string, args ...any) {
	r.Warnings = append(r.Warnings, path+": "+fmt.Sprintf(format, args...))
}
