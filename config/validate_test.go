package config

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Config)
		want   []string // names of the settings with a fault
	}{
		{"port 0 for both", func(c *Config) { c.Listen, c.OpsListen = "127.0.0.1:0", "127.0.0.1:0" }, nil},
		{"IPv6", func(c *Config) { c.Listen = "[::1]:8080" }, nil},
		{"open to others", func(c *Config) { c.Listen = "192.0.2.1:8080" }, []string{"listen"}},
		{"open to all", func(c *Config) { c.Listen = ":8080" }, []string{"listen"}},
		{"open to all by IPv6", func(c *Config) { c.Listen = "[::]:8080" }, []string{"listen"}},
		{"open behind TLS", func(c *Config) { c.Listen, c.Issuer = ":8080", "https://id.example" }, nil},
		{"open to a proxy", func(c *Config) {
			c.Listen, c.TrustedProxies = ":8080", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}, nil},
		{"open with plain_http", func(c *Config) { c.Listen, c.PlainHTTP = ":8080", true }, nil},
		{"no port", func(c *Config) { c.Listen = "localhost" }, []string{"listen"}},
		{"port out of range", func(c *Config) { c.OpsListen = ":65536" }, []string{"ops_listen"}},
		{"same address twice", func(c *Config) { c.OpsListen = c.Listen }, []string{"ops_listen"}},
		{"issuer with path", func(c *Config) { c.Issuer = "https://id.example/tenant" }, nil},
		{"issuer with slash", func(c *Config) { c.Issuer = "https://id.example/" }, []string{"issuer"}},
		{"issuer with query", func(c *Config) { c.Issuer = "https://id.example?" }, []string{"issuer"}},
		{"issuer with fragment", func(c *Config) { c.Issuer = "https://id.example#a" }, []string{"issuer"}},
		{"issuer with user", func(c *Config) { c.Issuer = "https://me@id.example" }, []string{"issuer"}},
		{"issuer of another scheme", func(c *Config) { c.Issuer = "ftp://id.example" }, []string{"issuer"}},
		{"issuer without host", func(c *Config) { c.Issuer = "https:///a" }, []string{"issuer"}},
		{"audience with a space", func(c *Config) { c.Audience = "a b" }, []string{"audience"}},
		{"database of another kind", func(c *Config) { c.DatabaseURL = NewDatabaseURL("host=db") }, []string{"database_url"}},
		{"sqlite without a path", func(c *Config) { c.DatabaseURL = NewDatabaseURL("sqlite:") }, []string{"database_url"}},
		{"sqlite in memory", func(c *Config) { c.DatabaseURL = NewDatabaseURL("sqlite::memory:") }, []string{"database_url"}},
		{"postgres by socket", func(c *Config) { c.DatabaseURL = NewDatabaseURL("postgresql:///x?host=/run") }, []string{"master_key"}},
		{"level", func(c *Config) { c.LogLevel = zerolog.FatalLevel }, []string{"log_level"}},
		{"level disabled", func(c *Config) { c.LogLevel = zerolog.Disabled }, nil},
		{"algorithm none", func(c *Config) { c.SigningAlg = "none" }, []string{"signing_alg"}},
		{"algorithm EdDSA", func(c *Config) { c.SigningAlg = "EdDSA" }, nil},
		{"no rotation", func(c *Config) { c.KeyRotation = 0 }, nil},
		{"shortest rotation", func(c *Config) { c.KeyRotation, c.JWKSMaxAge = time.Hour, time.Hour/2 }, nil},
		{"rotation too short", func(c *Config) { c.KeyRotation, c.JWKSMaxAge = time.Hour-1, time.Second }, []string{"key_rotation"}},
		{"rotation within twice the max-age", func(c *Config) { c.KeyRotation, c.JWKSMaxAge = 2*time.Hour-1, time.Hour }, []string{"key_rotation"}},
		{"rotation too long", func(c *Config) { c.KeyRotation = 87600*time.Hour + 1 }, []string{"key_rotation"}},
		{"negative rotation", func(c *Config) { c.KeyRotation = -1 }, []string{"key_rotation"}},
		{"no grace", func(c *Config) { c.RefreshGrace = 0 }, nil},
		{"longest grace", func(c *Config) { c.RefreshGrace = time.Minute }, nil},
		{"grace too long", func(c *Config) { c.RefreshGrace = time.Minute + 1 }, []string{"refresh_grace"}},
		{"negative grace", func(c *Config) { c.RefreshGrace = -1 }, []string{"refresh_grace"}},
		{"host bits", func(c *Config) { c.OutboundAllow = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")} }, []string{"outbound_allow"}},
		{"host bits of a proxy", func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("fd00::1/64")} }, []string{"trusted_proxies"}},
		{"address header with a space", func(c *Config) { c.EndUserAddressHeader = "X User" }, []string{"end_user_address_header"}},
		{"address header that is another", func(c *Config) { c.EndUserAddressHeader = "x-forwarded-for" }, []string{"end_user_address_header"}},
		{"address header", func(c *Config) { c.EndUserAddressHeader = "X-Shop-User" }, nil},
		{"numbers and times", func(c *Config) {
			c.DatabaseMaxConns, c.HashConcurrency, c.JWKSMaxAge, c.RequestTimeout, c.ShutdownTimeout = 0, 0, 0, 0, 0
			c.DatabaseWait, c.ShutdownDelay = -1, -1
		}, []string{"database_max_conns", "database_wait", "jwks_max_age", "hash_concurrency", "request_timeout", "shutdown_delay", "shutdown_timeout"}},
		{"no waits", func(c *Config) { c.DatabaseWait, c.ShutdownDelay = 0, 0 }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Default()
			tt.change(&c)
			var got []string
			err := c.Validate()
			faults, _ := errors.AsType[Faults](err)
			for _, f := range faults {
				got = append(got, f.Setting)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%v\n(-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestDatabaseURLFaults tests that errors about database URLs name the mistake and the correct
// form.
func TestDatabaseURLFaults(t *testing.T) {
	t.Parallel()
	const escape = "such as %40 for @"
	for text, want := range map[string]string{
		"postgres://u:s3cr/et@db/latchkey":           escape,
		"postgres://u:s3cr#et@db/latchkey":           escape,
		"postgres://u:s3cr?et@db/latchkey":           escape,
		"postgres://u:s3cr%et@db/latchkey":           escape,
		"postgres://u:s3cr[et@db/latchkey":           escape,
		"postgres://u:s3cr et@db/latchkey":           escape,
		"postgres://u:1/s3cret@db/latchkey":          escape,
		"postgres://u:1#s3cret@db/latchkey":          escape,
		"postgres://u:1?s3cret@db/latchkey":          escape,
		"postgres://u:s3cr@et@db/latchkey":           "",
		"postgres://u:s3cr%40et@db/latchkey":         "",
		"postgres://u@h1:5432,h2:5433/latchkey":      "",
		"postgres:///latchkey?host=/run&user=u@host": "",
		"postgres://db:port/latchkey":                "HOST:PORT,HOST:PORT",
		"sqlite://latchkey.db":                       "sqlite:PATH for a relative path",
		"sqlite:///srv/latchkey.db":                  "",
		"sqlite:latchkey.db?_pragma=foreign_keys(1)": "write sqlite:PATH alone",
		"sqlite::memory:":                            "lost in a restart",
	} {
		got := databaseProblem(NewDatabaseURL(text))
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
		if strings.Contains(got, "s3cr") || strings.Contains(NewDatabaseURL(text).String(), "s3cr") {
			t.Errorf("%s: got the password in %q, %s", text, got, NewDatabaseURL(text))
		}
	}
}
