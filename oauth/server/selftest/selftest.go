package selftest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Config says what is checked. Target is required.
type Config struct {
	// Target is the issuer as clients know it, such as https://login.example.com.
	Target string
	// ClientID, ClientSecret and Username are those of the journey; without the first and
	// the last one, it is skipped.
	ClientID, ClientSecret, Username string

	Now  func() time.Time // default time.Now
	Rand io.Reader        // default crypto/rand
}

// Verdict says how a check ended.
type Verdict string

// The verdicts. Only Failed makes a run fail.
const (
	Passed  Verdict = "passed"
	Warned  Verdict = "warning"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped"
)

// Finding is the result of one check.
type Finding struct {
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
}

// Report is the result of a run.
type Report struct {
	Target   string    `json:"target"`
	Passed   bool      `json:"passed"` // no check failed
	Findings []Finding `json:"findings"`
}

const (
	requestTimeout = 10 * time.Second
	maxAnswer      = 1 << 20
)

// tester is one run.
type tester struct {
	cfg      Config
	base     *url.URL
	http     *http.Client
	metadata metadata
	report   Report
}

// metadata are members of RFC 8414 §2.
type metadata struct {
	Issuer        string `json:"issuer"`
	TokenEndpoint string `json:"token_endpoint"`
	JWKSURI       string `json:"jwks_uri"`
}

// Run checks the target. Failed checks are in the report. It returns an error only if the
// target is not a URL.
func Run(ctx context.Context, cfg Config) (Report, error) {
	base, err := url.Parse(cfg.Target)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.RawQuery != "" || base.Fragment != "" {
		return Report{}, errors.New("the target must be the URL of an issuer, such as https://login.example.com")
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
	}
	defer transport.CloseIdleConnections()
	t := &tester{
		cfg: cfg, base: base, report: Report{Target: base.String(), Passed: true},
		http: &http.Client{
			Transport: transport, Timeout: requestTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	t.run(ctx)
	return t.report, nil
}

// run makes all checks. Without the metadata the others mean nothing.
func (t *tester) run(ctx context.Context) {
	if !t.add("discovery", t.discovery(ctx)) {
		return
	}
	for _, check := range []struct {
		name string
		do   func(context.Context) outcome
	}{
		{"tls", t.encryption},
		{"keys", t.keys},
		{"clock", t.clock},
		{"headers", t.headers},
		{"refusals", t.refusals},
		{"large headers", t.largeHeaders},
		{"slow bodies", t.slowBodies},
		{"large bodies", t.largeBodies},
		{"cors", t.crossOrigin},
		{"journey", t.journey},
		{"client address", t.clientAddress},
	} {
		t.add(check.name, check.do(ctx))
	}
}

// outcome is how a check ended.
type outcome struct {
	verdict Verdict
	detail  string
}

func passed(format string, args ...any) outcome { return outcome{Passed, fmt.Sprintf(format, args...)} }

func warned(format string, args ...any) outcome { return outcome{Warned, fmt.Sprintf(format, args...)} }

func failed(format string, args ...any) outcome { return outcome{Failed, fmt.Sprintf(format, args...)} }

func skipped(format string, args ...any) outcome {
	return outcome{Skipped, fmt.Sprintf(format, args...)}
}

// add reports an outcome, and reports whether the check did not fail.
func (t *tester) add(check string, o outcome) bool {
	t.report.Findings = append(t.report.Findings, Finding{check, o.verdict, o.detail})
	t.report.Passed = t.report.Passed && o.verdict != Failed
	return o.verdict != Failed
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body []byte
}

// member returns a string member of a JSON answer, or "".
func (a answer) member(name string) string {
	var object map[string]any
	_ = json.Unmarshal(a.body, &object) // no object has no members
	text, _ := object[name].(string)
	return text
}

// request is a request to the target. The path is below it unless it is a URL.
type request struct {
	method, path string
	form         url.Values
	json         string
	body         io.Reader
	header       map[string]string
}

func (t *tester) send(ctx context.Context, r request) (answer, error) {
	target := r.path
	if !strings.Contains(target, "://") {
		target = t.base.String() + target
	}
	var media string
	switch {
	case r.form != nil:
		r.body, media = strings.NewReader(r.form.Encode()), "application/x-www-form-urlencoded"
	case r.json != "":
		r.body, media = bytes.NewReader([]byte(r.json)), "application/json"
	case r.body != nil:
		media = "application/x-www-form-urlencoded"
	}
	sent, err := http.NewRequestWithContext(ctx, cmp.Or(r.method, http.MethodGet), target, r.body)
	if err != nil {
		return answer{}, err
	}
	if media != "" {
		sent.Header.Set("Content-Type", media)
	}
	for name, value := range r.header {
		sent.Header.Set(name, value)
	}
	got, err := t.http.Do(sent)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(got.Body, maxAnswer))
	return answer{got, body}, err
}

// isLoopback reports whether the target is on this machine.
func (t *tester) isLoopback() bool {
	if t.base.Hostname() == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(t.base.Hostname())
	return err == nil && address.IsLoopback()
}
