package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every name is on standard output with what becomes of it, what is wrong on standard error
// with its line; a name that stands there twice is made once, and whoever has no password
// gets a link to choose one.
func TestImportCommand(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	file := filepath.Join(t.TempDir(), "users")
	const content = `ada:$2y$05$r/2Z3faonLmlsQy1imDgmOePSTBFPYre.l1leccZizOYgY6Zuz01a
broken
ADA:$2y$05$r/2Z3faonLmlsQy1imDgmOePSTBFPYre.l1leccZizOYgY6Zuz01a
otto:ubvRZwK0SwT0M
a b:x
bob:a:b:c
`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, data)
	link := ""
	for _, tt := range []struct {
		args      []string
		out, errs string
	}{
		{[]string{"--dry-run"}, "ada would be made|ADA refused|otto would be made, without a password|a b refused|bob refused|",
			"users that would be made: 2, here before: 0, refused: 4"},
		{nil, "ada made|ADA refused|otto made, without a password LINK|a b refused|bob refused|", "users made: 2, here before: 0, refused: 4"},
		{nil, "ada exists, left as it is|ADA refused|otto exists, left as it is|a b refused|bob refused|", "users made: 0, here before: 2, refused: 4"},
	} {
		out, errs, status := execute(t, data, "", append([]string{"import", "tinyauth", file}, tt.args...)...)
		if found := regexp.MustCompile(`http\S+/link/\S+`).FindString(out); found != "" {
			link = found
			out = strings.Replace(out, link, "LINK", 1)
		}
		if got := strings.NewReplacer("\t", " ", "\n", "|").Replace(out); got != tt.out || status != 1 {
			t.Errorf("%v: got %d %s, want %s", tt.args, status, got, tt.out)
		}
		rest := errs // in the order of the lines
		for _, want := range []string{"line 2: a user is NAME:HASH", "line 3: ADA: line 1 names them already", "line 5: a b: ", "line 6: bob: ", tt.errs} {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Errorf("%v: standard error lacks %q: %s", tt.args, want, errs)
			}
			rest = after
		}
	}
	_, path, _ := strings.Cut(strings.TrimPrefix(link, "http://"), "/")
	if status, body := p.get(browser(t), "/"+path); status != 200 || !strings.Contains(body, "otto") {
		t.Errorf("the link of somebody without a password: %d %.300s", status, body)
	}
	if got := p.signIn(browser(t), "ada", "hunter22secret"); got != 303 {
		t.Errorf("with the old password: got %d", got)
	}
}
