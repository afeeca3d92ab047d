package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// checkScripts tries what clients meet that are no browsers, through the proxy.
func (g *guard) checkScripts(t *testing.T) {
	nobody := g.browser(false)
	for _, args := range [][]string{
		{"rule", "challenge", "app.lastseen.test", "/dav/*"},
		{"rule", "open", "app.lastseen.test", "/api/*", "--method", "OPTIONS"},
	} {
		if _, errs, status := execute(t, g.data, "", args...); status != 0 {
			t.Fatalf("%v: %s", args, errs)
		}
	}
	key, errs, status := execute(t, g.data, "", "token", "create", "--user", "zoë", "--identifier", "dav", "--scope", "gate:app.lastseen.test")
	if status != 0 {
		t.Fatal(errs)
	}
	// Who waits to be asked for a key is asked; browsers are led to the sign-in.
	res, _ := g.ask(nobody, "PROPFIND", g.app+"/dav/x", "")
	if res.StatusCode != 401 || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("a WebDAV client: got %d %v", res.StatusCode, res.Header)
	}
	if res, _ := g.ask(nobody, "GET", g.app+"/dav/x", "", "Sec-Fetch-Mode", "navigate"); res.StatusCode != 302 || res.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("a browser: got %d %v", res.StatusCode, res.Header)
	}
	if res, _ := g.ask(nobody, "GET", g.app+"/x", ""); res.StatusCode != 302 || res.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("where no rule says so: got %d %v", res.StatusCode, res.Header)
	}
	req, _ := http.NewRequest("PROPFIND", g.app+"/dav/x", nil)
	req.SetBasicAuth("zoë", strings.TrimSpace(key))
	if res, err := nobody.Do(req); err != nil || res.StatusCode != 200 {
		t.Errorf("with the key: %v %v", res, err)
	}
	// A preflight carries no cookie, and what follows it does.
	for method, want := range map[string]int{"OPTIONS": 200, "GET": 302, "POST": 302} {
		if res, _ := g.ask(nobody, method, g.app+"/api/x", "", "X-Original-Method", "OPTIONS", "X-Forwarded-Method", "OPTIONS"); res.StatusCode != want {
			t.Errorf("%s of an open preflight: got %d, want %d", method, res.StatusCode, want)
		}
	}
}

// TestGateMistakes: a gate that is put in front of the sign-in itself, or whose proxy
// is not trusted, says so instead of leading round for ever.
func TestGateMistakes(t *testing.T) {
	t.Parallel()
	nginx := program(t, "", "nginx", "/usr/sbin/nginx")
	for name, tt := range map[string]struct {
		trusted, host, says, logs string
	}{
		"the sign-in's own host": {"127.0.0.1,::1", "auth.lastseen.test", "The gate guards the sign-in itself", ""},
		"an untrusted proxy":     {"192.0.2.1", "app.lastseen.test", "--trusted-proxies", `"setting":"--trusted-proxies","ip":"127.0.0.1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuardWith(t, "http", "LASTSEEN_COOKIE_DOMAIN=lastseen.test", "LASTSEEN_TRUSTED_PROXIES="+tt.trusted)
			text := g.snippet("nginx")
			if tt.host != "app.lastseen.test" { // the gate's part for the sign-in's host, instead of its own
				_, part, _ := strings.Cut(text, "# Part 2")
				first, _, _ := strings.Cut(text, "server {\n\tlisten "+g.port+";\n\tlisten [::]:"+g.port+";\n\tserver_name auth.lastseen.test;")
				text = first + "# Part 2" + strings.ReplaceAll(part, "app.lastseen.test", tt.host)
				text = strings.Replace(text, "location /outpost.goauthentik.io/ {", "location /login { proxy_pass http://lastseen; proxy_set_header Host auth.lastseen.test:"+g.port+"; }\n\tlocation /outpost.goauthentik.io/ {", 1)
			}
			g.nginx(nginx, text)
			res, body := g.ask(g.browser(true), "GET", "http://"+tt.host+":"+g.port+"/", "")
			if res.StatusCode != 403 || !strings.Contains(body, tt.says) {
				t.Errorf("got %d at %s: %s", res.StatusCode, res.Request.URL, body)
			}
			for try := 0; !strings.Contains(g.log(), tt.logs) && try < 100; try++ {
				time.Sleep(50 * time.Millisecond) // the answer may be here before the line
			}
			if !strings.Contains(g.log(), tt.logs) {
				t.Errorf("the log says %s", g.log())
			}
		})
	}
}
