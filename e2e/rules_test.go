package e2e

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Rules made on the command line count on the running server's next request.
func TestRuleCommands(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, data, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse", "LASTSEEN_PUBLIC_URL=http://auth.home.example",
		"LASTSEEN_COOKIE_DOMAIN=home.example", "LASTSEEN_TRUSTED_PROXIES=127.0.0.1")
	p.url = "http://" + regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(p.log())[1]
	run := func(want int, args ...string) (out, errs string) {
		t.Helper()
		out, errs, status := execute(t, data, "correct horse", args...)
		if status != want {
			t.Errorf("%v: got %d %s%s, want %d", args, status, out, errs, want)
		}
		return out, errs
	}
	run(0, "user", "create", "ada", "--group", "family", "--password-file", "-")
	run(0, "user", "create", "bob", "--password-file", "-")
	key := map[string]string{}
	for _, name := range []string{"ada", "bob"} {
		out, _ := run(0, "token", "create", "--user", name)
		key[name] = strings.TrimSpace(out)
	}
	passes := func(name, host, uri string) bool {
		t.Helper()
		req, err := http.NewRequest("GET", p.url+"/outpost.goauthentik.io/auth/nginx", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Original-URL", "http://"+host+uri)
		if name != "" {
			req.Header.Set("X-Lastseen-Token", key[name])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode == 200
	}
	const host = "media.home.example"
	if !passes("bob", host, "/") || passes("", host, "/hook") {
		t.Error("without rules, bob passes and nobody else")
	}
	if out, _ := run(0, "rule", "allow", host, "--group", "family"); out != "1\n" {
		t.Errorf("allow prints %q", out)
	}
	if !passes("ada", host, "/") || passes("bob", host, "/") || !passes("bob", "other.home.example", "/") {
		t.Error("the rule does not count")
	}
	if out, _ := run(0, "rule", "open", "*.home.example", "/hook*"); out != "2\n" {
		t.Errorf("open prints %q", out)
	}
	if !passes("", host, "/hooks") || passes("", host, "/") {
		t.Error("the open path does not count")
	}
	if out, _ := run(0, "rule", "list"); !strings.Contains(out, host) || !strings.Contains(out, "groups family") || !strings.Contains(out, "everybody, /hook*") {
		t.Errorf("list prints %s", out)
	}
	run(0, "user", "group", "add", "bob", "family")
	if !passes("bob", host, "/") {
		t.Error("bob is in the group, and refused")
	}
	run(0, "user", "group", "remove", "bob", "family")
	if passes("bob", host, "/") {
		t.Error("bob is no longer in the group, and passes")
	}
	run(0, "rule", "delete", "2")
	if passes("", host, "/hooks") {
		t.Error("the path is not open any more, and passes")
	}
	run(0, "rule", "delete", "1")
	if !passes("bob", host, "/") {
		t.Error("there is no rule any more, and bob is refused")
	}
	for _, tt := range []struct {
		want int
		say  string
		args []string
	}{
		{1, "there is no rule 1", []string{"rule", "delete", "1"}},
		{2, "rule list", []string{"rule", "delete", "one"}},
		{2, "without port", []string{"rule", "allow", "a.example:80", "--group", "x"}},
		{2, "group", []string{"rule", "allow", "a.example"}},
		{2, "plain", []string{"rule", "open", "a.example", "/a/../b"}},
		{2, "", []string{"rule", "open", "a.example"}},
	} {
		if out, errs := run(tt.want, tt.args...); out != "" || !strings.Contains(errs, tt.say) {
			t.Errorf("%v says %q, %q", tt.args, out, errs)
		}
	}
}
