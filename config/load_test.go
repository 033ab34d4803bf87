package config

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

const (
	keyA     = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	keyB     = "_____________________________________________w" // wrong length on purpose
	keyC     = "paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU="   // 32 times 0xa5
	secretPW = "hunter2-in-the-url"
)

// files returns a ReadFile over a map.
func files(m map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if text, ok := m[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
}

// shown returns the settings that differ from the defaults.
func shown(c Config) map[string]string {
	base, out := Default(), map[string]string{}
	for _, s := range Settings() {
		if v := c.Show(s); v != base.Show(s) {
			out[s.Key] = v
		}
	}
	return out
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	if faults := defaultLayer().apply(new(Config)); len(faults) > 0 {
		t.Fatalf("the defaults: got the faults %v, want none", faults)
	}
	c := Default()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"listen=127.0.0.1:8080", "ops_listen=127.0.0.1:8081 tls_cert_file= tls_key_file= health_on_listen=false", "plain_http=false", "issuer=http://127.0.0.1:8080",
		"audience=http://127.0.0.1:8080", "resources=", "dpop_nonce=false", "database_url=sqlite:latchkey.db", "database_direct_url=", "database_max_conns=16", "database_wait=1m0s",
		"master_key=", "log_level=info", "log_format=json", "signing_alg=", "jwks_max_age=1h0m0s", "key_rotation=2160h0m0s", "session_idle=8h0m0s", "session_life=168h0m0s", "refresh_grace=1m0s",
		"outbound_allow=", "console_sender_forced=false", "smtp_plaintext=false", "mail_templates=", "page_templates=", "site_name=127.0.0.1",
		"otp_limit_recipient=5/10m,30/24h", "otp_limit_client=0", "otp_limit_address=", "trusted_proxies=", "end_user_address_header=", "shield=1000/1m", "sign_up_limit=10/10m", "client_secret_limit=100/10m", "guess_ceiling=1e-05",
		"cors_origins=", "renewal_origins=", "audit_retention=2160h0m0s",
		fmt.Sprintf("hash_concurrency=%d", runtime.NumCPU()), "request_timeout=10s", "shutdown_delay=1s", "shutdown_timeout=15s",
	}, " ")
	if diff := cmp.Diff(want, c.String()); diff != "" {
		t.Error(diff)
	}
}

