package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A demonstration is `lastseen demo`, with what it printed.
type demonstration struct {
	*process
	username, password, token string
	temp                      string // where temporary files are
}

var fourLines = regexp.MustCompile(`^url: (\S+)\nusername: (\S+)\npassword: (\S+)\ntoken: (\S+)\n$`)

func startDemo(t *testing.T) *demonstration {
	t.Helper()
	d := &demonstration{temp: t.TempDir()}
	cmd := command(t, []string{"LASTSEEN_DATA=/nowhere", "LASTSEEN_PUBLIC_URL=nonsense", "LASTSEEN_APPS=*.home.example", "TMPDIR=" + d.temp},
		"demo", "--listen", "127.0.0.1:0")
	d.process = &process{t: t, cmd: cmd}
	cmd.Stderr = d.process
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var text [4096]byte
	n, err := io.ReadAtLeast(out, text[:], 40)
	if err != nil {
		t.Fatal(err, d.log())
	}
	lines := fourLines.FindStringSubmatch(string(text[:n]))
	if lines == nil {
		t.Fatalf("got %q, want four lines", text[:n])
	}
	d.url, d.username, d.password, d.token = lines[1], lines[2], lines[3], lines[4]
	for !strings.Contains(d.log(), "Ctrl-C") { // which is printed right afterwards
		time.Sleep(5 * time.Millisecond)
	}
	return d
}

// stop ends it as a closing terminal does, which may tell a process and its group.
func (d *demonstration) stop() {
	d.t.Helper()
	end := syscall.SIGHUP
	if signal.Ignored(end) {
		end = syscall.SIGTERM
	}
	if err := errors.Join(d.cmd.Process.Signal(end), d.cmd.Process.Signal(end)); err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Error(err)
	}
	if left, _ := os.ReadDir(d.temp); len(left) != 0 {
		d.t.Errorf("left behind: %v", left)
	}
}

