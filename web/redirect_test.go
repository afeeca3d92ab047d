package web

import (
	"net/url"
	"strings"
	"testing"

	"lastseen/app"
	"lastseen/app/config"
)

func redirectServer(public, domain string) *Server {
	u, _ := url.Parse(public)
	return &Server{app: &app.App{Config: config.Config{PublicURL: u, CookieDomain: domain}}}
}

// The strings are those of the open redirects that other gates had.
func TestTarget(t *testing.T) {
	t.Parallel()
	s := redirectServer("https://auth.home.example", "home.example")
	for rd, want := range map[string]string{
		"/" + strings.Repeat("x", maxTarget):    "",
		"/" + strings.Repeat("é", maxTarget/3):  "", // encoded it is longer
		"/sessions":                             "/sessions",
		"/a?b=c#d":                              "/a?b=c#d",
		"/a%2Fb":                                "/a%2Fb",
		"https://auth.home.example/x":           "https://auth.home.example/x",
		"https://grafana.home.example/d/1?x=y":  "https://grafana.home.example/d/1?x=y",
		"http://grafana.home.example:3000/":     "http://grafana.home.example:3000/",
		"https://home.example":                  "https://home.example",
		"https://GRAFANA.home.example/":         "https://GRAFANA.home.example/",
		"":                                      "",
		"sessions":                              "",
		"//evil.example":                        "",
		"///evil.example":                       "",
		`/\evil.example`:                        "",
		`\/evil.example`:                        "",
		"/\t/evil.example":                      "",
		"/\n/evil.example":                      "",
		" //evil.example":                       "",
		"https://evil.example":                  "",
		"https://evilhome.example":              "",
		"https://home.example.evil.example":     "",
		"https://home.example@evil.example":     "",
		"https://evil.example\\@home.example":   "",
		"https://user:pw@grafana.home.example/": "",
		"https://evil.example#.home.example":    "",
		"https://evil.example?.home.example":    "",
		"https:/evil.example":                   "",
		"https:evil.example":                    "",
		"https:///evil.example":                 "",
		"javascript:alert(1)":                   "",
		"data:text/html,x":                      "",
		"ftp://grafana.home.example/":           "",
		"https://grafana.home.example//evil":    "",
		"https://[::1]/":                        "",
		"https://.home.example/":                "",
		"https://grafana.home.example.:443/":    "https://grafana.home.example.:443/",
		"https://b\u00fccher.home.example/":     "https://b%C3%BCcher.home.example/",
		"http://%68ome.example.evil/":           "",
	} {
		if got, _ := s.target(rd); got != want {
			t.Errorf("%q: got %q, want %q", rd, got, want)
		}
	}
	alone := redirectServer("http://127.0.0.1:9000", "")
	for rd, want := range map[string]string{
		"http://127.0.0.1:9000/x": "http://127.0.0.1:9000/x",
		"http://127.0.0.1:3000/x": "http://127.0.0.1:3000/x",
		"http://127.0.0.2/":       "",
	} {
		if got, _ := alone.target(rd); got != want {
			t.Errorf("without a domain, %q: got %q, want %q", rd, got, want)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"/x", "//x", `/\x`, "https://a.home.example/", "https://home.example@x", "http://a.home.example:1/%2f%2fx"} {
		f.Add(seed)
	}
	s := redirectServer("https://auth.home.example", "home.example")
	f.Fuzz(func(t *testing.T, rd string) {
		got, ok := s.target(rd)
		if !ok {
			if got != "" {
				t.Fatalf("%q: refused, but gave %q", rd, got)
			}
			return
		}
		if strings.ContainsAny(got, "\\\t\r\n ") || strings.HasPrefix(got, "//") {
			t.Fatalf("%q: gave %q", rd, got)
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatalf("%q: gave %q: %v", rd, got, err)
		}
		if u.Host != "" && !strings.HasSuffix("."+strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), ".home.example") {
			t.Fatalf("%q: leads to %q", rd, u.Host)
		}
		if again, ok := s.target(got); !ok || again != got {
			t.Fatalf("%q: gave %q, which gives %q", rd, got, again)
		}
	})
}
