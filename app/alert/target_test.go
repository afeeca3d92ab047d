package alert

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestTargets(t *testing.T) {
	for _, tt := range []struct {
		raw, name, url string // name "": refused
	}{
		{"webhook+https://hook.example/p/secret?k=secret", "webhook+https://hook.example", "https://hook.example/p/secret?k=secret"},
		{" webhook+http://10.0.0.2:8123/api/webhook/secret ", "webhook+http://10.0.0.2:8123", "http://10.0.0.2:8123/api/webhook/secret"},
		{"webhook+https://:secret@hook.example", "webhook+https://hook.example", "https://hook.example"},
		{"webhook+https://ada:secret@hook.example/", "webhook+https://hook.example", "https://hook.example/"},
		{"ntfy://ntfy.example/secret", "ntfy://ntfy.example", "https://ntfy.example/secret"},
		{"ntfy://:secret@ntfy.example:8443/topic", "ntfy://ntfy.example:8443", "https://ntfy.example:8443/topic"},
		{"ntfy+http://ada:secret@[::1]:8080/base/topic/", "ntfy+http://[::1]:8080", "http://[::1]:8080/base/topic"},
		{"gotify://push.example/secret", "gotify://push.example", "https://push.example/message"},
		{"gotify+http://push.example:8080/base/secret", "gotify+http://push.example:8080", "http://push.example:8080/base/message"},
		{"mailto:ada@home.example", "mailto:ada@home.example", ""},
		{"", "", ""},
		{"https://hook.example/secret", "", ""},
		{"webhook://hook.example/secret", "", ""},
		{"webhook+ftp://hook.example/secret", "", ""},
		{"file:///etc/secret", "", ""},
		{"ntfy://ntfy.example", "", ""},
		{"ntfy://ntfy.example/", "", ""},
		{"ntfy://secret@ntfy.example/topic", "", ""}, // a token without its colon would be a name
		{"ntfy://ntfy.example/topic?auth=secret", "", ""},
		{"gotify://push.example/", "", ""},
		{"gotify://:other@push.example/secret", "", ""},
		{"webhook+https:///secret", "", ""},
		{"webhook+https://hook.example/secret#part", "", ""},
		{"webhook+https://hook.example/secret\r\nX: y", "", ""},
		{"webhook+https://hook.example:port/secret", "", ""},
		{"webhook+https://hook.example:65536/secret", "", ""},
		{"ntfy://ntfy.example:0/secret", "", ""},
		{"webhook+https://hook.example/" + strings.Repeat("secret", 1000), "", ""},
		{"mailto:Ada <ada@home.example>", "", ""},
		{"mailto:ada@home.example,eve@evil.example", "", ""},
		{"mailto:ada@home.example?subject=secret", "", ""},
		{"mailto:ada@home.example\r\nBcc: eve@evil.example", "", ""},
	} {
		got, err := ParseTarget(tt.raw)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error has the secret in it: %v", tt.raw, err)
		}
		if tt.name == "" {
			if err == nil {
				t.Errorf("%q is a target: %s", tt.raw, got.String())
			}
			continue
		}
		if err != nil || got.String() != tt.name || got.url != tt.url {
			t.Errorf("%q: got %s, %s, %v; want %s, %s", tt.raw, got.String(), got.url, err, tt.name, tt.url)
		}
	}
}

