package e2e

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastseen/db/pgtest"
)

// A site is one PostgreSQL and the machines that serve from it.
type site struct {
	t        *testing.T
	database *pgtest.Server
	url      string // of the database
	data     [2]string
	machines [2]*process
}

// newSite starts a PostgreSQL, and serves from it on two machines. What it says is done is on
// disk, as far as there is one.
func newSite(t *testing.T) *site {
	t.Helper()
	database := pgtest.NewServer(t)
	s := &site{t: t, database: database, url: database.URL + "&synchronous_commit=on", data: [2]string{t.TempDir(), t.TempDir()}}
	s.command("correct horse", "user", "create", "admin", "--superuser", "--password-file", "-")
	for i := range s.machines {
		s.start(i)
	}
	return s
}

func (s *site) start(i int) {
	s.machines[i] = start(s.t, s.data[i], "LASTSEEN_DATABASE="+s.url, "LASTSEEN_TRUSTED_PROXIES=127.0.0.1",
		"LASTSEEN_PUBLIC_URL=http://auth.home.example", "LASTSEEN_COOKIE_DOMAIN=home.example")
	p := s.machines[i]
	p.url = "http://" + regexp.MustCompile(`\baddress"?[:=]"?([0-9.:]+)`).FindStringSubmatch(p.log())[1]
}

// gateAsks is where nginx asks who may pass.
const gateAsks = "/outpost.goauthentik.io/auth/nginx"

// command runs one on the first machine, and returns what it prints.
func (s *site) command(input string, args ...string) string {
	s.t.Helper()
	cmd := command(s.t, []string{"LASTSEEN_DATA=" + s.data[0], "LASTSEEN_DATABASE=" + s.url}, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// ready waits until a machine is.
func (s *site) ready(p *process, within time.Duration) {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if got, _ := p.get(http.DefaultClient, "/-/health/ready/"); got == 200 {
			return
		}
		if time.Since(began) > within {
			s.t.Fatalf("it is not ready %v after the database is back: %s", within, p.log())
		}
	}
}

// What one machine ends, the other refuses next, and limits count on both together.
func TestTwoMachines(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	here, there := s.machines[0], s.machines[1]
	const rounds = 20
	person := browser(t)
	for i := range rounds {
		if i%2 == 1 {
			here, there = there, here
		}
		if got := here.signIn(person, "admin", "correct horse"); got != 303 {
			t.Fatalf("sign in: got %d", got)
		}
		base, err := url.Parse(here.url)
		if err != nil {
			t.Fatal(err)
		}
		token := ""
		for _, c := range person.Jar.Cookies(base) {
			if c.Name == "lastseen_session" {
				token = c.Value
			}
		}
		for path, want := range map[string]int{me: 200, gateAsks: 200} {
			if got, err := ask(there.url+path, token); got != want {
				t.Fatalf("signed in on one machine: %s is %d on the other, %v", path, got, err)
			}
		}
		if got := post(t, there, "/logout", "lastseen_session="+token); got != 303 {
			t.Fatalf("sign out: got %d", got)
		}
		for path, want := range map[string]int{me: 403, gateAsks: 401} {
			if got, err := ask(here.url+path, token); got != want {
				t.Errorf("signed out on one machine: %s is %d on the other, %v", path, got, err)
			}
		}
	}

	// Wrong passwords count on both together.
	s.command("correct horse", "user", "create", "bob", "--password-file", "-")
	for i := range 10 {
		s.machines[i%2].signIn(browser(t), "bob", "wrong")
	}
	for i, p := range s.machines {
		if got := p.signIn(browser(t), "bob", "correct horse"); got != 429 {
			t.Errorf("after ten wrong passwords on two machines: got %d on number %d", got, i)
		}
	}

	// Commands that are SQLite's say so, and nothing of it is in the data directories.
	for _, args := range [][]string{{"backup", t.TempDir() + "/b.db"}, {"restore", t.TempDir() + "/b.db"}} {
		cmd := command(t, []string{"LASTSEEN_DATA=" + s.data[0], "LASTSEEN_DATABASE=" + s.url}, args...)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "PostgreSQL") {
			t.Errorf("%s: %v: %s", args[0], err, out)
		}
	}
	for _, dir := range s.data {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.Contains(e.Name(), ".db") {
				t.Errorf("%s is in the data directory", e.Name())
			}
		}
	}
	if out := s.command("", "doctor"); !strings.Contains(out, "servers that use it: 2") {
		t.Errorf("doctor: %s", out)
	}
}

