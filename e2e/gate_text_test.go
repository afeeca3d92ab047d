package e2e

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// checkText tries what people and apps do that a proxy's configuration, rather than
// Lastseen, decides on.
func (g *guard) checkText(zoe *http.Client, proxy string, keepsCookie bool) {
	t := g.t
	nobody := g.browser(false)

	t.Run("uploads", func(t *testing.T) {
		for _, size := range []int{1, 1 << 20, 1<<20 + 1, 3 << 20, 40 << 20} {
			body := strings.Repeat("x", size)
			res, text := g.ask(zoe, "POST", g.app+"/upload", body)
			var saw appSaw
			if err := json.Unmarshal([]byte(text), &saw); err != nil || saw.Size != size {
				t.Errorf("%d bytes: got %d, and the app saw %d", size, res.StatusCode, saw.Size)
			}
			if size > 2<<20 {
				continue // whoever is refused may be cut off while they still send
			}
			before := g.hits.Load()
			if res, _ := g.ask(nobody, "POST", g.app+"/upload", body); res.StatusCode != 302 || g.hits.Load() != before {
				t.Errorf("%d bytes of nobody: got %d", size, res.StatusCode)
			}
		}
	})

	t.Run("long addresses", func(t *testing.T) {
		for _, size := range []int{100, 3 << 10, 4 << 10, 7 << 10, 8 << 10, 10 << 10, 20 << 10} {
			for name, unit := range map[string]string{"plain": "abc=de&", "encoded": "a=%C3%BC&"} {
				if proxy == "npm" && size > 7<<10 {
					continue // how long a request line may be is Nginx Proxy Manager's own default server's to say
				}
				uri := "/page?" + strings.Repeat(unit, size/len(unit))
				if saw := g.get(zoe, uri); saw.URI != uri {
					t.Errorf("%d %s: the app saw %d bytes", size, name, len(saw.URI))
				}
				if size > 16<<10 {
					continue // what a proxy itself asks with may be too long for it by then
				}
				// The way over the sign-in leads back to the page, or else to the app's root.
				back := g.signInAt(uri)
				if back != uri && (back != "/" || size < 4<<10) {
					t.Errorf("%d %s: after the sign-in at %.60s", size, name, back)
				}
			}
		}
	})

	t.Run("odd paths", func(t *testing.T) {
		for _, path := range []string{"//x", "//evil.example/x", "/a//b", "/%2e%2e/x", "/x?y=a b", "/x?a=%", "/x?rd=/y&rd=http://evil.example", "/x%3Fy", "/ü", "/x?q=ü", "/x?q=\\", "/$x${y}"} {
			g.hits.Store(0)
			request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: app.lastseen.test:%s\r\nConnection: close\r\n\r\n", strings.ReplaceAll(path, " ", "%20"), g.port)
			status, header, _ := g.raw(request)
			location := header.Get("Location")
			if status/100 == 4 && location == "" && g.hits.Load() == 0 {
				continue // refused by the proxy itself, or by us
			}
			if status != 302 || !strings.HasPrefix(location, "http://auth.lastseen.test:"+g.port+"/login?rd=") || strings.Contains(location, "sessions") || g.hits.Load() != 0 {
				t.Errorf("%s: got %d to %s", path, status, location)
			}
			if back := g.signInFrom(location); !strings.HasPrefix(back, g.app+"/") {
				t.Errorf("%s: after the sign-in at %s", path, back)
			}
		}
	})

	t.Run("many groups", func(t *testing.T) {
		for _, n := range []int{1, 120, 300} {
			name := fmt.Sprintf("member%d", n)
			args := []string{"user", "create", name, "--group", "members", "--password-file", "-"}
			for i := range n {
				args = append(args, "--group", fmt.Sprintf("a group of the household %03d", i))
			}
			if _, errs, status := execute(t, g.data, "correct horse\n", args...); status != 0 {
				t.Fatalf("%d groups: %s", n, errs)
			}
			_, saw := g.signIn(name, "/groups")
			if got := strings.Count(saw.Header.Get("X-Authentik-Groups"), "|"); got != n {
				t.Errorf("%d groups: the app saw %d", n+1, got+1)
			}
		}
	})

	t.Run("claims", func(t *testing.T) {
		var forged []string
		for _, name := range []string{"Forwarded", "True-Client-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "Fastly-Client-Ip",
			"X-Original-Url", "X-Original-Uri", "X-Original-Host", "X-Rewrite-Url", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
			"X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name",
			"X-Remote-User", "X-Webauth-User", "X-Auth-Request-User", "X-Real-Ip", "X_Real_Ip", "X-Forwarded_User", "Remote_User"} {
			forged = append(forged, name, "forged")
		}
		for _, path := range []string{"/x", "/open/x"} {
			saw := g.get(zoe, path, forged...)
			for name, values := range saw.Header {
				if strings.Contains(strings.Join(values, " "), "forged") {
					t.Errorf("%s: the app sees %s: %q", path, name, values)
				}
			}
			if got := saw.Header.Get("X-Real-Ip"); got != "127.0.0.1" {
				t.Errorf("%s: the app sees X-Real-IP %q", path, got)
			}
		}
	})

	t.Run("cookies", func(t *testing.T) {
		for sent, want := range map[string]string{
			"a=b; c=d":                                     "a=b; c=d",
			"a=b;lastseen_session=x; c=d":                  "a=b; c=d",
			"a=b;\tlastseen_session=x;\tc=d":               "a=b; c=d",
			"lastseen_session=x":                           "",
			"lastseen_session=x; a=b":                      "a=b",
			"a=b; lastseen_session=x":                      "a=b",
			"a=b; lastseen_app=x; c=d":                     "a=b; c=d",
			"__Host-lastseen_app=x; c=d":                   "c=d",
			"a=b; lastseen_app=x; lastseen_session=y; c=d": "a=b; c=d",
			"mylastseen_session=keep; c=d":                 "mylastseen_session=keep; c=d",
			"a=lastseen_session=keep; c=d":                 "a=lastseen_session=keep; c=d",
			"a=x lastseen_session=keep; c=d":               "a=x lastseen_session=keep; c=d",
			"lastseen_sessions=keep":                       "lastseen_sessions=keep",
		} {
			saw := g.get(g.browser(false), "/open/x", "Cookie", sent)
			got := strings.Join(strings.FieldsFunc(saw.Header.Get("Cookie"), func(r rune) bool { return r == ';' }), ";")
			got = strings.Join(strings.Fields(strings.ReplaceAll(got, ";", "; ")), " ")
			if !keepsCookie && strings.TrimSuffix(got, ";") != want {
				t.Errorf("of %q the app sees %q, want %q", sent, got, want)
			}
		}
	})

	t.Run("another name", func(t *testing.T) {
		for _, host := range []string{"other.example", "lastseen.test", "app.lastseen.test.evil.example", "127.0.0.1"} {
			before := g.hits.Load()
			status, _, body := g.raw(fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n", host, g.port))
			if strings.Contains(string(body), "Lastseen") || status/100 == 3 || g.hits.Load() != before {
				t.Errorf("%s is answered: %d %.200s", host, status, body)
			}
		}
	})
}

// signInAt is where a browser is on the app's host that asked for a path there and
// signed in on the way.
func (g *guard) signInAt(path string) string {
	g.t.Helper()
	status, header, _ := g.raw(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: app.lastseen.test:%s\r\nConnection: close\r\n\r\n", path, g.port))
	if status != 302 {
		g.t.Errorf("%.60s: got %d", path, status)
		return ""
	}
	return strings.TrimPrefix(g.signInFrom(header.Get("Location")), g.app)
}

// signInFrom opens a sign-in page, signs in, and is where that leads.
func (g *guard) signInFrom(page string) string {
	g.t.Helper()
	client := g.browser(true)
	res, body := g.ask(client, "GET", page, "")
	if res.StatusCode != 200 || !strings.Contains(body, `name="password"`) {
		g.t.Errorf("%.100s: got %d %.200s", page, res.StatusCode, body)
		return ""
	}
	res = g.submit(client, "zoë", body)
	if res.StatusCode != 200 {
		g.t.Errorf("after the sign-in: got %d at %.100s", res.StatusCode, res.Request.URL)
	}
	return res.Request.URL.String()
}

var hiddenRD = regexp.MustCompile(`name="rd" value="([^"]*)"`)

// submit sends a sign-in page's form as it stands, with a name and the password.
func (g *guard) submit(client *http.Client, name, page string) *http.Response {
	g.t.Helper()
	form := url.Values{"username": {name}, "password": {"correct horse"}}
	if rd := hiddenRD.FindStringSubmatch(page); rd != nil {
		form.Set("rd", html.UnescapeString(rd[1]))
	}
	res, _ := g.ask(client, "POST", "http://auth.lastseen.test:"+g.port+"/login", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	return res
}
