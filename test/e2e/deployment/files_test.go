//go:build deployment

package deployment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"latchkey/test/e2e/kit"
)

// TestUnit tests that systemd accepts the unit, and that its exposure is low.
func TestUnit(t *testing.T) {
	text, err := os.ReadFile(root + "/deploy/systemd/latchkey.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "latchkey.service")
	// The program and the page are installed elsewhere.
	text = []byte(strings.NewReplacer("/usr/local/bin/latchkey", kit.Program(t)).Replace(string(text)))
	if err := os.WriteFile(unit, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out := run(t, ".", "systemd-analyze", "verify", "--man=no", unit); strings.Contains(out, "latchkey.service") {
		t.Errorf("systemd-analyze verify: got %s, want no faults", out)
	}
	run(t, ".", "systemd-analyze", "security", "--offline=true", "--threshold=15", unit)
}

// TestAlerts tests that promtool accepts the alerts and the expressions of the dashboard, and
// that the alerts fire when they should.
func TestAlerts(t *testing.T) {
	dir := root + "/deploy/prometheus"
	run(t, dir, "promtool", "check", "rules", "latchkey.rules.yml")
	run(t, dir, "promtool", "test", "rules", "latchkey_test.yml")
	text, err := os.ReadFile(root + "/deploy/grafana/latchkey.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var rules []map[string]string
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expression := strings.NewReplacer("$__rate_interval", "1m", "$job", ".+", "$instance", ".+").Replace(target.Expr)
			rules = append(rules, map[string]string{"record": fmt.Sprintf("panel:%d", len(rules)), "expr": expression})
		}
	}
	if len(rules) < 40 {
		t.Fatalf("got %d expressions in the dashboard", len(rules))
	}
	file, err := yaml.Marshal(map[string]any{"groups": []map[string]any{{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, ".", "promtool", "check", "rules", path)
}

// helm runs Helm from its module.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GOFLAGS", "")
	return try(t, root+"/deploy/helm", "go", append([]string{"run", "helm.sh/helm/v3/cmd/helm@v3.22.0"}, args...)...)
}

// object contains the members of a Kubernetes object that the test reads.
type object struct {
	Kind     string
	Metadata struct{ Annotations map[string]string }
	Spec     struct {
		MinAvailable int `yaml:"minAvailable"`
		Template     struct {
			Spec struct {
				EnableServiceLinks            *bool `yaml:"enableServiceLinks"`
				TerminationGracePeriodSeconds int   `yaml:"terminationGracePeriodSeconds"`
				Containers                    []struct {
					Args            []string
					Env             []struct{ Name, Value string }
					ReadinessProbe  *struct{} `yaml:"readinessProbe"`
					LivenessProbe   *struct{} `yaml:"livenessProbe"`
					SecurityContext struct {
						ReadOnlyRootFilesystem bool `yaml:"readOnlyRootFilesystem"`
					} `yaml:"securityContext"`
				}
			}
		}
	}
}

// TestChart tests that Helm accepts the chart, and that the chart contains what Kubernetes
// needs to restart replicas without a failed request.
func TestChart(t *testing.T) {
	cache := run(t, ".", "go", "env", "GOCACHE", "GOMODCACHE", "GOPATH")
	for i, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		t.Setenv(name, strings.Split(cache, "\n")[i])
	}
	if out, err := helm(t, "lint", "--strict", "-f", "latchkey/ci-values.yaml", "latchkey"); err != nil {
		t.Fatalf("helm lint: %v\n%s", err, out)
	}
	if out, err := helm(t, "template", "login", "latchkey", "--kube-version", "1.30.0"); err == nil || !strings.Contains(out, "issuer") {
		t.Errorf("a chart without an issuer: got %v %s, want an error", err, out)
	}
	// A Helm that is built from its module assumes an old version of Kubernetes.
	out, err := helm(t, "template", "login", "latchkey", "-f", "latchkey/ci-values.yaml", "--kube-version", "1.30.0")
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, out)
	}
	objects := map[string]object{}
	for d := yaml.NewDecoder(strings.NewReader(out)); ; {
		var o object
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		objects[o.Kind] = o
	}
	for _, kind := range []string{"Deployment", "Service", "PodDisruptionBudget", "Job", "Ingress", "ServiceMonitor"} {
		if _, ok := objects[kind]; !ok {
			t.Errorf("got no %s", kind)
		}
	}
	if objects["Job"].Metadata.Annotations["helm.sh/hook"] != "pre-install,pre-upgrade" || objects["PodDisruptionBudget"].Spec.MinAvailable != 1 {
		t.Error("want the migration as a hook, and one available replica")
	}
	for _, kind := range []string{"Deployment", "Job"} {
		pod := objects[kind].Spec.Template.Spec
		if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks || !pod.Containers[0].SecurityContext.ReadOnlyRootFilesystem {
			t.Errorf("%s: got %+v", kind, pod)
		}
	}
	pod := objects["Deployment"].Spec.Template.Spec
	if pod.Containers[0].ReadinessProbe == nil || pod.Containers[0].LivenessProbe == nil || pod.TerminationGracePeriodSeconds < 12+15+15 {
		t.Errorf("Deployment: got %+v", pod)
	}
}
