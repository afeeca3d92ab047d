package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fill repeats a pattern up to n bytes.
func fill(pattern string, n int) string {
	return strings.Repeat(pattern, n/len(pattern)+1)[:n/len(pattern)*len(pattern)]
}

// ideographs are n bytes of characters that are all different: the cost of punycode
// grows with the square of their number.
func ideographs(n int) string {
	var b strings.Builder
	for r := rune(0x4e00); b.Len() < n; r++ {
		b.WriteRune(r)
	}
	return b.String()
}

// costly are requests that anybody may send, each of about n bytes that one of our
// parsers is to read. What they are made of is the worst that we know for it.
var costly = []struct {
	name    string
	request func(n int, token string) *http.Request
}{
	{"sign-in page, non-ASCII host", func(n int, _ string) *http.Request {
		return httptest.NewRequest("GET", "/login?rd="+url.QueryEscape("https://"+ideographs(n/3)+".home.example/"), nil)
	}},
	{"sign-in page, host of many labels", func(n int, _ string) *http.Request {
		return httptest.NewRequest("GET", "/login?rd="+url.QueryEscape("https://"+strings.Join(strings.SplitAfter(ideographs(n/4), ""), ".")+"home.example/"), nil)
	}},
	{"sign-in page, non-ASCII host as it is", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/login", nil)
		r.URL.RawQuery = "rd=https://" + ideographs(n) + ".home.example/"
		return r
	}},
	{"sign-in page, punycode host", func(n int, _ string) *http.Request {
		return httptest.NewRequest("GET", "/login?rd="+url.QueryEscape("https://xn--"+fill("tda9z", n)+".home.example/"), nil)
	}},
	{"sign-in, non-ASCII host", func(n int, _ string) *http.Request {
		return form("/login", "password=x&rd="+url.QueryEscape("https://"+ideographs(n/3)+".home.example/"))
	}},
	{"preferences, non-ASCII host", func(n int, _ string) *http.Request {
		return form("/preferences", "language=de&back="+url.QueryEscape("https://"+ideographs(n/3)+".home.example/"))
	}},
	{"preferences, non-ASCII referrer", func(n int, _ string) *http.Request {
		r := form("/preferences", "language=de")
		r.Header.Set("Referer", "https://"+ideographs(n)+".home.example/")
		return r
	}},
	{"start, non-ASCII host", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/outpost.goauthentik.io/start", nil)
		r.URL.RawQuery = "rd=https://" + ideographs(n) + ".home.example/"
		return r
	}},
	{"start, many parameters", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/outpost.goauthentik.io/start", nil)
		r.URL.RawQuery = fill("a=b&", n)
		return r
	}},
	{"sign out, non-ASCII host", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/outpost.goauthentik.io/sign_out", nil)
		r.URL.RawQuery = "rd=https://" + ideographs(n) + ".home.example/"
		return r
	}},
	{"Host header, non-ASCII", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/login", nil)
		r.Host = ideographs(n) + ".home.example"
		return r
	}},
	{"Origin header, non-ASCII", func(n int, _ string) *http.Request {
		r := form("/login", "username=ada&password=x")
		r.Header.Set("Origin", "https://"+ideographs(n)+".home.example")
		return r
	}},
	{"path of the API, slash at its end", func(n int, _ string) *http.Request {
		return httptest.NewRequest("GET", "/api/v3/"+fill("a/", n), nil)
	}},
	{"path of the API", func(n int, _ string) *http.Request {
		return httptest.NewRequest("GET", "/api/v3/"+fill("a/", n)+"b", nil)
	}},
	{"path of the API, no method", func(n int, _ string) *http.Request {
		return httptest.NewRequest("PUT", "/api/v3/"+fill("core/", n)+"b", nil)
	}},
	{"path", func(n int, _ string) *http.Request { return httptest.NewRequest("GET", fill("/sessions", n), nil) }},
	{"Accept header of the API", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/api/v3/root/config/", nil)
		r.Header.Set("Accept", fill(`a/b;q="x";r*0="y",`, n))
		return r
	}},
	{"Accept header of the API, one type", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/api/v3/root/config/", nil)
		var parameters strings.Builder
		for i := 0; parameters.Len() < n; i++ {
			fmt.Fprintf(&parameters, ";r%d*0=y", i)
		}
		r.Header.Set("Accept", "a/b"+parameters.String())
		return r
	}},
	{"Accept-Language header", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/login", nil)
		r.Header.Set("Accept-Language", fill("de-DE-u-co-phonebk;q=0.5,", n))
		return r
	}},
	{"Accept-Language header, one tag", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/login", nil)
		r.Header.Set("Accept-Language", "de"+fill("-abcdefgh", n))
		return r
	}},
	{"Accept-Language header, weights", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/login", nil)
		r.Header.Set("Accept-Language", fill("xx,", n))
		return r
	}},
	{"cookies", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/login", nil)
		r.Header.Set("Cookie", fill("lastseen_session=a;", n))
		return r
	}},
	{"a long cookie", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/login", nil)
		r.Header.Set("Cookie", "lastseen_session="+fill("a", n))
		return r
	}},
	{"User-Agent header", func(n int, token string) *http.Request {
		r := gateRequest("X-Original-URL", "https://grafana.home.example/", "Cookie", cookie(token))
		r.Header.Set("User-Agent", "Mozilla/5.0 ("+fill("Android 1;", n))
		return r
	}},
	{"filter by name", func(n int, token string) *http.Request {
		r := httptest.NewRequest("GET", "/api/v3/core/authenticated_sessions/?user__username="+fill("%CC%81", n), nil)
		r.Header.Set("Cookie", cookie(token))
		return r
	}},
	{"filter by address", func(n int, token string) *http.Request {
		r := httptest.NewRequest("GET", "/api/v3/core/authenticated_sessions/?last_ip="+fill("1:", n), nil)
		r.Header.Set("Cookie", cookie(token))
		return r
	}},
	{"words of a search", func(n int, token string) *http.Request {
		r := httptest.NewRequest("GET", "/api/v3/core/authenticated_sessions/?search="+fill("ab+", n), nil)
		r.Header.Set("Cookie", cookie(token))
		return r
	}},
	{"name and password", func(n int, _ string) *http.Request {
		return form("/login", "username="+fill("%CC%81", n/2)+"&password="+fill("x", n/2))
	}},
	{"form of many fields", func(n int, _ string) *http.Request { return form("/login", fill("a=b&", n)) }},
	{"API key", func(n int, _ string) *http.Request {
		r := httptest.NewRequest("GET", "/api/v3/core/users/me/", nil)
		r.Header.Set("Authorization", "Bearer "+fill("a", n))
		return r
	}},
	{"gate, non-ASCII host", func(n int, _ string) *http.Request {
		return gateRequest("X-Original-URL", "https://"+ideographs(n)+".home.example/")
	}},
	{"gate, punycode host", func(n int, _ string) *http.Request {
		return gateRequest("X-Original-URL", "https://xn--"+fill("tda9z", n)+".home.example/")
	}},
	{"gate, path", func(n int, _ string) *http.Request {
		return gateRequest("X-Original-URL", "https://grafana.home.example/"+fill("../", n))
	}},
	{"gate, client's address", func(n int, _ string) *http.Request {
		return gateRequest("X-Original-URL", "https://grafana.home.example/", "X-Forwarded-For", fill("127.0.0.1,", n)+"127.0.0.1")
	}},
	{"gate, key", func(n int, _ string) *http.Request {
		return gateRequest("X-Original-URL", "https://grafana.home.example/", "Authorization", "Basic "+fill("YTpi", n))
	}},
}

