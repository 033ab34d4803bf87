package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"latchkey/otp/lockout"
	"latchkey/otp/replay"
	"latchkey/storage"
)

func (c *cli) policyReplayCommand() *cobra.Command {
	var since, file string
	cmd := &cobra.Command{
		Use:   "replay --policy FILE",
		Short: "Show which logins a proposed lockout policy would have locked, and what it would have refused",
		Long: `Show which logins a proposed lockout policy would have locked, and what it would
have refused: the sign-ins in the audit events, run through the policy in FILE:

  threshold: 5          # failures until the first lock
  duration: 5m          # of the first lock; 0s: until an administrator unlocks
  max_duration: 24h     # of the longest lock; default 24h
  forgets_after: 24h    # without a failure or a lock; default 24h
  profile: default      # only logins of this password profile; default: all

Events before --since are not read: every login begins without failures and
without known addresses. The secret of an attempt that a lock refused was not
compared; it counts as a wrong guess. Guesses at usernames that do not exist are
left out.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&since, "since", "30d", "from when on: RFC 3339, or how long ago, as 24h or 30d")
	cmd.Flags().StringVar(&file, "policy", "", "the proposed policy, in YAML; - for the standard input")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return c.replayPolicy(cmd, since, file) }
	return cmd
}

// proposal is the content of the file of --policy.
type proposal struct {
	Profile      string        `yaml:"profile"`
	Threshold    *int          `yaml:"threshold"`
	Duration     *proposedTime `yaml:"duration"`
	MaxDuration  *proposedTime `yaml:"max_duration"`
	ForgetsAfter *proposedTime `yaml:"forgets_after"`
}

// proposedTime is a duration in the syntax of Go, such as 1h30m.
type proposedTime time.Duration

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *proposedTime) UnmarshalYAML(n *yaml.Node) error {
	parsed, err := time.ParseDuration(n.Value)
	if err != nil || parsed < 0 {
		return fmt.Errorf("line %d: %q is no duration such as 5m or 24h", n.Line, n.Value)
	}
	*d = proposedTime(parsed)
	return nil
}

func readProposal(data []byte) (p proposal, policy storage.LockoutPolicy, err error) {
	in := yaml.NewDecoder(bytes.NewReader(data))
	in.KnownFields(true)
	if err = in.Decode(&p); err == nil && !errors.Is(in.Decode(new(yaml.Node)), io.EOF) {
		err = errors.New("there is more than one document")
	}
	switch {
	case errors.Is(err, io.EOF):
		err = errors.New("it is empty")
	case err == nil && (p.Threshold == nil || *p.Threshold < 1):
		err = errors.New("threshold must be at least 1")
	case err == nil && p.Duration == nil:
		err = errors.New("duration is required")
	}
	if err != nil {
		return p, policy, usagef("--policy: %v", err)
	}
	policy = lockout.DefaultPolicy()
	policy.Threshold, policy.Duration = *p.Threshold, time.Duration(*p.Duration)
	if p.MaxDuration != nil {
		policy.MaxDuration = time.Duration(*p.MaxDuration)
	}
	if p.ForgetsAfter != nil {
		policy.ForgetsAfter = time.Duration(*p.ForgetsAfter)
	}
	return p, policy, nil
}

func (c *cli) replayPolicy(cmd *cobra.Command, since, file string) error {
	if file == "" {
		return usagef("--policy is required")
	}
	from, err := c.moment("--since", since)
	if err != nil {
		return err
	}
	data, err := c.readDocument(file)
	if errors.Is(err, os.ErrNotExist) {
		return usagef("--policy: %v", err)
	}
	if err != nil {
		return err
	}
	proposed, policy, err := readProposal(data)
	if err != nil {
		return err
	}
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withReadingApp(cmd.Context(), cfg, func(a *app) error {
		result, err := replay.Run(cmd.Context(), a.store, replay.Config{Policy: policy, ProfileID: proposed.Profile, Since: from})
		if err != nil {
			return err
		}
		return c.printReplay(viewReplay(result))
	})
}

// replayView is the result of "policy replay" in the output.
type replayView struct {
	Logins  int                `json:"logins"`  // seen in the events
	Locked  int                `json:"locked"`  // of them, how many would have been
	Guesses int                `json:"guesses"` // wrong attempts
	Stopped int                `json:"stopped"` // of them, compared then, refused by the proposed policy
	Passed  int                `json:"passed"`  // refused then, compared under the proposed policy
	Refused int                `json:"refused"` // sign-ins that succeeded then and would not have
	Unknown int                `json:"unknown"` // attempts with unknown usernames
	Changed []changedLoginView `json:"changed"` // the logins with a lock or a refusal
}

type changedLoginView struct {
	Login   string      `json:"login"`
	Guesses int         `json:"guesses"`
	Stopped int         `json:"stopped"`
	Passed  int         `json:"passed"`
	Refused []time.Time `json:"refused"`
	Locks   []lockView  `json:"locks"`
}

type lockView struct {
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"`
	Source string    `json:"source,omitempty"` // the known address that it is for alone
	Codes  bool      `json:"codes,omitempty"`  // it is for one-time passwords
}

func viewReplay(result replay.Result) replayView {
	s := result.Summary()
	v := replayView{s.Logins, s.Locked, s.Guesses, s.Stopped, s.Passed, s.Refused, s.Unknown, []changedLoginView{}}
	for _, f := range s.Changed {
		login := changedLoginView{f.Login, f.Guesses, f.NewlyRefused, f.NewlyCompared, append([]time.Time{}, f.RefusedSignIns...), []lockView{}}
		for _, l := range f.Locks {
			login.Locks = append(login.Locks, lockView(l))
		}
		v.Changed = append(v.Changed, login)
	}
	return v
}

func (c *cli) printReplay(v replayView) error {
	return c.print(v, func(w io.Writer) error {
		_, _ = fmt.Fprintf(w, "%d of %d logins would have been locked.\n", v.Locked, v.Logins)
		_, _ = fmt.Fprintf(w, "Of %d wrong guesses %d more would have been refused, and %d fewer.\n", v.Guesses, v.Stopped, v.Passed)
		_, _ = fmt.Fprintf(w, "%d sign-ins that succeeded would have been refused.\n", v.Refused)
		if len(v.Changed) == 0 {
			return nil
		}
		return table(w, "LOGIN\tLOCKS\tFIRST\tLONGEST\tGUESSES\tSTOPPED\tPASSED\tREFUSED SUCCESSES", len(v.Changed), func(i int) string {
			f := v.Changed[i]
			first, longest := "-", "-"
			if len(f.Locks) > 0 {
				first, longest = showTime(f.Locks[0].At, "-"), f.longest()
			}
			return fmt.Sprintf("%s\t%d\t%s\t%s\t%d\t%d\t%d\t%d", f.Login, len(f.Locks), first, longest, f.Guesses, f.Stopped, f.Passed, len(f.Refused))
		})
	})
}

func (f changedLoginView) longest() string {
	var longest time.Duration
	for _, l := range f.Locks {
		longest = max(longest, l.Until.Sub(l.At))
	}
	if longest > 1000*24*time.Hour {
		return "until unlocked"
	}
	return longest.String()
}
