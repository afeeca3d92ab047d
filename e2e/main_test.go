// Package e2e tests the whole program beside real proxies, disks and kills.
package e2e

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// The program, built once for all tests: plain for commands, and for serve with
// the race detector where the tests have it.
var (
	plain, server string
	race          bool
)

// TestMain runs the tests at the top of the checkout.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "lastseen-e2e-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if err := errors.Join(os.Chdir(".."), build(dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// build makes the program. Where GOCOVERDIR is set, it counts there what it runs.
func build(dir string) error {
	// The tests do not import the program, so go test would take it for unchanged:
	// this reads every directory, and has it look at every file.
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if path == ".git" || path == "bin" || path == "dist" {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		return err
	}
	compile := func(name, cgo string, args ...string) (string, error) {
		file := filepath.Join(dir, name)
		args = append([]string{"build", "-buildvcs=false", "-o", file}, args...)
		if os.Getenv("GOCOVERDIR") != "" {
			args = append(args, "-cover", "-coverpkg=./...")
		}
		cmd := exec.Command("go", append(args, ".")...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
		}
		return file, nil
	}
	if plain, err = compile("lastseen", "0", "-trimpath"); err != nil || !race {
		server = plain
		return err
	}
	flags := strings.Fields(os.Getenv("RACE")) // the Makefile's, which compiled the packages of the tests
	if len(flags) == 0 {
		flags = []string{"-race"}
	}
	server, err = compile("lastseen-race", "1", flags...)
	return err
}

// command is the program with arguments and environment.
func command(t *testing.T, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	file := plain
	if len(args) > 0 && args[0] == "serve" {
		file = server
	}
	cmd := exec.Command(file, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GOCOVERDIR=" + os.Getenv("GOCOVERDIR"), "GORACE=" + os.Getenv("GORACE")}, environ...)
	return cmd
}

// execute runs a command to its end.
func execute(t *testing.T, data, input string, args ...string) (out, errs string, status int) {
	t.Helper()
	cmd := command(t, []string{"LASTSEEN_DATA=" + data}, args...)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	mu     sync.Mutex
	stderr bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// start serves as a process of its own on a free port.
func start(t *testing.T, data string, environ ...string) *process {
	t.Helper()
	return launch(t, command(t, environ, "serve", "--data", data, "--listen", "127.0.0.1:0"))
}

// launch runs a server, and waits until it listens.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd}
	p.cmd.Stderr = p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	address := regexp.MustCompile(`\bmsg"?[:=]"?listening\b.*\burl"?[:=]"?(http[^" ]+)`)
	for range 500 {
		if m := address.FindStringSubmatch(p.log()); m != nil {
			p.url = m[1]
			return p
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("it does not listen:", p.log())
	return nil
}

func (p *process) signal(s os.Signal) error {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	return p.cmd.Wait()
}

func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (p *process) signIn(b *http.Client, name, password string) int {
	p.t.Helper()
	res, err := b.PostForm(p.url+"/login", url.Values{"username": {name}, "password": {password}})
	if err != nil {
		p.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func (p *process) get(b *http.Client, path string, header ...string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequest("GET", p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := b.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

const me = "/api/v3/core/users/me/"

func (p *process) mustBe(b *http.Client, want int, when string) {
	p.t.Helper()
	u, err := url.Parse(p.url)
	if err != nil {
		p.t.Fatal(err)
	}
	// Cookies do not know ports, so the jar's cookie of the first run is sent.
	if got, body := p.get(b, me); got != want {
		p.t.Errorf("%s: got %d %s from %s, want %d", when, got, body, u.Host, want)
	}
}