// visitor is a browser that finds names in localhost, and goes where it is led.
func visitor(t *testing.T) *http.Client {
	b := browser(t)
	b.CheckRedirect = nil
	b.Transport = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if _, port, err := net.SplitHostPort(addr); err == nil {
			addr = net.JoinHostPort("127.0.0.1", port)
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	t.Cleanup(b.CloseIdleConnections)
	return b
}

// open asks for a URL, and tells where that leads.
func open(t *testing.T, b *http.Client, target string, header ...string) (status int, at *url.URL, body string) {
	t.Helper()
	req, err := http.NewRequest("GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := b.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Request.URL, string(content)
}

func TestDemo(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	if log := strings.TrimRight(d.log(), "\n"); !strings.Contains(log[strings.LastIndex(log, "\n")+1:], "Open "+d.url) {
		t.Errorf("the last line does not say what to open:\n%s", log)
	}
	if got := d.signIn(browser(t), d.username, d.password); got != 303 {
		t.Errorf("sign in: got %d", got)
	}
	status, body := d.get(browser(t), "/api/v3/core/authenticated_sessions/?page_size=1000", "Authorization", "Bearer "+d.token)
	if continents := map[string]bool{}; status == 200 {
		for _, m := range regexp.MustCompile(`"continent":"(..)"`).FindAllStringSubmatch(body, -1) {
			continents[m[1]] = true
		}
		if count := strings.Count(body, `"uuid"`); count < 150 || len(continents) < 5 || strings.Contains(body, `"lat":null`) {
			t.Errorf("%d sessions from %v", count, continents)
		}
	} else {
		t.Errorf("list: got %d %s", status, body)
	}
	d.stop()
}

// The demo's apps are guarded as any are: by the gate, over HTTP.
func TestDemoApps(t *testing.T) {
	d := startDemo(t)
	found := regexp.MustCompile(`http://(notes|photos)\.localhost:\d+`).FindAllString(d.log(), -1)
	if len(found) != 2 {
		t.Fatalf("no apps in\n%s", d.log())
	}
	notes, photos, b := found[0], found[1], visitor(t)

	status, at, body := open(t, b, notes+"/about", "X-Authentik-Username", "mallory")
	if status != 200 || at.String() != notes+"/about" || strings.Contains(body, "mallory") || strings.Contains(body, "Username") {
		t.Errorf("an open path: got %d at %s %s", status, at, body)
	}
	if status, _, _ := open(t, b, notes, "Host", "notes.example"); status != http.StatusMisdirectedRequest {
		t.Errorf("under a name that is not the app's: got %d, want 421", status)
	}
	status, at, body = open(t, b, notes+"/page?x=1")
	if status != 200 || at.Path != "/login" || !strings.HasPrefix(at.String(), d.url) {
		t.Fatalf("signed out: got %d at %s %s, want the sign-in page", status, at, body)
	}
	form := url.Values{"username": {d.username}, "password": {d.password}, "rd": at.Query()["rd"], "state": at.Query()["state"]}
	res, err := b.PostForm(d.url+"/login", form)
	if err != nil {
		t.Fatal(err)
	}
	content, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if at := res.Request.URL.String(); res.StatusCode != 200 || at != notes+"/page?x=1" || !strings.Contains(string(content), "Ada Lovelace") {
		t.Fatalf("after the sign-in: got %d at %s %s, want the app's page", res.StatusCode, at, content)
	}
	if status, at, body := open(t, b, photos); status != 403 || !strings.HasPrefix(at.String(), photos) || strings.Contains(body, "album") {
		t.Errorf("an app for a group: got %d at %s %s, want 403", status, at, body)
	}
	if res, err = b.PostForm(d.url+"/users/1/groups", url.Values{"groups": {"family"}}); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if status, at, body := open(t, b, photos); status != 200 || !strings.Contains(body, "album") || !strings.Contains(body, "family") {
		t.Errorf("as a member: got %d at %s %s", status, at, body)
	}

	// No page shows a time that is none.
	seen, pages := map[string]bool{}, []string{"/sessions", "/sessions?view=everybody", "/sessions?view=everybody&state=all", "/sessions/export.json", "/sessions/export.csv",
		"/profile", "/events", "/tokens", "/users", "/rules", "/doctor", "/users/2"}
	link := regexp.MustCompile(`href="(/sessions/[0-9a-f-]{36})"`)
	hosts := false
	for len(pages) > 0 {
		page := pages[0]
		pages = pages[1:]
		if seen[page] || len(seen) > 60 {
			continue
		}
		seen[page] = true
		status, _, body := open(t, b, d.url+page)
		if status != 200 || strings.Contains(body, "0001-01-01") || strings.Contains(body, "January 1,") {
			t.Errorf("%s: got %d, or the year 1 in %s", page, status, body)
		}
		hosts = hosts || strings.Contains(body, "photos.localhost") && strings.HasPrefix(page, "/sessions/")
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			pages = append(pages, m[1])
		}
	}
	if !hosts {
		t.Errorf("of %d pages no session's shows the hosts that it reached", len(seen))
	}
	if strings.Contains(d.log(), "0001-01-01") {
		t.Errorf("the year 1 in\n%s", d.log())
	}

	_, body = d.get(b, "/api/v3/core/authenticated_sessions/?page_size=1000&user__username=ada")
	current := regexp.MustCompile(`"uuid":"([^"]+)","current":true`).FindStringSubmatch(body)
	if current == nil {
		t.Fatalf("no session is the caller's own in %.2000s", body)
	}
	req, _ := http.NewRequest("DELETE", d.url+"/api/v3/core/authenticated_sessions/"+current[1]+"/", nil)
	req.Header.Set("Authorization", "Bearer "+d.token)
	if res, err = http.DefaultClient.Do(req); err != nil || res.StatusCode != 204 {
		t.Fatalf("revoke: %v %v", res, err)
	}
	res.Body.Close()
	for _, app := range []string{notes, photos} {
		if _, at, body := open(t, b, app); at.Path != "/login" {
			t.Errorf("%s after that: got %s %s, want the sign-in page", app, at, body)
		}
	}
	d.stop()
	for _, app := range []string{notes, photos, d.url} {
		if res, err := b.Get(app); err == nil {
			res.Body.Close()
			t.Errorf("%s still answers", app)
		}
	}
}
