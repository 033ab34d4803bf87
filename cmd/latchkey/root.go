package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchkey/config"
	"latchkey/oauth/server/terminal"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // the command failed
	exitUsage  = 2 // the command line or the configuration is wrong
)

// cli is one call of the program.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	now            func() time.Time
	random         io.Reader
	onStatement    func(sql string) // see gormstore.Config; may be nil

	configFile  string
	defaultFile string // settings that are read if no other file is named; empty: none
	output      string // "text" or "json"
	begun       bool   // the command line is valid
}

// run executes the command line args, without the program's name, and returns
// the exit code. The end of ctx stops a server gracefully.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{
		stdin: stdin, stdout: stdout, stderr: stderr, environ: os.Environ(),
		now: time.Now, random: rand.Reader, defaultFile: "/etc/latchkey/latchkey.yaml",
	}
	return c.run(ctx, args)
}

func (c *cli) run(ctx context.Context, args []string) int {
	root := c.rootCommand()
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	c.report(err)
	_, badConfig := errors.AsType[config.Faults](err)
	_, badUsage := errors.AsType[usageError](err)
	if !c.begun || badConfig || badUsage {
		return exitUsage
	}
	return exitFailed
}

// usageError is the error for an invalid command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// report writes an error as one line, or as one JSON object.
func (c *cli) report(err error) {
	text := oneLine(err.Error())
	if c.output != "json" {
		_, _ = fmt.Fprintf(c.stderr, "latchkey: %s\n", text)
		return
	}
	faults, _ := errors.AsType[config.Faults](err)
	_ = writeJSON(c.stderr, struct {
		Error  string        `json:"error"`
		Faults config.Faults `json:"faults,omitempty"`
	}{text, faults})
}

// oneLine joins the lines of a text and replaces characters that control a terminal.
func oneLine(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		line = strings.Map(func(r rune) rune {
			if terminal.Controls(r) {
				return ' '
			}
			return r
		}, line)
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(terminal.JSON(w))
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// print prints a result: v as one line of JSON with --output json, and otherwise the
// output of text.
func (c *cli) print(v any, text func(w io.Writer) error) error {
	if c.output == "json" {
		return writeJSON(c.stdout, v)
	}
	return text(c.stdout)
}

// done prints a sentence as the result of a command without another result.
func (c *cli) done(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return c.print(struct {
		Result string `json:"result"`
	}{text}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, text)
		return err
	})
}

func (c *cli) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "latchkey",
		Short:         "OAuth 2.0 authorization server for signing in with one-time passwords",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownSubcommand,
		RunE:          needsSubcommand,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if c.output != "text" && c.output != "json" {
				return usagef("--output must be text or json, not %q", c.output)
			}
			if err := errors.Join(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
				return err
			}
			c.begun = true
			return nil
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.configFile, "config", "", "YAML file with settings (LATCHKEY_CONFIG); default: /etc/latchkey/latchkey.yaml, if it exists")
	flags.StringVar(&c.output, "output", "text", "how to print results and errors: text or json")
	for _, f := range settingFlags(everywhere) {
		flags.String(f.name, "", f.usage)
	}
	root.AddCommand(c.applyCommand(), c.auditCommand(), c.backupCommand(), c.clientCommand(), c.configCommand(),
		c.copyCommand(), c.demoCommand(), c.exportCommand(), c.healthcheckCommand(), c.keysCommand(), c.manCommand(), c.messageCommand(),
		c.migrateCommand(), c.policyCommand(), c.restoreCommand(), c.selftestCommand(), c.senderCommand(), c.serveCommand(), c.sessionCommand(), c.userCommand(), c.versionCommand())
	addExamples(root)
	return root
}

// group returns a command that has only subcommands.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: knownSubcommand, RunE: needsSubcommand}
	g.AddCommand(commands...)
	return g
}

// knownSubcommand refuses the name of no subcommand, and suggests one that is alike.
func knownSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	unknown := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if alike := cmd.SuggestionsFor(args[0]); len(alike) > 0 {
		unknown += "; did you mean " + strings.Join(alike, " or ") + "?"
	}
	return usageError{unknown}
}

func needsSubcommand(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return usagef("%s needs a command: %s", cmd.CommandPath(), strings.Join(names, ", "))
}

// settingFlag is the flag of a setting.
type settingFlag struct {
	name, usage string
	boolean     bool
}

// everywhere reports whether every command has a flag for the setting.
func everywhere(s config.Setting) bool {
	return slices.Contains([]string{"database_url", "master_key", "log_level"}, s.Key)
}

// elsewhere reports whether only some commands have a flag for the setting; see
// withAllSettings.
func elsewhere(s config.Setting) bool { return !everywhere(s) }

func settingFlags(pick func(config.Setting) bool) []settingFlag {
	var flags []settingFlag
	for _, s := range config.Settings() {
		if !pick(s) {
			continue
		}
		usage := fmt.Sprintf("%s (%s)", strings.TrimSuffix(s.Meaning, "."), s.Variable)
		if s.Flag != "" {
			flags = append(flags, settingFlag{s.Flag, usage, s.Default == "false"})
		}
		if s.FileFlag != "" {
			flags = append(flags, settingFlag{s.FileFlag, fmt.Sprintf("file that holds %s (%s_FILE)", s.Key, s.Variable), false})
		}
	}
	return flags
}

// allSettings marks a command that has flags for all settings.
const allSettings = "all-settings"

// withAllSettings adds flags for all settings to cmd, and returns cmd.
func withAllSettings(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{allSettings: "yes"}
	for _, f := range settingFlags(elsewhere) {
		cmd.Flags().String(f.name, "", f.usage)
		if f.boolean {
			cmd.Flags().Lookup(f.name).NoOptDefVal = "true"
		}
	}
	return cmd
}

// load reads the configuration for cmd from flags, environment and file.
func (c *cli) load(cmd *cobra.Command) (config.Config, error) {
	flags := settingFlags(everywhere)
	if cmd.Annotations[allSettings] != "" {
		flags = append(flags, settingFlags(elsewhere)...)
	}
	given := map[string]string{}
	for _, f := range flags {
		if flag := cmd.Flags().Lookup(f.name); flag != nil && flag.Changed {
			given[f.name] = flag.Value.String()
		}
	}
	return config.Load(config.Sources{Flags: given, Environ: c.environ, File: c.configFile, Default: c.defaultFile})
}
