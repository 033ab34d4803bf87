package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"latchkey/oauth/server/selftest"
)

func (c *cli) selftestCommand() *cobra.Command {
	var cfg selftest.Config
	var secretFile string
	cmd := &cobra.Command{
		Use:   "selftest --target URL",
		Short: "Check a running deployment from outside, through its proxies",
		Long: `Check a running deployment from outside, through its proxies.

The target is the issuer, as clients know it. The command reads no settings and no
database. It checks the metadata, the keys, TLS, the clock, headers, bodies and CORS.

With a client and a test user, it also asks for a one-time password and presents a
wrong one. If the client has the role AuditReader by client credentials, it finds out
which address the server sees. The exit code is 1 if a check failed.`,
		Example: `  latchkey selftest --target https://login.example.com
  latchkey selftest --target https://login.example.com --client-id shop --client-secret-file secret --username test`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if secretFile != "" {
				secret, err := os.ReadFile(secretFile)
				if err != nil {
					return err
				}
				cfg.ClientSecret = strings.TrimRight(string(secret), "\r\n")
			}
			cfg.Now, cfg.Rand = c.now, c.random
			report, err := selftest.Run(cmd.Context(), cfg)
			if err != nil {
				return usagef("--target: %s", err)
			}
			return c.printSelftest(report)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Target, "target", "", "the issuer, such as https://login.example.com")
	f.StringVar(&cfg.ClientID, "client-id", "", "client of the test user")
	f.StringVar(&secretFile, "client-secret-file", "", "file that holds the client's secret")
	f.StringVar(&cfg.Username, "username", "", "a test user, for whom a code is requested")
	_ = cmd.MarkFlagRequired("target")
	return cmd
}

func (c *cli) printSelftest(report selftest.Report) error {
	if err := c.print(report, func(w io.Writer) error {
		return table(w, "CHECK\tVERDICT\tDETAIL", len(report.Findings), func(i int) string {
			f := report.Findings[i]
			return fmt.Sprintf("%s\t%s\t%s", f.Check, f.Verdict, f.Detail)
		})
	}); err != nil {
		return err
	}
	if !report.Passed {
		return errors.New("a check failed")
	}
	return nil
}
