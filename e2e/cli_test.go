package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// Help of every command fits in 80 columns, begins with the command's own options, and has
// the settings at serve and at the root alone.
func TestHelpOfAll(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	heads := regexp.MustCompile(`(?m)^   ([a-z-]+)  `)
	var all func(words []string) int
	all = func(words []string) int {
		out, errs, status := execute(t, data, "", append(words, "--help")...)
		if status != 0 || errs != "" {
			t.Errorf("%v --help: %d %s", words, status, errs)
		}
		if again, _, _ := execute(t, data, "", append([]string{"help"}, words...)...); again != out {
			t.Errorf("help %v prints %s", words, again)
		}
		for line := range strings.SplitSeq(out, "\n") {
			if utf8.RuneCountInString(line) > 80 {
				t.Errorf("%v --help: wider than 80 columns: %s", words, line)
			}
		}
		settings := len(words) == 0 || words[0] == "serve"
		if strings.Contains(out, "--trusted-proxies") != settings {
			t.Errorf("%v --help: has the settings: %v", words, !settings)
		}
		n := 1
		_, commands, _ := strings.Cut(out, "\nCOMMANDS:\n")
		commands, _, _ = strings.Cut(commands, "\n\n")
		for _, m := range heads.FindAllStringSubmatch(commands, -1) {
			n += all(append(words[:len(words):len(words)], m[1]))
		}
		return n
	}
	if n := all(nil); n < 40 {
		t.Errorf("%d commands were found", n)
	}
}

// What is mistyped is met with what is near, what is missing with its name.
func TestNearest(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if _, errs, status := execute(t, data, "correct horse", "user", "create", "ada", "--password-file", "-"); status != 0 {
		t.Fatal(errs)
	}
	for line, want := range map[string]string{
		"user create ada --gruop x":   "there is no flag --gruop (did you mean `--group`?)",
		"serve --listn :9000":         "did you mean `--listen`?",
		"sesion list":                 "did you mean `session`?",
		"session lst":                 "did you mean `list`?",
		"help sesion":                 "did you mean `session`?",
		"remove ada":                  "there is no command `lastseen remove`; see",
		"session revoke --zzzzzzzzzz": "there is no flag --zzzzzzzzzz; see",
		"rule allow":                  "HOST is missing; usage: lastseen rule allow HOST",
		"rule allow a.example":        "--group is missing; usage: lastseen rule allow HOST --group G",
		"token create":                "--user is missing; usage: lastseen token create --user NAME",
		"token create ada":            `"ada" is too much; usage: lastseen token create --user NAME`,
		"version foo":                 `"foo" is too much; usage: lastseen version`,
		"alert list foo":              `"foo" is too much`,
		"completion bash foo":         `"foo" is too much`,
		"session list --user --json":  "--user: a value is missing before --json",
		"user create ada --group a --group --superuser": "--group: a value is missing before --superuser",
		"user list --data --json":                       "--data: a value is missing before --json",
		"session list --user":                           "flag needs an argument: --user",
		"user delete":                                   "NAME is missing",
		"user delete a b":                               `"b" is too much`,
	} {
		if _, errs, status := execute(t, data, "", strings.Fields(line)...); status != 2 || !strings.Contains(errs, want) {
			t.Errorf("%s: got %d %s, want %s", line, status, errs, want)
		}
	}
	if out, _, status := execute(t, data, "", "--version"); status != 0 || !strings.HasPrefix(out, "lastseen ") {
		t.Errorf("--version: got %d %s", status, out)
	}
}

