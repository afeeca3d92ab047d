package alert

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// What ntfy itself says that it got, where LASTSEEN_TEST_NTFY names its program: by a token
// and by a password, and nothing without.
func TestNtfy(t *testing.T) {
	program := os.Getenv("LASTSEEN_TEST_NTFY")
	if program == "" {
		t.Skip("LASTSEEN_TEST_NTFY names no ntfy")
	}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	config := filepath.Join(dir, "server.yml")
	err = os.WriteFile(config, fmt.Appendf(nil, "base-url: http://%[1]s\nlisten-http: %[1]s\ncache-file: %[2]s/cache.db\nauth-file: %[2]s/user.db\nauth-default-access: deny-all\n", addr, dir), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ntfy := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "NTFY_PASSWORD=k3y")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
		return string(out)
	}
	serve := exec.Command(program, "serve", "--config", config)
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { serve.Process.Kill(); serve.Wait() })
	for n := 0; ; n++ {
		if res, err := http.Get("http://" + addr + "/v1/health"); err == nil {
			res.Body.Close()
			break
		} else if n == 200 {
			t.Fatal("it does not listen: ", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	ntfy("user", "--config", config, "add", "--role=admin", "ada")
	token := regexp.MustCompile(`tk_\w+`).FindString(ntfy("token", "--config", config, "add", "ada"))
	if token == "" {
		t.Fatal("it makes no token")
	}

	strange := NewMessage(uuid.New(), Facts{Type: SignIn, User: "jürgen\r\nX: y 😀 " + strings.Repeat("ö", 100), Time: time.Now()}, "https://id.example", 90)
	for i, tt := range []struct {
		as      string
		message Message
		refused bool
	}{
		{":" + token + "@", signIn, false},
		{"ada:k3y@", signIn, false},
		{":" + token + "@", strange, false},
		{":" + token + "@", NewMessage(uuid.New(), Facts{Type: Test, Time: time.Now()}, "https://id.example", 90), false},
		{"", signIn, true},
		{":tk_" + strings.Repeat("a", 29) + "@", signIn, true},
		{"ada:other@", signIn, true},
	} {
		topic := fmt.Sprint("alerts", i)
		to, err := ParseTarget("ntfy+http://" + tt.as + addr + "/" + topic)
		if err != nil {
			t.Fatal(err)
		}
		err = NewSender(nil, "").Send(t.Context(), to, tt.message)
		if (err != nil) != tt.refused {
			t.Errorf("%d: got %v, want it refused: %v", i, err, tt.refused)
		}
		req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/"+topic+"/json?poll=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("ada", "k3y")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		type published struct {
			Event, Title, Message, Click string
			Priority                     int // 0 may stand for 3, its own
		}
		var got, want []published
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			var p published
			if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
				t.Fatalf("%s: %v", lines.Text(), err)
			}
			got = append(got, p)
		}
		if !tt.refused {
			want = []published{{"message", tt.message.Title, tt.message.Text, tt.message.URL, tt.message.priority()}}
		}
		for i := range got {
			if got[i].Priority == 0 {
				got[i].Priority = 3
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d: it got\n%+v\nwant\n%+v", i, got, want)
		}
	}
}
