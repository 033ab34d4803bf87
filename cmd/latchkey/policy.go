package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchkey/oauth/server"
	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

const daysInYear = 365.25

func (c *cli) policyCommand() *cobra.Command {
	var replicas int
	explain := withAllSettings(&cobra.Command{
		Use:   "explain",
		Short: "Show how many guesses at one-time and permanent passwords each password profile allows, and how likely they succeed",
		Long: `Show how many guesses at one-time passwords and at permanent passwords each
password profile allows, and how likely guesses at one-time passwords succeed. Both
have a ceiling that no profile may exceed.

The figures are those of the password profile itself; security profiles only make
it stricter. They apply to a user who does not sign in meanwhile. A sign-in clears
the failures, and so does an unlock by an administrator.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.explainPolicies(cmd, replicas) },
	})
	explain.Flags().IntVar(&replicas, "replicas", 1, "how many servers share the database")
	return group("policy", "Lockout policies", explain, c.policyReplayCommand())
}

func (c *cli) explainPolicies(cmd *cobra.Command, replicas int) error {
	if replicas < 1 {
		return usagef("--replicas must be at least 1")
	}
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withStore(cmd.Context(), cfg, func(store *gormstore.Store) error {
		profiles, err := server.PasswordProfiles(cmd.Context(), store)
		if err != nil {
			return err
		}
		views := make([]policyView, len(profiles))
		for i, p := range profiles {
			views[i] = explainPolicy(p, replicas, cfg.GuessCeiling)
		}
		return c.print(views, func(w io.Writer) error { return writePolicies(w, views) })
	})
}

// policyView shows how many guesses a password profile allows. Risk is nil if the
// profile has no one-time passwords.
type policyView struct {
	RealmID   string       `json:"realm_id"`
	ProfileID string       `json:"password_profile_id"`
	Codes     bool         `json:"one_time_codes"`
	Risk      *riskView    `json:"risk,omitempty"`
	Passwords passwordView `json:"permanent_passwords"`
}

// passwordView has the figures of permanent passwords. Guesses are the sum of all
// counters of a login, unless the name says otherwise.
type passwordView struct {
	Counters     int     `json:"counters"`
	Replicas     int     `json:"replicas"`
	FirstHour    int     `json:"guesses_first_hour"`
	FirstDay     int     `json:"guesses_first_day"`
	LongRun      float64 `json:"guesses_per_further_day"`
	CounterDay   int     `json:"guesses_per_counter_and_day"`
	Ceiling      int     `json:"ceiling_per_counter_and_day"`
	AboveCeiling bool    `json:"above_ceiling"`
}

// riskView has the figures of one-time passwords. Guesses are the sum of all counters
// of a login.
type riskView struct {
	Alphabet     string  `json:"code_alphabet"`
	Length       int     `json:"code_length"`
	Bits         float64 `json:"code_bits"`
	LiveSeconds  float64 `json:"code_live_seconds"`
	Counters     int     `json:"counters"`
	Replicas     int     `json:"replicas"`
	FirstHour    int     `json:"guesses_first_hour"`
	FirstDay     int     `json:"guesses_first_day"`
	LongRun      float64 `json:"guesses_per_further_day"`
	PerDay       float64 `json:"odds_per_login_and_day"`
	Stranger     float64 `json:"odds_from_unknown_addresses"` // the part from addresses that the user never signed in from
	PerMillion   float64 `json:"successes_per_million_logins_and_day"`
	Years        float64 `json:"years_to_one_success_per_million_logins"`
	Ceiling      float64 `json:"guess_ceiling"`
	AboveCeiling bool    `json:"above_ceiling"` // on one replica, as the server checks it
}

func explainPolicy(p storage.PasswordProfile, replicas int, ceiling float64) policyView {
	e := otp.Explain(p, replicas, ceiling)
	view := policyView{RealmID: p.RealmID, ProfileID: p.ID, Codes: p.OneTimeCodes, Passwords: passwordView{
		Counters: e.Counters, Replicas: e.Replicas,
		FirstHour: e.FirstHour(), FirstDay: e.FirstDay(), LongRun: e.LongRun(), CounterDay: e.Counter.FirstDay,
		Ceiling: lockout.MaxGuessesPerDay, AboveCeiling: e.PasswordsAboveCeiling,
	}}
	if !p.OneTimeCodes {
		return view
	}
	view.Risk = &riskView{
		Alphabet: p.Code.Alphabet, Length: p.Code.Length, Bits: e.Bits(), LiveSeconds: p.CodeTTL.Seconds(),
		Counters: e.Counters, Replicas: e.Replicas,
		FirstHour: e.FirstHour(), FirstDay: e.FirstDay(), LongRun: e.LongRun(),
		PerDay: e.PerDay(), Stranger: e.Stranger(), PerMillion: e.PerMillion(), Years: e.YearsToOne(),
		Ceiling: e.GuessCeiling, AboveCeiling: e.CodesAboveCeiling,
	}
	return view
}

func writePolicies(w io.Writer, views []policyView) error {
	for i, v := range views {
		if i > 0 {
			_, _ = fmt.Fprintln(w)
		}
		_, _ = fmt.Fprintf(w, "password profile %s of realm %s\n", v.ProfileID, v.RealmID)
		text := explained("codes", "none: one-time passwords are off")
		if v.Risk != nil {
			text = v.Risk.text()
		}
		if _, err := io.WriteString(w, text+v.Passwords.text()); err != nil {
			return err
		}
	}
	return nil
}

// explained returns one line of the explanation.
func explained(what, format string, args ...any) string {
	return fmt.Sprintf("  %-11s "+format+"\n", append([]any{what}, args...)...)
}

func (p passwordView) text() string {
	return explained("passwords", "%d guesses in the first hour, %d in the first day, %s in each further day",
		p.FirstHour, p.FirstDay, strconv.FormatFloat(p.LongRun, 'f', 1, 64)) +
		explained("ceiling", "%d guesses a day for each counter, which allows %d: %s", p.Ceiling, p.CounterDay, verdict(p.AboveCeiling))
}

func verdict(aboveCeiling bool) string {
	if aboveCeiling {
		return "EXCEEDED, no server starts with this"
	}
	return "kept"
}

func (r riskView) text() string {
	var b strings.Builder
	line := func(what, format string, args ...any) { b.WriteString(explained(what, format, args...)) }
	line("codes", "%d characters, %s: %.1f bits, live for %s", r.Length, r.Alphabet, r.Bits, time.Duration(r.LiveSeconds*float64(time.Second)))
	line("guesses", "%d in the first hour, %d in the first day, %s in each further day", r.FirstHour, r.FirstDay, strconv.FormatFloat(r.LongRun, 'f', 1, 64))
	line("", "(%d counters: one for all addresses that the user never signed in from,", r.Counters)
	line("", "one for each of up to %d others; %d replica(s))", storage.MaxSources, r.Replicas)
	line("odds", "%.1e for each login and day; from unknown addresses alone %.1e", r.PerDay, r.Stranger)
	line("a million", "logins under attack all day: %.1e hits a day, one hit in %s", r.PerMillion, years(r.Years))
	line("ceiling", "%.1e: %s", r.Ceiling, verdict(r.AboveCeiling))
	return b.String()
}

func years(n float64) string {
	switch {
	case n == 0:
		return "no time at all: nobody may guess for good"
	case n < 0.1:
		return fmt.Sprintf("%.1f days", n*daysInYear)
	}
	return fmt.Sprintf("%.1f years", n)
}
