package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// totp is the code of a key, so many steps from now.
func totp(t *testing.T, key string, steps int64) string {
	t.Helper()
	secret, err := base32.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, secret)
	_ = binary.Write(mac, binary.BigEndian, time.Now().Unix()/30+steps)
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1000000)
}

func (p *process) post(b *http.Client, path string, form url.Values) (int, string) {
	p.t.Helper()
	res, err := b.PostForm(p.url+path, form)
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

// A code outlives nothing that it should not, and the key of the secrets goes where the
// operator says: a life with a second factor, over a kill, a lost key and two restores.
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	keyFile := filepath.Join(data, "lastseen.key")
	p := start(t, data, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse")
	b := browser(t)
	must := func(status int, want string, args ...string) string {
		t.Helper()
		out, errs, got := execute(t, data, "", args...)
		if got != status || !strings.Contains(out+errs, want) {
			t.Errorf("%v: got %d %s%s, want %d %q", args, got, out, errs, status, want)
		}
		return out
	}
	enter := func(b *http.Client, code string) int {
		t.Helper()
		if got := p.signIn(b, "admin", "correct horse"); got != 303 {
			t.Fatalf("the password: got %d", got)
		}
		status, _ := p.post(b, "/login/code", url.Values{"code": {code}})
		return status
	}
	if got := p.signIn(b, "admin", "correct horse"); got != 303 {
		t.Fatalf("sign in: got %d", got)
	}
	must(0, "no second factor", "user", "factors", "admin")
	if _, err := os.Stat(keyFile); err == nil {
		t.Error("there is a key that nobody needs")
	}
	_, page := p.get(b, "/profile/totp")
	key := regexp.MustCompile(`<code[^>]*>([A-Z2-7]{32})</code>`).FindStringSubmatch(page)
	if key == nil {
		t.Fatal(page)
	}
	form := url.Values{"name": {"Phone"}, "code": {totp(t, key[1], 0)}}
	for _, m := range regexp.MustCompile(`name="(factor|sealed)" value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		form.Set(m[1], m[2])
	}
	_, page = p.post(b, "/profile/totp", form)
	recovery := regexp.MustCompile(`<code>([A-Z2-7-]{19})</code>`).FindAllStringSubmatch(page, -1)
	if len(recovery) != 10 {
		t.Fatal(page)
	}
	if out := must(0, "", "user", "factors", "admin"); !regexp.MustCompile(`(?s)^totp +Phone .*\nrecovery +10 codes left .*\n$`).MatchString(out) {
		t.Errorf("got %q", out)
	}
	if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	bare, whole := filepath.Join(dir, "bare.db"), filepath.Join(dir, "whole.db")
	must(0, "the key of second factors is not in it", "backup", bare)
	must(0, "the key of second factors is in it", "backup", "--with-key", whole)
	secret, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	holdsKey := func(file string) bool {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(content, bytes.TrimSpace(secret))
	}
	if holdsKey(bare) || !holdsKey(whole) {
		t.Errorf("the key is in a backup without it: %v, in one with it: %v", holdsKey(bare), holdsKey(whole))
	}

	code := totp(t, key[1], 1)
	if got := enter(b, code); got != 303 {
		t.Errorf("the code: got %d", got)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	p = start(t, data)
	p.mustBe(b, 200, "after a kill")
	if got := enter(browser(t), code); got != 401 {
		t.Errorf("a code that was used before a kill: got %d", got)
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}

	if err := os.Rename(keyFile, filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	must(0, "cannot be checked, since their key is gone: admin", "restore", bare)
	must(1, "The codes of these cannot be checked", "doctor")
	p = start(t, data)
	if got := enter(browser(t), totp(t, key[1], 1)); got != 503 {
		t.Errorf("without the key: got %d", got)
	}
	if got := enter(browser(t), recovery[0][1]); got != 303 {
		t.Errorf("a recovery code without the key: got %d", got)
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}

	must(0, "the key of second factors came with it", "restore", whole)
	if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key that came: %v, %v", info, err)
	}
	if holdsKey(filepath.Join(data, "lastseen.db")) {
		t.Error("the key stays in the database")
	}
	p = start(t, data)
	if got := enter(b, totp(t, key[1], 1)); got != 303 {
		t.Errorf("with the key that came: got %d", got)
	}
	list := must(0, "", "session", "list", "--json")
	id := regexp.MustCompile(`"uuid": "([^"]+)"`).FindStringSubmatch(list)
	if id == nil {
		t.Fatal(list)
	}
	if out, _, _ := execute(t, data, "", "session", "show", id[1]); strings.Contains(out, "totp") {
		t.Errorf("the API says the method: %s", out)
	}
	must(0, "", "user", "factors", "reset", "admin")
	if got := p.signIn(b, "admin", "correct horse"); got != 303 {
		t.Errorf("after a reset: got %d", got)
	}
	p.mustBe(b, 200, "after a reset")
}
