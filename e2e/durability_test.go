package e2e

import (
	"database/sql"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// answered is what the server said was done before it was killed.
type answered struct {
	mu      sync.Mutex
	alive   map[string]bool // tokens of sign-ins that were answered and not revoked
	revoked map[string]bool // tokens whose revocation was answered
	unsure  map[string]bool // tokens whose revocation was asked for but not answered
}

// TestNothingAnsweredIsLost kills the process again and again while people sign
// in and out and are changed, and looks after each kill whether all that was
// answered holds, and nothing that was not is half there. LASTSEEN_TEST_KILLS
// says how often.
func TestNothingAnsweredIsLost(t *testing.T) {
	t.Parallel()
	kills := 4
	if n, err := strconv.Atoi(os.Getenv("LASTSEEN_TEST_KILLS")); err == nil {
		kills = n
	}
	data := t.TempDir()
	said := &answered{alive: map[string]bool{}, revoked: map[string]bool{}, unsure: map[string]bool{}}
	accounts := []*account{{name: "ada"}, {name: "bob"}}
	for i, a := range accounts {
		_, errs, status := execute(t, data, a.password(0), "user", "create", a.name, "--superuser", "--password-file", "-")
		if status != 0 {
			t.Fatal(errs)
		}
		a.id = int64(i + 1)
		a.was.Active, a.coming.Active = true, true
	}
	if _, errs, status := execute(t, data, "correct horse", "user", "create", "admin", "--superuser", "--password-file", "-"); status != 0 {
		t.Fatal(errs)
	}
	checks := 0
	for kill := range kills {
		p := start(t, data)
		checks += said.check(t, p)
		stop := make(chan struct{})
		var wait sync.WaitGroup
		for range 2 {
			wait.Go(func() { said.churn(p.url, stop) })
		}
		changeAll(t, p, accounts, stop, &wait)
		for before := said.count(); said.count() < before+6; { // on however slow a machine
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		_ = p.signal(syscall.SIGKILL)
		close(stop)
		wait.Wait()

		conn, err := sql.Open("sqlite", "file:"+filepath.Join(data, "lastseen.db"))
		if err != nil {
			t.Fatal(err)
		}
		checkWhole(t, conn)
		for _, a := range accounts {
			a.check(t, conn)
			checks++
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", kill+1)
		}
	}
	p := start(t, data)
	checks += said.check(t, p)
	changes := 0
	for _, a := range accounts {
		changes += a.was.Updates + a.was.Password + a.was.RuleMakes
		if got := p.signIn(browser(t), a.name, a.password(a.was.Password)); a.was.Active && got != http.StatusSeeOther {
			t.Errorf("%s, with the password that was set last: got %d", a.name, got)
		}
	}
	t.Logf("%d kills; %d sessions alive, %d revoked, %d changes to users, %d checks", kills, len(said.alive), len(said.revoked), changes, checks)
	if len(said.alive) == 0 || len(said.revoked) == 0 || changes == 0 {
		t.Error("nothing was answered, so nothing was tested")
	}
}

func (a *answered) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.alive) + len(a.revoked)
}

// churn signs in, and revokes every other session, until it is told to stop or
// the server is gone.
func (a *answered) churn(base string, stop chan struct{}) {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		res, err := client.PostForm(base+"/login", url.Values{"username": {"admin"}, "password": {"correct horse"}})
		if err != nil {
			return
		}
		res.Body.Close()
		if res.StatusCode != http.StatusSeeOther {
			continue
		}
		token := res.Cookies()[0].Value
		a.mu.Lock()
		a.alive[token] = true
		a.mu.Unlock()
		if i%2 == 0 {
			continue
		}
		a.mu.Lock()
		delete(a.alive, token)
		a.unsure[token] = true
		a.mu.Unlock()
		req, err := http.NewRequest("POST", base+"/logout", strings.NewReader(""))
		if err != nil {
			return
		}
		req.Header.Set("Cookie", "lastseen_session="+token)
		res, err = client.Do(req)
		if err != nil {
			return
		}
		res.Body.Close()
		if res.StatusCode != http.StatusSeeOther {
			continue // there is no database
		}
		a.mu.Lock()
		delete(a.unsure, token)
		a.revoked[token] = true
		a.mu.Unlock()
	}
}

// check asks for every session whether it is as the server last said.
func (a *answered) check(t *testing.T, p *process) (checks int) {
	t.Helper()
	for want, tokens := range map[int]map[string]bool{200: a.alive, 403: a.revoked} {
		for token := range tokens {
			checks++
			if got, _ := p.get(browser(t), me, "Cookie", "lastseen_session="+token); got != want {
				t.Errorf("an answered session is %d after a kill, want %d", got, want)
			}
		}
	}
	return checks
}
