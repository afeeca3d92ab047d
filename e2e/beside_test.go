package e2e

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// What rules, dashboard and snippets name is there.
func TestBeside(t *testing.T) {
	t.Parallel()
	metricsPort := freePort(t)
	p := start(t, t.TempDir(), "LASTSEEN_METRICS_LISTEN=127.0.0.1:"+metricsPort, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse", "LASTSEEN_BOOTSTRAP_TOKEN="+guardToken)
	if got := p.signIn(browser(t), "admin", "correct horse"); got != http.StatusSeeOther {
		t.Fatalf("sign in: got %d", got)
	}
	q := &process{t: t, url: "http://127.0.0.1:" + metricsPort}
	_, metrics := q.get(browser(t), "/metrics")

	var expressions []string
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/lastseen.rules.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules.Groups[0].Rules {
		expressions = append(expressions, rule.Expr)
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/lastseen.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	named := regexp.MustCompile(`lastseen_[a-z_]+`).FindAllString(strings.Join(expressions, "\n")+read(t, "docs/beside.md"), -1)
	if len(named) < 20 {
		t.Errorf("only %d metrics are named", len(named))
	}
	for _, name := range named {
		if name == "lastseen_bearer" || name == "lastseen_last_used" { // Home Assistant's own
			continue
		}
		if !strings.Contains(metrics, "\n"+name) && !strings.HasPrefix(metrics, name) {
			t.Errorf("there is no metric %s", name)
		}
	}

	// The fields of the snippets, by their paths.
	_, body := p.get(browser(t), "/api/v3/core/authenticated_sessions/?ordering=-last_used&page_size=5", "Authorization", "Bearer "+guardToken)
	for _, field := range []string{`"pagination":{`, `"count":1`, `"results":[{`, `"user_agent":{"device"`, `"user_agent":{"family":"`, `"geo_ip":`, `"last_used":"`} {
		if !strings.Contains(body, field) {
			t.Errorf("the API has no %s in %s", field, body)
		}
	}

	promtool := program(t, "", "promtool")
	if out, err := exec.Command(promtool, "check", "rules", "deploy/prometheus/lastseen.rules.yml").CombinedOutput(); err != nil {
		t.Errorf("the rules: %v: %s", err, out)
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(metrics)
	if out, err := check.CombinedOutput(); err != nil && check.ProcessState.ExitCode() != 3 { // 3: what it would rather have
		t.Errorf("the metrics: %v: %s", err, out)
	}
}
