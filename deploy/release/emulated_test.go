package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The programs for other processors run, where qemu's user emulation can run them: somebody
// signs in, and the API knows of it. Each is tried on the least processor that it is for.
func TestEmulated(t *testing.T) {
	if testing.Short() {
		t.Skip("to compile for four processors takes minutes")
	}
	for _, tt := range []struct {
		platform, qemu, cpu string
		environ             []string
	}{
		{"arm64", "qemu-aarch64-static", "cortex-a53", []string{"GOARCH=arm64"}},
		{"armv7", "qemu-arm-static", "cortex-a7", []string{"GOARCH=arm", "GOARM=7"}},
		{"armv6", "qemu-arm-static", "arm1176", []string{"GOARCH=arm", "GOARM=6"}},
		{"riscv64", "qemu-riscv64-static", "rv64", []string{"GOARCH=riscv64"}},
	} {
		t.Run(tt.platform, func(t *testing.T) {
			qemu, err := exec.LookPath(tt.qemu)
			if err != nil {
				t.Skip(tt.qemu + " is missing, of the package qemu-user-static")
			}
			dir := t.TempDir()
			program := filepath.Join(dir, "lastseen")
			build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", program, ".")
			build.Dir, build.Env = "../..", append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux"), tt.environ...)
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			command := func(args ...string) *exec.Cmd {
				c := exec.Command(qemu, append([]string{"-cpu", tt.cpu, program, "--data", filepath.Join(dir, "data")}, args...)...)
				c.Env = []string{"LASTSEEN_BOOTSTRAP_PASSWORD=correct horse", "LASTSEEN_BOOTSTRAP_TOKEN=a-token-of-the-test-alone"}
				return c
			}
			tryServer(t, command)
		})
	}
}

// An output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// tryServer serves, signs in, asks the API and the command line, and stops.
func tryServer(t *testing.T, command func(args ...string) *exec.Cmd) {
	t.Helper()
	var log output
	server := command("serve", "--listen", "127.0.0.1:0")
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	defer func() { _ = server.Process.Kill() }()
	listening := regexp.MustCompile(`"msg":"listening".*"url":"([^"]+)"`)
	at := ""
	for at == "" {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v: %s", err, &log)
		case <-time.After(50 * time.Millisecond):
		}
		if m := listening.FindStringSubmatch(log.String()); m != nil {
			at = m[1]
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := browser.PostForm(at+"/login", url.Values{"username": {"admin"}, "password": {"correct horse"}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		t.Fatalf("signing in: got %d", res.StatusCode)
	}
	request, err := http.NewRequest("GET", at+"/api/v3/core/authenticated_sessions/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer a-token-of-the-test-alone")
	if res, err = http.DefaultClient.Do(request); err != nil {
		t.Fatal(err)
	}
	var page struct {
		Results []struct {
			LastIP string `json:"last_ip"`
		}
	}
	err = json.NewDecoder(res.Body).Decode(&page)
	res.Body.Close()
	if err != nil || len(page.Results) != 1 || page.Results[0].LastIP != "127.0.0.1" {
		t.Errorf("the API says %+v, %v", page, err)
	}
	if out, err := command("session", "list").CombinedOutput(); err != nil || !strings.Contains(string(out), "admin") {
		t.Errorf("session list: %v: %s", err, out)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it stopped with %v: %s", err, &log)
	}
}