func form(path, body string) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func gateRequest(header ...string) *http.Request {
	r := httptest.NewRequest("GET", "/outpost.goauthentik.io/auth/nginx", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// send answers a request that came to us under our own name, unless it has another.
func (ts *testServer) send(r *http.Request) int {
	r.RemoteAddr = "127.0.0.1:1"
	if r.Host == "example.com" {
		r.Host = "auth.home.example"
	}
	w := discard{header: http.Header{}}
	ts.ServeHTTP(&w, r)
	return w.status
}

// What a request costs by how much of it there is to read.
func BenchmarkCost(b *testing.B) {
	ts := guarded(b)
	_, token := ts.session("ada", "81.2.69.142", firefox)
	for _, kind := range costly {
		for _, n := range []int{1 << 10, 8 << 10, 60 << 10} {
			b.Run(fmt.Sprintf("%s/%dKB", strings.ReplaceAll(kind.name, " ", "_"), n>>10), func(b *testing.B) {
				for b.Loop() {
					ts.send(kind.request(n, token))
				}
			})
		}
	}
}

// TestCost holds that sixteen requests of the longest kind, at once, are answered in
// the time of a few hundred checks of the gate: a ratio, whatever the machine's speed.
// The gate's own median beside them would say nothing, since the scheduler lets who
// waits for a connection go first, however busy the processors are. No other test runs
// beside it, whose load would be in one of the two times alone.
func TestCost(t *testing.T) {
	const most = 5000 // checks; a tenth of it is usual, and the holes that there were took 26,000 and more
	ts := guarded(t)
	_, token := ts.session("ada", "81.2.69.142", firefox)
	check := func() time.Duration {
		start := time.Now()
		res, _ := ts.get(nil, "/outpost.goauthentik.io/auth/nginx", "X-Original-URL", "https://grafana.home.example/", "Cookie", cookie(token))
		if res.StatusCode != http.StatusOK {
			t.Errorf("the gate: got %d", res.StatusCode)
		}
		return time.Since(start)
	}
	for _, kind := range costly {
		t.Run(kind.name, func(t *testing.T) {
			var ratio float64
			for range 3 { // a machine that is busy elsewhere is no finding
				var checks []time.Duration
				for range 100 {
					checks = append(checks, check())
				}
				slices.Sort(checks)
				var running sync.WaitGroup
				start := time.Now()
				for range 16 {
					running.Go(func() { ts.send(kind.request(60<<10, token)) })
				}
				running.Wait()
				if ratio = float64(time.Since(start)) / float64(checks[len(checks)/2]); ratio < most {
					return
				}
			}
			t.Errorf("sixteen of them take as long as %.0f checks of the gate, want less than %d", ratio, most)
		})
	}
}
