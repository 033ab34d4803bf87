package operations

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"latchkey/test/e2e/kit"
)

// TestMetrics tests that the metrics show what happened on a server, and that the dashboard and
// the alerts use metrics and labels that exist.
func TestMetrics(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve("LATCHKEY_OTP_LIMIT_RECIPIENT=1/10m")
		useEverything(t, w, n)
		kit.Eventually(t, "the attempt is counted", func() bool {
			return regexp.MustCompile(`attempts_total\{result="delivered",sender="[^"]*"\} 1`).MatchString(metricsOf(t, n))
		})
		text := metricsOf(t, n)
		for _, line := range []string{
			`latchkey_sign_ins_total{factor="otp",grant="password",outcome="success"} 1`,
			`latchkey_sign_ins_total{factor="",grant="password",outcome="wrong_credentials"} 1`,
			`latchkey_tokens_issued_total{grant="password"} 1`,
			`latchkey_tokens_issued_total{grant="refresh_token"} 1`,
			`latchkey_tokens_issued_total{grant="client_credentials"} 1`,
			`latchkey_refreshes_total{outcome="success"} 1`,
			`latchkey_refreshes_total{outcome="reuse"} 0`,
			`latchkey_rate_limited_total{limiter="recipient"} 1`,
			`latchkey_lockouts_total 0`,
			`latchkey_sessions 1`,
			`latchkey_messages_queued 0`,
			`latchkey_build_info{version="test"} 1`,
			`latchkey_http_request_duration_seconds_count{method="POST",pattern="/v1/password/onetimepassword",status="429"} 1`,
		} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("/metrics: got no line %s", line)
			}
		}
		present := seriesIn(text)
		if series := strings.Count(text, "\nlatchkey_"); series > 2500 {
			t.Errorf("got %d series after one journey, want at most 2500", series)
		}
		for name, expression := range expressions(t) {
			checkExpression(t, name, expression, present)
		}
		for _, secret := range []string{"jane", kit.Password, kit.ClientSecret, "127.0.0.1"} {
			if strings.Contains(text, secret) {
				t.Errorf("/metrics: got the secret %q", secret)
			}
		}
	})
}

// useEverything signs a user in, refreshes, fails and exceeds a limit.
func useEverything(t *testing.T, w *kit.Fixture, n *kit.Server) {
	t.Helper()
	n.RequestCode("jane", "")
	code := w.Inbox.Next(t).EventBody.OneTimePassword
	signedIn := kit.MustIssue(t, "code", n.SignIn("jane", code))
	kit.MustIssue(t, "refresh", n.Refresh(signedIn.Field("refresh_token")))
	n.SignIn("jane", "wrong-Horse-7-battery")
	c := w.CreateClient(t, "--name", "machine", "--grant", "client_credentials", "--role", "OrderReader")
	kit.MustIssue(t, "client credentials", n.ClientCredentials(c.ID, c.Secret))
	if got := n.RequestCode("jane", ""); got.Status != http.StatusTooManyRequests {
		t.Errorf("a second request for a code: got %d, want 429", got.Status)
	}
}

func metricsOf(t *testing.T, n *kit.Server) string {
	t.Helper()
	response, err := http.Get(n.OpsURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// seriesIn returns the names of labels by the names of series, such as x_bucket.
func seriesIn(text string) map[string][]string {
	present := map[string][]string{}
	label := regexp.MustCompile(`(\w+)="`)
	for line := range strings.Lines(text) {
		name := regexp.MustCompile(`^[a-z_]+`).FindString(line)
		if name == "" {
			continue
		}
		present[name] = append(present[name], "job", "instance") // Prometheus adds these labels
		for _, found := range label.FindAllStringSubmatch(line, -1) {
			if !slices.Contains(present[name], found[1]) {
				present[name] = append(present[name], found[1])
			}
		}
	}
	return present
}

// expressions returns the PromQL expressions of the dashboard and of the alerts by name.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, RefID string }
		}
	}
	read(t, "grafana/latchkey.json", json.Unmarshal, &dashboard)
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all["panel "+panel.Title+" "+target.RefID] = target.Expr
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	read(t, "prometheus/latchkey.rules.yml", yaml.Unmarshal, &rules)
	for _, rule := range rules.Groups[0].Rules {
		all["alert "+rule.Alert] = rule.Expr
	}
	if len(all) < 50 {
		t.Fatalf("got %d expressions, want at least 50", len(all))
	}
	return all
}

func read(t *testing.T, file string, decode func([]byte, any) error, into any) {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := decode(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

var (
	grouping = regexp.MustCompile(`\b(by|without|on|ignoring)\s*\(([^)]*)\)`)
	window   = regexp.MustCompile(`\[[^\]]*\]`)
	selector = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*(\{[^}]*\}|\(|)`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"`)
)

// checkExpression checks that each metric of an expression exists and has the labels that the
// expression matches, and that one of them has each label of a grouping. promtool checks the
// syntax; see test/e2e/deployment.
func checkExpression(t *testing.T, name, expression string, present map[string][]string) {
	t.Helper()
	var groupedBy, labels []string
	for _, found := range grouping.FindAllStringSubmatch(expression, -1) {
		for label := range strings.SplitSeq(found[2], ",") {
			groupedBy = append(groupedBy, strings.TrimSpace(label))
		}
	}
	rest := window.ReplaceAllString(grouping.ReplaceAllString(expression, ""), "")
	metrics := 0
	for _, found := range selector.FindAllStringSubmatch(rest, -1) {
		metric, matchers := found[1], found[2]
		if matchers == "(" || slices.Contains([]string{"and", "or", "unless", "bool", "sum", "max", "count"}, metric) {
			continue
		}
		metrics++
		if metric == "up" { // Prometheus creates this metric
			continue
		}
		if present[metric] == nil {
			t.Errorf("%s: got no metric %s", name, metric)
			continue
		}
		labels = append(labels, present[metric]...)
		for _, label := range matcher.FindAllStringSubmatch(matchers, -1) {
			if !slices.Contains(present[metric], label[1]) {
				t.Errorf("%s: %s: got no label %s", name, metric, label[1])
			}
		}
	}
	for _, label := range groupedBy {
		if !slices.Contains(labels, label) {
			t.Errorf("%s: got no metric with the label %s", name, label)
		}
	}
	if metrics == 0 {
		t.Errorf("%s: got no metric in %s", name, expression)
	}
}