func TestLoadPrecedence(t *testing.T) {
	t.Parallel()
	yaml := "listen: 127.0.0.1:1\nrefresh_grace: 1s\nlog_level: debug\n"
	tests := []struct {
		name string
		src  Sources
		want map[string]string
	}{
		{
			name: "nothing",
			want: map[string]string{},
		},
		{
			name: "file over defaults",
			src:  Sources{File: "f"},
			want: map[string]string{
				"listen": "127.0.0.1:1", "issuer": "http://127.0.0.1:1", "audience": "http://127.0.0.1:1",
				"refresh_grace": "1s", "log_level": "debug",
			},
		},
		{
			name: "environment over file, flags over environment",
			src: Sources{
				Environ: []string{"LATCHKEY_CONFIG=f", "LATCHKEY_LISTEN=:2", "LATCHKEY_PLAIN_HTTP=true", "LATCHKEY_REFRESH_GRACE=2s", "PATH=/bin"},
				Flags:   map[string]string{"refresh-grace": "3s"},
			},
			want: map[string]string{
				"listen": ":2", "plain_http": "true", "issuer": "http://127.0.0.1:2", "audience": "http://127.0.0.1:2",
				"refresh_grace": "3s", "log_level": "debug",
			},
		},
		{
			name: "empty text counts as not given",
			src:  Sources{Environ: []string{"LATCHKEY_LISTEN=", "LATCHKEY_CONFIG="}, Flags: map[string]string{"issuer": " "}},
			want: map[string]string{},
		},
		{
			name: "flag --config beats the variable",
			src:  Sources{File: "g", Environ: []string{"LATCHKEY_CONFIG=f"}},
			want: map[string]string{"audience": "api"},
		},
		{
			name: "audience follows the issuer",
			src:  Sources{Environ: []string{"LATCHKEY_ISSUER=https://id.example"}},
			want: map[string]string{"issuer": "https://id.example", "audience": "https://id.example", "site_name": "id.example"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.src.ReadFile = files(map[string]string{"f": yaml, "g": "audience: api\n"})
			c, err := Load(tt.src)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, shown(c)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadTypes(t *testing.T) {
	t.Parallel()
	c, err := Load(Sources{
		File: "f",
		ReadFile: files(map[string]string{"f": `# every type
database_max_conns: 5
console_sender_forced: true
jwks_max_age: 90m
log_level: warn
outbound_allow: [10.0.0.0/8, "fd00::/8"]
hash_concurrency:
`}),
		Environ: []string{"LATCHKEY_OUTBOUND_ALLOW= 127.0.0.0/8 , ::1/128 ,"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.DatabaseMaxConns, want.ConsoleSenderForced, want.JWKSMaxAge = 5, true, 90*time.Minute
	want.LogLevel = zerolog.WarnLevel
	want.OutboundAllow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if diff := cmp.Diff(want, c, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.AllowUnexported(DatabaseURL{}, MasterKey{})); diff != "" {
		t.Error(diff)
	}
}

// TestLoadFaults compares the whole error. It must contain every fault of every source with its
// name, and no secret.
func TestLoadFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		src  Sources
		want []string
	}{
		{
			name: "several sources at once",
			src: Sources{
				Environ: []string{
					"LATCHKEY_LISTE=:1", "LATCHKEY_OTP_LIMIT_CLIENT=often", "LATCHKEY_REFRESH_GRACE=soon", "LATCHKEY_DATABASE_MAX_CONNS=0",
					"LATCHKEY_PORT_8080_TCP_ADDR=10.0.0.1", "LATCHKEY_LISTEN_FILE=x",
				},
				Flags: map[string]string{"hash-concurrency": "many", "master-key": keyA},
				File:  "bad",
			},
			want: []string{
				`lissten (bad:1): unknown key`,
				`log_level (bad:4): is given twice`,
				`outbound_allow (bad:5): must be a list of plain values`,
				`signing_alg (bad:6): must be a plain value or a list of them`,
				`LATCHKEY_LISTE: unknown variable`,
				`LATCHKEY_LISTEN_FILE: unknown variable`,
				`LATCHKEY_PORT_8080_TCP_ADDR: unknown variable; it looks like a Kubernetes service link, which enableServiceLinks: false turns off`,
				`--master-key: unknown flag`,
				`jwks_max_age (bad:2): must be a duration such as 10s or 1h, not "fortnight"`,
				`refresh_grace (LATCHKEY_REFRESH_GRACE): must be a duration such as 10s or 1h, not "soon"`,
				`otp_limit_client (LATCHKEY_OTP_LIMIT_CLIENT): must be a number from 1 to 1000000 and a time from 1s to 24h, such as 5/10m, or 0 for no limit, not "often"`,
				`hash_concurrency (--hash-concurrency): must be a whole number, not "many"`,
				`database_max_conns: must be from 1 to 1000`,
			},
		},
		{
			name: "secrets are not repeated",
			src: Sources{Environ: []string{
				"LATCHKEY_MASTER_KEY=" + keyB, "LATCHKEY_DATABASE_URL=mysql://root:" + secretPW + "@db/x",
			}},
			want: []string{
				`master_key (LATCHKEY_MASTER_KEY): must be 32 bytes in base64, or a comma-separated list of such keys`,
				`database_url: must be sqlite:PATH or postgres://…`,
			},
		},
		{
			name: "secret and its file, unreadable and empty files",
			src: Sources{
				Environ: []string{"LATCHKEY_MASTER_KEY=" + keyA, "LATCHKEY_MASTER_KEY_FILE=key", "LATCHKEY_DATABASE_URL_FILE=absent"},
				File:    "secrets",
			},
			want: []string{
				`database_url (secrets:1): the file is empty`,
				`database_url (LATCHKEY_DATABASE_URL_FILE): the file cannot be read: file does not exist`,
				`master_key (LATCHKEY_MASTER_KEY_FILE): is given together with LATCHKEY_MASTER_KEY`,
			},
		},
		{
			name: "PostgreSQL without a master key",
			src:  Sources{Environ: []string{"LATCHKEY_DATABASE_URL=postgres://u:" + secretPW + "@db/latchkey"}},
			want: []string{`master_key: is required with PostgreSQL (32 random bytes in base64)`},
		},
		{
			name: "password in a flag",
			src:  Sources{Flags: map[string]string{"database-url": "postgres://u:" + secretPW + "@db/latchkey"}},
			want: []string{"database_url (--database-url): " + passwordInFlag},
		},
		{
			name: "password in the query of a flag",
			src:  Sources{Flags: map[string]string{"database-url": "postgres://db/latchkey?user=u&password=" + secretPW}},
			want: []string{"database_url (--database-url): " + passwordInFlag},
		},
		{
			name: "absent file",
			src:  Sources{File: "no\nfile"},
			want: []string{`config ("no\nfile"): cannot be read: file does not exist`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.src.ReadFile = files(map[string]string{
				"bad": "lissten: x\njwks_max_age: fortnight\nlog_level: info\nlog_level: debug\n" +
					"outbound_allow: [[a]]\nsigning_alg: {a: b}\n",
				"key": keyA, "empty": " \n", "secrets": "database_url_file: empty\n",
			})
			_, err := Load(tt.src)
			faults, ok := errors.AsType[Faults](err)
			if !ok {
				t.Fatalf("got error %v, want Faults", err)
			}
			var got []string
			for _, f := range faults {
				got = append(got, f.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if text := err.Error(); strings.ContainsAny(text, "\n\r") || strings.Contains(text, secretPW) ||
				strings.Contains(text, keyA) || strings.Contains(text, keyB) {
				t.Errorf("got the error %s, want one line without secrets", text)
			}
		})
	}
}

func TestYAMLFaults(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"list", "- a\n", "must be a mapping of settings to values"},
		{"scalar", "master_key:" + keyA, "must be a mapping of settings to values"},
		{"two documents", "listen: :1\n---\nlisten: :2\n", "must hold one YAML document and nothing after it"},
		{"syntax", "listen: a\nissuer: b: " + secretPW + "\n", "is not valid YAML, near line 2"},
		{"unknown anchor", "master_key: *" + secretPW + "\n", "is not valid YAML"},
		{"alias", "listen: &x :1\nissuer: *x\n", "must be a plain value or a list of them"},
		{"merge key", "<<: {listen: a}\n", "unknown key"},
		{"mapping as key", "? {a: b}\n: c\n", "a key must be plain text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, faults := parseYAML([]byte(tt.text), "f")
			if len(faults) != 1 || faults[0].Problem != tt.want {
				t.Errorf("got %v, want one fault %q", faults, tt.want)
			}
		})
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "null\n", "listen:\n"} {
		if l, faults := parseYAML([]byte(text), "f"); len(faults) > 0 || len(l.text) > 0 {
			t.Errorf("%q: got %v, %v, want nothing", text, l, faults)
		}
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	read := files(map[string]string{
		"url": " postgres://u:p@db/latchkey\n", "keys": keyA + " ,\n" + strings.Repeat("_", 42) + "8\n",
		"yaml": "master_key: " + keyA + "\ndatabase_url: sqlite:x.db\n",
	})
	c, err := Load(Sources{
		File:     "yaml",
		Environ:  []string{"LATCHKEY_DATABASE_URL_FILE=url"},
		Flags:    map[string]string{"master-key-file": "keys"},
		ReadFile: read,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.DatabaseURL.Reveal(), "postgres://u:p@db/latchkey"; got != want {
		t.Errorf("got database_url %q, want %q", got, want)
	}
	keys := c.MasterKey.Reveal()
	if len(keys) != 2 || base64.StdEncoding.EncodeToString(keys[0]) != keyA || keys[1][0] != 0xff {
		t.Errorf("master_key: got %d keys, want the two of the file", len(keys))
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	c, err := Load(Sources{Environ: []string{
		"LATCHKEY_DATABASE_URL=postgres://user:" + secretPW + "@db:5432/latchkey?password=" + secretPW,
		"LATCHKEY_MASTER_KEY=" + keyC,
	}})
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	logger := zerolog.New(&log)
	logger.Info().Object("config", c).Any("again", c).Msg("")
	outputs := []string{string(asJSON), log.String(), c.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		outputs = append(outputs, fmt.Sprintf(verb, c), fmt.Sprintf(verb, &c),
			fmt.Sprintf(verb, c.DatabaseURL), fmt.Sprintf(verb, c.MasterKey), fmt.Sprintf(verb, []any{c.MasterKey, c.DatabaseURL}))
	}
	for _, out := range outputs {
		if strings.Contains(out, secretPW) || strings.Contains(out, keyC) || strings.Contains(out, fmt.Sprintf("%x", secretPW)) ||
			strings.Contains(out, "165 165") || strings.Contains(out, "a5a5") {
			t.Errorf("got a secret in %s, want none", out)
		}
	}
	if !strings.Contains(c.String(), "database_url=postgres://user@db:5432/latchkey ") {
		t.Errorf("got %s, want the part of the database URL without the password", c)
	}
}

// TestServiceLinks tests the hint for variables that Kubernetes sets for a service whose name
// begins with that of the program. All such variables get it, and no others.
func TestServiceLinks(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"LATCHKEY_SERVICE_HOST":            true,
		"LATCHKEY_SERVICE_PORT":            true,
		"LATCHKEY_SERVICE_PORT_HTTP":       true,
		"LATCHKEY_SERVICE_PORT_OPS_2":      true,
		"LATCHKEY_PORT":                    true,
		"LATCHKEY_PORT_8080_TCP":           true,
		"LATCHKEY_PORT_8080_TCP_PROTO":     true,
		"LATCHKEY_PORT_53_UDP_PORT":        true,
		"LATCHKEY_PORT_3868_SCTP_ADDR":     true,
		"LATCHKEY_DB_SERVICE_HOST":         true,
		"LATCHKEY_DB_SERVICE_PORT":         true,
		"LATCHKEY_DB_SERVICE_PORT_SQL":     true,
		"LATCHKEY_DB_PORT":                 true,
		"LATCHKEY_DB_PORT_5432_TCP":        true,
		"LATCHKEY_DB_PORT_5432_TCP_ADDR":   true,
		"LATCHKEY_OPS_2_SERVICE_HOST":      true,
		"LATCHKEY_MY_SERVICE_SERVICE_PORT": true,
		"LATCHKEY_SERVICE":                 false,
		"LATCHKEY_SERVICES_HOST":           false,
		"LATCHKEY_HOST":                    false,
		"LATCHKEY_REPORT":                  false,
		"LATCHKEY_PORT_HTTP":               false,
		"LATCHKEY_PORT_8080":               false,
		"LATCHKEYX_SERVICE_HOST":           false,
	} {
		problem := "unknown variable"
		if want {
			problem += "; it looks like a Kubernetes service link, which enableServiceLinks: false turns off"
		}
		faults := Faults{{Setting: name, Problem: problem}}
		if !strings.HasPrefix(name, prefix) {
			faults = nil
		}
		_, err := Load(Sources{Environ: []string{name + "=tcp://10.0.0.1:80"}})
		if got, _ := errors.AsType[Faults](err); !slices.Equal(got, faults) {
			t.Errorf("%s: got %v, want %v", name, err, faults)
		}
	}
}

// TestDefaultFile tests that the default file is read if it exists and no other file is named.
func TestDefaultFile(t *testing.T) {
	t.Parallel()
	read := func(name string) ([]byte, error) {
		switch name {
		case "/etc/default.yaml":
			return []byte("site_name: of the default"), nil
		case "/other.yaml":
			return []byte("site_name: of the other"), nil
		case "/locked.yaml":
			return nil, fs.ErrPermission
		}
		return nil, fs.ErrNotExist
	}
	for _, tt := range []struct {
		name    string
		sources Sources
		want    string // the site name; empty if an error is expected
	}{
		{"it exists", Sources{Default: "/etc/default.yaml"}, "of the default"},
		{"it does not exist", Sources{Default: "/none.yaml"}, "127.0.0.1"},
		{"another is named", Sources{Default: "/etc/default.yaml", File: "/other.yaml"}, "of the other"},
		{"the named one does not exist", Sources{Default: "/etc/default.yaml", File: "/none.yaml"}, ""},
		{"it cannot be read", Sources{Default: "/locked.yaml"}, ""},
	} {
		tt.sources.ReadFile = read
		c, err := Load(tt.sources)
		if c.SiteName != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got the site name %q, error %v", tt.name, c.SiteName, err)
		}
	}
}

// TestTLSSettings tests that a certificate needs its key and an https issuer, and that it
// allows a listener on a public address.
func TestTLSSettings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		environ []string
		faults  int
	}{
		{[]string{"LATCHKEY_LISTEN=:443", "LATCHKEY_TLS_CERT_FILE=c", "LATCHKEY_TLS_KEY_FILE=k", "LATCHKEY_ISSUER=https://id.example"}, 0},
		{[]string{"LATCHKEY_TLS_CERT_FILE=c", "LATCHKEY_TLS_KEY_FILE=k"}, 1},
		{[]string{"LATCHKEY_TLS_CERT_FILE=c", "LATCHKEY_ISSUER=https://id.example"}, 1},
		{[]string{"LATCHKEY_TLS_KEY_FILE=k", "LATCHKEY_ISSUER=https://id.example"}, 1},
	} {
		_, err := Load(Sources{Environ: tt.environ})
		faults, _ := errors.AsType[Faults](err)
		if len(faults) != tt.faults {
			t.Errorf("%q: got %v, want %d faults", tt.environ, err, tt.faults)
		}
	}
}
