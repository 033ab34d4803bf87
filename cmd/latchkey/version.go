package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// The linker sets these in releases; see deploy/release.
var version, revision, date string

// buildView is the build of the program in the output.
type buildView struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of the program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			return c.print(v, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, v)
				return err
			})
		},
	}
}

func buildVersion() buildView {
	v := buildView{Version: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version, v.Go = cmp.Or(version, info.Main.Version, "(devel)"), info.GoVersion
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	v.Revision, v.Time = cmp.Or(revision, v.Revision), cmp.Or(date, v.Time)
	return v
}

func (v buildView) String() string {
	s := "latchkey " + v.Version
	if v.Revision != "" {
		s += " " + v.Revision
	}
	if v.Time != "" {
		s += " " + v.Time
	}
	if v.Modified {
		s += " (modified)"
	}
	return s + " " + v.Go
}
