package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"lastseen/app/alert/smtptest"
)

// Targets are added, shown, tested and removed beside a running server, which sends to
// them without a restart; nothing that is secret of them is shown anywhere.
func TestAlertCommands(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.URL.Path+" "+string(body))
	}))
	defer hook.Close()
	host := strings.TrimPrefix(hook.URL, "http://")
	data := t.TempDir()
	run := func(want int, in string, args ...string) (out, errs string) {
		t.Helper()
		out, errs, status := execute(t, data, in, args...)
		if status != want {
			t.Fatalf("lastseen %s: exit status %d, want %d: %s%s", args, status, want, out, errs)
		}
		if strings.Contains(out+errs, "t0ps3cret") || strings.Contains(out+errs, "h1dden") {
			t.Errorf("lastseen %s: shows a secret: %s%s", args, out, errs)
		}
		return out, errs
	}
	run(0, "correct horse", "user", "create", "ada", "--password-file", "-")
	start(t, data)
	if out, _ := run(0, "", "alert", "list"); out != "" {
		t.Errorf("got %q", out)
	}
	id, _ := run(0, "", "alert", "add", "webhook+http://:t0ps3cret@"+host+"/h1dden")
	id = strings.TrimSpace(id)
	second, _ := run(0, "ntfy+http://:t0ps3cret@127.0.0.1:1/h1dden\n", "alert", "add", "--type", "sign_in,key_created", "-")
	second = strings.TrimSpace(second)
	out, _ := run(0, "", "alert", "list")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], id+" ") || !strings.Contains(lines[0], host) || !strings.Contains(lines[1], "127.0.0.1:1") || !strings.Contains(lines[1], "sign_in,key_created") {
		t.Errorf("got %s", out)
	}
	for status, wrong := range map[int][][]string{
		2: {{"alert", "add", "https://" + host + "/h1dden"}, {"alert", "add", "mailto:ada@home.example"}, {"alert", "add", "--type", "nonsense", "ntfy://h/t"}},
		1: {{"alert", "remove", "77"}, {"alert", "test", "77"}, {"alert", "test", second}, {"alert", "test"}},
	} {
		for _, args := range wrong {
			if _, errs := run(status, "", args...); errs == "" {
				t.Errorf("%s: says nothing", args)
			}
		}
	}
	run(2, "", "alert")
	run(2, "", "--alerts", "https://"+host+"/h1dden", "alert", "list")
	run(0, "", "alert", "test", id)
	run(0, "", "token", "create", "--user", "ada", "--identifier", "homepage")
	wait := func(what, want string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			mu.Lock()
			all := strings.Join(got, "\n")
			mu.Unlock()
			if strings.Contains(all, want) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s did not come: %s", what, all)
			}
		}
	}
	wait("the test", `"type":"test"`)
	wait("the key", `"type":"key_created"`)
	if out, _ := run(0, "", "doctor"); !strings.Contains(out, "Alerts") || !strings.Contains(out, "127.0.0.1:1") {
		t.Errorf("the doctor knows nothing of the dead target: %s", out)
	}
	run(0, "", "alert", "remove", second)
	if out, _ := run(0, "", "doctor"); strings.Contains(out, "127.0.0.1:1") {
		t.Errorf("the doctor speaks of a target that is gone: %s", out)
	}
	run(0, "", "--alerts", "webhook+http://"+host+"/h1dden", "alert", "list")
	if _, errs := run(1, "", "--alerts", "webhook+http://127.0.0.1:1/h1dden", "alert", "test"); !strings.Contains(errs, "127.0.0.1:1") {
		t.Errorf("got %s", errs)
	}
}

// Whoever has an address is told by mail of a sign-in on a device that they never used,
// unless they want none. The link in the mail does nothing by itself; what it leads to
// signs the stranger out, and asks for a new password.
func TestOwnMail(t *testing.T) {
	t.Parallel()
	mail := smtptest.Serve(t, &smtptest.Server{Auth: "lastseen:s3cret"})
	data := t.TempDir()
	if _, errs, status := execute(t, data, "correct horse", "user", "create", "ada", "--email", "ada@home.example", "--password-file", "-"); status != 0 {
		t.Fatal(errs)
	}
	p := start(t, data, "LASTSEEN_SMTP=smtp://lastseen:s3cret@"+mail.Addr, "LASTSEEN_MAIL_FROM=Lastseen <gate@home.example>")
	signIn := func(agent string) *http.Client {
		t.Helper()
		b := browser(t)
		b.Transport = agentOf(agent)
		if status := p.signIn(b, "ada", "correct horse"); status != http.StatusSeeOther {
			t.Fatalf("sign in: got %d", status)
		}
		return b
	}
	arrive := func(n int) smtptest.Mail {
		t.Helper()
		for range 1500 {
			if got := mail.Received(); len(got) >= n {
				return got[n-1]
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("mail %d did not come: %s", n, p.log())
		return smtptest.Mail{}
	}
	own := signIn("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0") // the first, which is silent
	stranger := signIn("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0")
	got := arrive(1)
	if !strings.HasPrefix(got.To, "TO:<ada@home.example>") || !strings.HasPrefix(got.From, "FROM:<gate@home.example>") || got.Header.Get("Subject") != "New sign-in of ada" {
		t.Errorf("got %+v", got)
	}
	path, ok := strings.CutPrefix(got.Text[strings.LastIndex(strings.TrimSpace(got.Text), "\n")+1:], p.url)
	path = strings.TrimSpace(path)
	if !ok || !strings.HasPrefix(path, "/sessions/") {
		t.Fatalf("no link to the session under %s: %s", p.url, got.Text)
	}
	if status, page := p.get(own, path); status != http.StatusOK || !strings.Contains(page, path+"/not-me") {
		t.Errorf("the page of the link: got %d without a way to say that it was not me: %s", status, page)
	}
	p.mustBe(stranger, http.StatusOK, "after the page was looked at")
	if status, _ := p.post(own, path+"/not-me", nil); status != http.StatusSeeOther {
		t.Errorf("this was not me: got %d", status)
	}
	p.mustBe(stranger, http.StatusForbidden, "after it was not me")
	if _, page := p.get(own, "/profile"); !strings.Contains(page, "Now choose a new password") || !strings.Contains(page, `id="password"`) {
		t.Errorf("nothing leads on to a new password: %s", page)
	}
	// With the switch off nothing comes: what does is of the one after it was on again.
	if status, _ := p.post(own, "/profile/alerts", url.Values{"listed": {"1"}, "type": {"sign_in"}}); status != http.StatusSeeOther {
		t.Fatalf("switch off: got %d", status)
	}
	signIn("curl/8.15.0")
	decided := false
	for range 500 {
		if out, _, _ := execute(t, data, "", "doctor"); strings.Contains(out, "Waiting to be sent: 0.") {
			decided = true
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !decided {
		t.Fatal("nobody decides whose mail it is:", p.log())
	}
	if status, _ := p.post(own, "/profile/alerts", url.Values{"listed": {"1"}, "mail": {"1"}, "type": {"sign_in"}}); status != http.StatusSeeOther {
		t.Fatalf("switch on: got %d", status)
	}
	signIn("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36")
	if got := arrive(2); !strings.Contains(got.Text, "Chrome 140 on Linux") {
		t.Errorf("want mail of the last sign-in alone, got %s", got.Text)
	}
}

// An agentOf sends requests with that User-Agent.
type agentOf string

func (a agentOf) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", string(a))
	return http.DefaultTransport.RoundTrip(req)
}