// A stopped instance is copied to PostgreSQL and back, whole: who was signed in still is.
func TestMove(t *testing.T) {
	t.Parallel()
	database := pgtest.NewServer(t)
	data, back := t.TempDir(), filepath.Join(t.TempDir(), "back")
	move := func(want int, args ...string) (string, string) {
		t.Helper()
		out, errs, status := execute(t, data, "", append([]string{"move"}, args...)...)
		if status != want {
			t.Fatalf("move %q: status %d: %s", args, status, errs)
		}
		return out, errs
	}
	for _, args := range [][]string{
		{"user", "create", "ada", "--superuser", "--group", "family", "--password-file", "-"},
		{"alert", "add", "ntfy://127.0.0.1:1/topic"},
		{"rule", "allow", "app.home.example", "--group", "family"},
	} {
		if _, errs, status := execute(t, data, "correct horse", args...); status != 0 {
			t.Fatalf("%q: %s", args, errs)
		}
	}
	key, _, _ := execute(t, data, "", "token", "create", "--user", "ada")
	p := start(t, data)
	ada := browser(t)
	if got := p.signIn(ada, "ada", "correct horse"); got != 303 {
		t.Fatalf("sign in: got %d", got)
	}
	base, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	cookie := ada.Jar.Cookies(base)[0].String()
	signedIn := func(p *process) {
		t.Helper()
		for _, header := range [][2]string{{"Cookie", cookie}, {"Authorization", "Bearer " + strings.TrimSpace(key)}} {
			if got, body := p.get(browser(t), me, header[0], header[1]); got != 200 {
				t.Errorf("by %s: got %d %s", header[0], got, body)
			}
		}
	}
	signedIn(p)
	if _, errs := move(1, database.URL); !strings.Contains(errs, "stop") {
		t.Errorf("beside a server: %s", errs)
	}
	_ = p.signal(syscall.SIGTERM)
	out, _ := move(0, database.URL)
	for _, line := range []string{`users\s+1`, `sessions\s+1`, `tokens\s+1`, `alert_targets\s+1`, `rules\s+1`} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(out) {
			t.Errorf("there is no line %s in %s", line, out)
		}
	}
	move(1, database.URL) // somebody is there by now

	p = start(t, data, "LASTSEEN_DATABASE="+database.URL)
	signedIn(p)
	if out, errs, _ := execute(t, data, "", "alert", "list", "--database", database.URL); !strings.Contains(out, "ntfy") {
		t.Errorf("targets of alerts: %s %s", out, errs)
	}
	if _, errs := move(1, "sqlite", "--database", database.URL, "--data", back); !strings.Contains(errs, "stop") {
		t.Errorf("beside a server: %s", errs)
	}
	_ = p.signal(syscall.SIGTERM)
	move(1, "sqlite", "--database", database.URL) // data has a database
	move(0, "sqlite", "--database", database.URL, "--data", back)
	signedIn(start(t, back))
}

// post sends an empty form with a cookie.
func post(t *testing.T, p *process, path, cookie string) int {
	t.Helper()
	req, err := http.NewRequest("POST", p.url+path, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", cookie)
	res, err := browser(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// TestNothingAnsweredIsLostOnPostgres kills machines, and every sixth time the database,
// while people sign in and out on both, and looks afterwards on both whether all that was
// answered holds. While the database is gone everything is refused. LASTSEEN_TEST_KILLS
// says how often.
func TestNothingAnsweredIsLostOnPostgres(t *testing.T) {
	t.Parallel()
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("LASTSEEN_TEST_KILLS")); err == nil {
		kills = n
	}
	s := newSite(t)
	said := &answered{alive: map[string]bool{}, revoked: map[string]bool{}, unsure: map[string]bool{}}
	crashes, checks := 0, 0
	var longest, back time.Duration
	for kill := range kills {
		stop := make(chan struct{})
		var wait sync.WaitGroup
		for _, p := range s.machines {
			wait.Go(func() { said.churn(p.url, stop) })
		}
		for before := said.count(); said.count() < before+6; {
			time.Sleep(10 * time.Millisecond)
		}
		if kill%6 == 5 {
			crashes++
			s.database.Stop(syscall.SIGQUIT)
			for range 4 {
				longest = max(longest, s.refused(said))
			}
			close(stop)
			wait.Wait()
			if err := s.database.Start(); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for _, p := range s.machines {
				s.ready(p, 25*time.Second)
			}
			back = max(back, time.Since(began))
		} else {
			_ = s.machines[kill%2].signal(syscall.SIGKILL)
			time.Sleep(50 * time.Millisecond) // the other one goes on
			close(stop)
			wait.Wait()
			s.start(kill % 2)
		}
		for _, p := range s.machines {
			checks += said.check(t, p)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", kill+1)
		}
	}
	t.Logf("%d kills of a server and %d of PostgreSQL; %d sessions alive, %d revoked, %d checks; refused within %v, ready after %v",
		kills-crashes, crashes, len(said.alive), len(said.revoked), checks, longest.Round(time.Millisecond), back.Round(time.Millisecond))
	if len(said.alive) == 0 || len(said.revoked) == 0 {
		t.Error("nothing was answered, so nothing was tested")
	}
}

// refused asks both machines for what somebody signed in may have, while there is no
// database, and says how long the longest answer took.
func (s *site) refused(said *answered) (longest time.Duration) {
	s.t.Helper()
	token := said.any()
	for _, p := range s.machines {
		for _, path := range []string{me, "/sessions", "/login", gateAsks, "/-/health/ready/"} {
			began := time.Now()
			res, err := ask(p.url+path, token)
			took := time.Since(began)
			longest = max(longest, took)
			if err != nil || res != http.StatusServiceUnavailable || took > 12*time.Second {
				s.t.Errorf("%s without a database: got %d after %v, %v", path, res, took, err)
			}
		}
	}
	return longest
}

func ask(to, token string) (status int, err error) {
	req, err := http.NewRequest("GET", to, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Cookie", "lastseen_session="+token)
	req.Header.Set("X-Original-URL", "http://app.home.example/")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, errors.Join(err, res.Body.Close())
}

// any is a token that is good.
func (a *answered) any() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for token := range a.alive {
		return token
	}
	return ""
}
