package e2e

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	geosample "lastseen/geoip/sample"
)

// A link is printed alone, begins with the public URL, and the server takes it at once.
func TestLinksOfTheCommandLine(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if _, errs, status := execute(t, data, "correct horse", "user", "create", "ada", "--password-file", "-"); status != 0 {
		t.Fatal(errs)
	}
	if _, errs, status := execute(t, data, "", "user", "invite", "--listen", "127.0.0.1:0"); status != 1 || !strings.Contains(errs, "--public-url") {
		t.Errorf("without an address: exit status %d: %s", status, errs)
	}
	base := start(t, data).url
	for _, tt := range []struct {
		args   []string
		status int
	}{
		{[]string{"invite", "ada"}, 1},
		{[]string{"invite", "a b"}, 2},
		{[]string{"invite", ""}, 2},
		{[]string{"invite", "--expires", "soon"}, 2},
		{[]string{"invite", "--expires", "0s"}, 2},
		{[]string{"invite", "otto", "grace"}, 2},
		{[]string{"invite"}, 0},
		{[]string{"invite", "otto", "--group", "family", "--group", "films", "--superuser", "--expires", "30d"}, 0},
		{[]string{"reset"}, 2},
		{[]string{"reset", "nobody"}, 1},
		{[]string{"reset", "ada", "--expires", "2h"}, 0},
	} {
		args := append(append([]string{"user"}, tt.args...), "--public-url", base)
		out, errs, status := execute(t, data, "", args...)
		if status != tt.status {
			t.Fatalf("%q: exit status %d: %s", tt.args, status, errs)
		}
		if status != 0 {
			continue
		}
		if listed, _, _ := execute(t, data, "", "user", "links", "--json"); strings.Count(listed, `"id":`) != 1 || !strings.Contains(listed, `"kind": "`) {
			t.Errorf("%q: the links are %s", tt.args, listed)
		}
		link := strings.TrimSuffix(out, "\n")
		if !strings.HasPrefix(link, base+"/link/") || strings.ContainsAny(link, " \n") {
			t.Fatalf("%q printed %q", tt.args, out)
		}
		form := url.Values{"username": {"erika"}, "password": {"a wholly new passphrase"}}
		for _, want := range []int{303, 404} {
			req, err := http.NewRequest("POST", link, strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if res.Body.Close(); res.StatusCode != want {
				t.Errorf("%q: got %d, want %d", tt.args, res.StatusCode, want)
			}
		}
	}
	out, _, _ := execute(t, data, "", "user", "list")
	for _, want := range []string{"erika", "otto", "family, films"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in:\n%s", want, out)
		}
	}
	if _, errs, status := execute(t, data, "", "user", "disable", "otto", "--force"); status != 0 {
		t.Fatal(errs)
	}
	if _, errs, status := execute(t, data, "", "user", "reset", "otto"); status != 1 || !strings.Contains(errs, "disabled") {
		t.Errorf("for who is disabled: exit status %d: %s", status, errs)
	}
}

// Commands beside a server know its address, and make no database beside its own, without
// being told.
func TestCommandsKnowTheServer(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if _, errs, status := execute(t, data, "correct horse", "user", "create", "ada", "--password-file", "-"); status != 0 {
		t.Fatal(errs)
	}
	start(t, data, "LASTSEEN_PUBLIC_URL=https://auth.home.example", "LASTSEEN_COOKIE_DOMAIN=home.example", "LASTSEEN_COOKIE_NAME=at_home")
	for _, tt := range [][2]string{
		{"", "https://auth.home.example/link/"},
		{"https://other.home.example", "https://other.home.example/link/"},
	} {
		args := []string{"user", "reset", "ada"}
		if tt[0] != "" {
			args = append(args, "--public-url", tt[0])
		}
		if out, errs, status := execute(t, data, "", args...); status != 0 || !strings.HasPrefix(out, tt[1]) {
			t.Errorf("%q: %d, %q, %s", args, status, out, errs)
		}
	}
	// What is printed for a proxy keeps the server's cookie from the app.
	for environ, want := range map[string]string{"": "at_home=", "LASTSEEN_COOKIE_NAME=at_work": "at_work="} {
		cmd := command(t, []string{"LASTSEEN_DATA=" + data, environ}, "proxy-snippet", "caddy")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), "app.home.example {") {
			t.Errorf("proxy-snippet with %q: %v, %s", environ, err, out)
		}
	}

	far := t.TempDir() // what a server on PostgreSQL keeps of its settings
	if err := os.WriteFile(filepath.Join(far, "settings.json"), []byte(`{"database": "set", "listen": "127.0.0.1:9", "public-url": "https://auth.home.example", "apps": "app.example"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, status := execute(t, far, "correct horse", "user", "create", "eve", "--password-file", "-")
	if entries, _ := os.ReadDir(far); status != 2 || !strings.Contains(errs, "--database") || len(entries) != 1 {
		t.Errorf("beside a server on PostgreSQL: %d, %s, %v", status, errs, entries)
	}
	for line, want := range map[string]string{ // which need no database
		"healthcheck": "127.0.0.1:9: connect:", "proxy-snippet caddy": "app.example {", "geoip lookup 192.0.2.1": "address",
	} {
		if out, errs, status := execute(t, far, "", strings.Fields(line)...); status == 2 || !strings.Contains(out+errs, want) {
			t.Errorf("%s beside a server on PostgreSQL: %d, %s, %s", line, status, out, errs)
		}
	}
}

// They know its places, too.
func TestCommandsKnowThePlaces(t *testing.T) {
	t.Parallel()
	data, city := t.TempDir(), filepath.Join(t.TempDir(), "city.mmdb")
	if err := os.WriteFile(city, geosample.City, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, data, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse", "LASTSEEN_TRUSTED_PROXIES=127.0.0.1", "LASTSEEN_GEOIP_CITY="+city)
	req, err := http.NewRequest("POST", p.url+"/login", strings.NewReader(url.Values{"username": {"admin"}, "password": {"correct horse"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Forwarded-For": {"81.2.69.142"}}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	for _, line := range []string{"session list", "geoip lookup 81.2.69.142"} {
		if out, errs, status := execute(t, data, "", strings.Fields(line)...); status != 0 || !strings.Contains(out, "London") {
			t.Errorf("%s after %d: %d, %s, %s", line, res.StatusCode, status, out, errs)
		}
	}
}
