package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (c *cli) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write a manual page for each command",
		Example: "  latchkey man /usr/local/share/man/man1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pages, err := writeManual(cmd.Root(), args[0])
			if err != nil {
				return err
			}
			return c.done("%d manual pages are in %s", pages, args[0])
		},
	}
}

// writeManual writes the pages of a command and of those below it, and returns their
// number.
func writeManual(cmd *cobra.Command, dir string) (pages int, err error) {
	if !cmd.IsAvailableCommand() && cmd.HasParent() {
		return 0, nil
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	if err := os.WriteFile(filepath.Join(dir, name+".1"), []byte(manualPage(cmd, name)), 0o644); err != nil { //nolint:gosec // for everybody to read
		return 0, err
	}
	pages = 1
	for _, sub := range cmd.Commands() {
		more, err := writeManual(sub, dir)
		if pages += more; err != nil {
			return pages, err
		}
	}
	return pages, nil
}

// manualPage returns a page in the language of man(7).
func manualPage(cmd *cobra.Command, name string) string {
	var page strings.Builder
	text := func(format string, args ...string) {
		values := make([]any, len(args))
		for i, arg := range args {
			values[i] = roff(arg)
		}
		_, _ = fmt.Fprintf(&page, format, values...)
	}
	text(".TH %s 1\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.B %s\n", strings.ToUpper(name), name, cmd.Short, cmd.UseLine())
	if cmd.Long != "" {
		text(".SH DESCRIPTION\n%s\n", cmd.Long)
	}
	options := func(title string, flags *pflag.FlagSet) {
		if !flags.HasAvailableFlags() {
			return
		}
		text(".SH %s\n", title)
		flags.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				text(".TP\n.B \\-\\-%s\n%s\n", f.Name, f.Usage)
			}
		})
	}
	options("OPTIONS", cmd.NonInheritedFlags())
	options("GLOBAL OPTIONS", cmd.InheritedFlags())
	if cmd.Example != "" {
		text(".SH EXAMPLES\n.nf\n%s\n.fi\n", cmd.Example)
	}
	var also []string
	if cmd.HasParent() {
		also = append(also, strings.ReplaceAll(cmd.Parent().CommandPath(), " ", "-")+"(1)")
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			also = append(also, strings.ReplaceAll(sub.CommandPath(), " ", "-")+"(1)")
		}
	}
	text(".SH SEE ALSO\n%s\n", strings.Join(also, ", "))
	return page.String()
}

// roff escapes text, so that no line of it is a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line == "" {
			lines[i] = ".PP"
		} else if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