// Completion knows commands, flags, and what there is in the data; bash needs nothing but itself.
func TestCompletion(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for _, name := range []string{"ada", "a@x.example", "bob"} {
		if _, errs, status := execute(t, data, "correct horse", "user", "create", name, "--group", "family", "--password-file", "-"); status != 0 {
			t.Fatal(errs)
		}
	}
	if _, errs, status := execute(t, data, "", "token", "create", "--user", "ada", "--identifier", "backup-script"); status != 0 {
		t.Fatal(errs)
	}
	if _, errs, status := execute(t, data, "", "user", "invite", "zoe"); status != 0 {
		t.Fatal(errs)
	}
	rule, _, _ := execute(t, data, "", "rule", "allow", "wiki.example", "--group", "family")
	for line, want := range map[string]string{
		"se":                                "serve|session",
		"session r":                         "revoke|revoke-all",
		"user disable a":                    "a@x.example|ada",
		"user delete a@":                    "a@x.example",
		"user group add ada ":               "family",
		"session list --user b":             "bob",
		"session list --user=b":             "--user=bob",
		"session list --u":                  "--user",
		"user list --j":                     "--json",
		"token delete ":                     "backup-script",
		"rule delete ":                      strings.TrimSpace(rule),
		"user links delete ":                "1",
		"token create ":                     "",
		"rule allow x ":                     "",
		"proxy-snippet tr":                  "traefik|traefik-labels",
		"proxy-snippet caddy --app ":        "wiki.example",
		"import a":                          "authelia|authentik",
		"serve --gate-default ":             "allow|deny",
		"--data /nonexistent user disable ": "",
		"user disable ada ":                 "",
	} {
		cmd := command(t, []string{"LASTSEEN_DATA=" + data, "LASTSEEN_APPS=wiki.example"}, append([]string{"__complete"}, strings.Split(line, " ")...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for found := range strings.Lines(string(out)) {
			text, _, _ := strings.Cut(strings.TrimSpace(found), "\t")
			words = append(words, text)
		}
		if got := strings.Join(words, "|"); got != want {
			t.Errorf("%q: got %s, want %s", line, got, want)
		}
	}
	bash := program(t, "", "bash")
	bin := t.TempDir()
	if err := os.Symlink(plain, filepath.Join(bin, "lastseen")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ line, words, want string }{
		{"lastseen user disable a", "lastseen user disable a", "a@x.example ada"},
		{"lastseen user disable a@x", "lastseen user disable a @ x", "x.example"},
		{"lastseen user disable a@", "lastseen user disable a @", "x.example"},
		{"lastseen session list --user=b", "lastseen session list --user = b", "bob"},
		{"lastseen geo", "lastseen geo", "geoip"},
	} {
		cmd := exec.Command(bash, "--norc", "-c", `source <(lastseen completion bash)
			COMP_LINE=$1; COMP_POINT=${#1}; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lastseen; echo "${COMPREPLY[*]}"`, "bash", tt.line)
		cmd.Args = append(cmd.Args, strings.Fields(tt.words)...)
		cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "LASTSEEN_DATA=" + data}
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != tt.want {
			t.Errorf("bash, %s: got %s, %v, want %s", tt.line, out, err, tt.want)
		}
	}
}

// The doctor judges what the server was given, whatever the shell that asks has.
func TestDoctorOfTheServer(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := start(t, data, "LASTSEEN_PUBLIC_URL=https://auth.home.example", "LASTSEEN_SMTP=smtp://user:secret-of-mail@127.0.0.1:1", "LASTSEEN_BACKUP_EVERY=1h")
	doctor := func(args ...string) string {
		t.Helper()
		cmd := command(t, []string{"LASTSEEN_DATA=" + data, "LASTSEEN_PUBLIC_URL=http://shell.example"}, append([]string{"doctor"}, args...)...)
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	out := doctor()
	for _, want := range []string{"By the settings that the server was started with", "https://auth.home.example", "--smtp, which is secret"} {
		if !strings.Contains(out, want) {
			t.Errorf("beside the server: %q is not in %s", want, out)
		}
	}
	if strings.Contains(out, "shell.example") || strings.Contains(read(t, filepath.Join(data, "settings.json")), "secret-of-mail") {
		t.Errorf("the shell's settings, or a secret: %s", out)
	}
	if out := doctor("--public-url", "https://flag.example"); !strings.Contains(out, "https://flag.example") {
		t.Errorf("a flag of its own: %s", out)
	}
	if err := p.signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if out := doctor(); !strings.Contains(out, "shell.example") || strings.Contains(out, "By the settings") {
		t.Errorf("after the server: %s", out)
	}
}