// target is one at a server, which gets what stands before the host, and behind it.
func target(t *testing.T, kind, as string, server *httptest.Server, path string) Target {
	t.Helper()
	got, err := ParseTarget(kind + "+http://" + as + strings.TrimPrefix(server.URL, "http://") + path)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSend(t *testing.T) {
	var r *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r = req
		body, _ = io.ReadAll(req.Body)
	}))
	defer server.Close()
	sender := NewSender(nil, "")
	send := func(target Target, m Message) {
		t.Helper()
		r, body = nil, nil
		if err := sender.Send(t.Context(), target, m); err != nil {
			t.Fatal(err)
		}
		if r.Method != http.MethodPost || r.UserAgent() != "Lastseen" {
			t.Errorf("got %s by %s", r.Method, r.UserAgent())
		}
	}
	header := func(name, want string) {
		t.Helper()
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}

	t.Run("webhook", func(t *testing.T) {
		send(target(t, "webhook", ":k3y@", server, "/hook?a=b"), signIn)
		if r.RequestURI != "/hook?a=b" {
			t.Errorf("got %s", r.RequestURI)
		}
		header("Content-Type", "application/json")
		header("Authorization", "")
		mac := hmac.New(sha256.New, []byte("k3y"))
		mac.Write(body)
		header("X-Lastseen-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		want := `{"id":"6b1f8a53-3f0d-4c5e-9a52-0b6d7c1e2f3a","title":"New sign-in of ada","text":` + quoted(signIn.Text) +
			`,"url":"https://id.example/sessions/f2b1d9c4-5c1e-4d7a-8f35-9f1f0a6d2b11","type":"sign_in","time":"2025-11-03T12:30:00Z","user":"ada",` +
			`"reasons":["new_device","new_country"],"session":"f2b1d9c4-5c1e-4d7a-8f35-9f1f0a6d2b11","device":"Firefox 140 on Linux","country":"Sweden",` +
			`"place":"Linköping, Sweden","network":"Bredband2 AB","address":"89.160.20.112"}`
		if string(body) != want {
			t.Errorf("got  %s\nwant %s", body, want)
		}
		send(target(t, "webhook", "ada:k3y@", server, "/"), signIn)
		header("X-Lastseen-Signature", "")
		if name, password, _ := r.BasicAuth(); name != "ada" || password != "k3y" {
			t.Errorf("got %s, %s", name, password)
		}
		send(target(t, "webhook", "", server, "/"), signIn)
		header("X-Lastseen-Signature", "")
		header("Authorization", "")
	})
	t.Run("ntfy", func(t *testing.T) {
		send(target(t, "ntfy", ":tk_1@", server, "/base/home"), signIn)
		if r.RequestURI != "/base/home" || string(body) != signIn.Text {
			t.Errorf("got %s, %s", r.RequestURI, body)
		}
		header("Authorization", "Bearer tk_1")
		header("Title", "New sign-in of ada")
		header("Priority", "4")
		header("Click", signIn.URL)
		send(target(t, "ntfy", "ada:k3y@", server, "/home"), signIn)
		if name, password, _ := r.BasicAuth(); name != "ada" || password != "k3y" {
			t.Errorf("got %s, %s", name, password)
		}
		strange := NewMessage(uuid.New(), Facts{Type: SignIn, User: "jürgen\r\nX-Injected: yes 😀 " + strings.Repeat("ö", 100)}, "https://id.example", 90)
		send(target(t, "ntfy", "", server, "/home"), strange)
		header("X-Injected", "")
		if title, err := new(mime.WordDecoder).DecodeHeader(r.Header.Get("Title")); err != nil || title != strange.Title {
			t.Errorf("got title %q, %v; want %q", title, err, strange.Title)
		}
	})
	t.Run("gotify", func(t *testing.T) {
		send(target(t, "gotify", "", server, "/base/t0ken"), signIn)
		if r.RequestURI != "/base/message" {
			t.Errorf("got %s", r.RequestURI)
		}
		header("X-Gotify-Key", "t0ken")
		var got struct {
			Title, Message string
			Priority       int
			Extras         map[string]map[string]map[string]string
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if got.Title != signIn.Title || got.Message != signIn.Text || got.Priority != 8 || got.Extras["client::notification"]["click"]["url"] != signIn.URL {
			t.Errorf("got %+v", got)
		}
	})
}

func quoted(s string) string { b, _ := json.Marshal(s); return string(b) }

// A receiver that is not well makes an error, which says what to do and nothing secret,
// and no more than SendWithin passes.
func TestSendFails(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	answer := func(h http.HandlerFunc) *httptest.Server {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s
	}
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() { // no HTTP: what it is sent it sends back
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); io.Copy(conn, io.LimitReader(conn, 40)) }()
		}
	}()
	release := make(chan struct{})
	defer close(release)
	for _, tt := range []struct {
		name, err string
		server    *httptest.Server
	}{
		{"an error", "answered 500 Internal Server Error", answer(func(w http.ResponseWriter, r *http.Request) { http.Error(w, r.URL.String(), 500) })},
		{"refused", "answered 403 Forbidden", answer(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.Header.Get("Authorization"), http.StatusForbidden)
		})},
		{"redirected", "redirects are not followed", answer(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		})},
		{"redirected to itself", "redirects are not followed", answer(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/hidden", http.StatusFound) })},
		{"dead", "refused", dead},
		{"no HTTP", "HTTP", &httptest.Server{URL: "http://" + echo.Addr().String()}},
		{"slow", "deadline", answer(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-release:
			}
		})},
		{"headers without an end", "", answer(func(w http.ResponseWriter, r *http.Request) {
			for i := range 20_000 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 50))
			}
		})},
	} {
		for _, kind := range []string{"webhook", "ntfy"} {
			t.Run(tt.name+" "+kind, func(t *testing.T) {
				ctx := t.Context()
				if tt.name == "slow" { // as SendWithin would, but soon
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
					defer cancel()
				}
				to := target(t, kind, ":t0ps3cret@", tt.server, "/hidden")
				err := NewSender(nil, "").Send(ctx, to, signIn)
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), to.host) {
					t.Errorf("got %v, want an error with %q and %s", err, tt.err, to.host)
				}
				if err != nil && (strings.Contains(err.Error(), "t0ps3cret") || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "\n")) {
					t.Errorf("the error has the path or secret in it, or several lines: %v", err)
				}
			})
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// What a receiver says is not read: a body without an end costs nothing.
func TestSendReadsNoBody(t *testing.T) {
	var wrote atomic.Int64
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		for range 1 << 20 {
			n, err := w.Write(make([]byte, 1<<10))
			wrote.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	defer server.Close()
	if err := NewSender(nil, "").Send(t.Context(), target(t, "webhook", "", server, "/"), signIn); err != nil {
		t.Fatal(err)
	}
	<-ended
	if n := wrote.Load(); n == 1<<30 {
		t.Error("the whole body was taken")
	}
}
