package e2e

import (
	"strings"
	"testing"
)

// With --identity-headers authelia apps are told who asks by Authelia's headers too, and a
// client's own count no more than before.
func TestAutheliaHeaders(t *testing.T) {
	for _, proxy := range []struct {
		name  string
		serve func(t *testing.T, g *guard)
	}{
		{"nginx", func(t *testing.T, g *guard) { g.nginx(program(t, "", "nginx", "/usr/sbin/nginx"), g.snippet("nginx")) }},
		{"npm", func(t *testing.T, g *guard) {
			g.nginx(program(t, "", "nginx", "/usr/sbin/nginx"), g.npm("app.lastseen.test"))
		}},
		{"caddy", func(t *testing.T, g *guard) { serveCaddy(g, program(t, "", "caddy")) }},
		{"traefik", func(t *testing.T, g *guard) { g.traefik(program(t, "LASTSEEN_TEST_TRAEFIK", "traefik")) }},
	} {
		t.Run(proxy.name, func(t *testing.T) {
			t.Parallel()
			if proxy.name == "traefik" {
				program(t, "LASTSEEN_TEST_TRAEFIK", "traefik")
			}
			g := newGuardWith(t, "http", "LASTSEEN_COOKIE_DOMAIN=lastseen.test", "LASTSEEN_IDENTITY_HEADERS=authelia")
			proxy.serve(t, g)
			zoe, saw := g.signIn("zoë", "/")
			groups := saw.Header.Get("Remote-Groups")
			if saw.Header.Get("Remote-User") != "zoë" || saw.Header.Get("X-Authentik-Username") != "zoë" || groups != "Küche,members" && groups != "members,Küche" {
				t.Errorf("the app is told %v", saw.Header)
			}
			forged := []string{"Remote-User", "forged", "Remote_User", "forged", "Remote-Groups", "forged", "Remote-Email", "forged", "Remote-Name", "forged"}
			for _, path := range []string{"/", "/open/x"} {
				saw := g.get(zoe, path, forged...)
				for name, values := range saw.Header {
					if strings.Contains(strings.Join(values, " "), "forged") {
						t.Errorf("%s: the app sees %s: %q", path, name, values)
					}
				}
				if want := map[string]string{"/": "zoë"}[path]; saw.Header.Get("Remote-User") != want {
					t.Errorf("%s: the app is told of %q, want %q", path, saw.Header.Get("Remote-User"), want)
				}
			}
		})
	}
}
