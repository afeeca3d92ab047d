package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// typedNames are names that would fake a line, or hide one, in a careless log.
var typedNames = []string{
	"ada", "nobody", "two words", "",
	`x" ip=203.0.113.9 why="wrong password"`,
	`x ip=203.0.113.9 why=wrong`,
	"x\nlevel=WARN msg=\"sign-in refused\" user=x ip=203.0.113.9 why=\"wrong password\"",
	"x\r\n" + `time=2026-11-23T18:57:52.000Z level=WARN msg="sign-in refused" user=x ip=203.0.113.9 why="wrong password"`,
	`x","ip":"203.0.113.9","why":"wrong password"}`,
	`x\`, `x\"`, `x\\" ip=203.0.113.9 why="unknown user"`,
	"x\x00\x1b[2Jy", "\xff\xfe", "a\u2028b\u202ec", strings.Repeat("ä", 4000),
	`{"time":"2026-11-23T18:57:52Z","level":"WARN","msg":"sign-in refused","user":"x","ip":"203.0.113.9","why":"unknown user"}`,
}

// refusals are the log lines, in text or JSON, that the real program writes for
// sign-ins by typedNames, each once, and for other things that carry strange text.
func refusals(t *testing.T, format string) (file string) {
	data := t.TempDir()
	if _, errs, status := execute(t, data, "correct horse\n", "user", "create", "ada", "--password-file", "-"); status != 0 {
		t.Fatal(errs)
	}
	p := start(t, data, "LASTSEEN_LOG_FORMAT="+format)
	for _, name := range typedNames {
		req, err := http.NewRequest("POST", p.url+"/login?"+url.QueryEscape(name), strings.NewReader(url.Values{"username": {name}, "password": {"wrong"}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("User-Agent", `msg="sign-in refused" user=x ip=203.0.113.9 why="wrong password"`)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 401 {
			t.Fatalf("%q: got %d, want 401", name, res.StatusCode)
		}
		p.get(browser(t), "/"+url.PathEscape(name), "X-Forwarded-For", "203.0.113.9", "Authorization", `Bearer x ip=203.0.113.9`)
	}
	file = filepath.Join(t.TempDir(), "lastseen.log")
	if err := os.WriteFile(file, []byte(p.log()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFail2banReadsRefusals(t *testing.T) {
	t.Parallel()
	regex := program(t, "", "fail2ban-regex")
	for _, format := range []string{"text", "json"} {
		file := refusals(t, format)
		out, err := exec.Command(regex, "--out", "ip", file, "deploy/fail2ban/filter.d/lastseen.conf").CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", format, err, out)
		}
		if got, want := strings.Count(string(out), "127.0.0.1"), len(typedNames); got != want || strings.Contains(string(out), "203.0.113.9") {
			t.Errorf("%s: found\n%s\nwant 127.0.0.1 %d times and nothing else in\n%s", format, out, want, read(t, file))
		}
		// The same as syslog keeps it.
		var lines []string
		for line := range strings.Lines(read(t, file)) {
			lines = append(lines, "Nov 23 18:57:52 nas lastseen[42]: "+line)
		}
		if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err = exec.Command(regex, "--out", "ip", file, "deploy/fail2ban/filter.d/lastseen.conf").CombinedOutput()
		if got := strings.Count(string(out), "127.0.0.1"); err != nil || got != len(typedNames) || strings.Contains(string(out), "203.0.113.9") {
			t.Errorf("%s from syslog: found\n%s, %v", format, out, err)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// CrowdSec, where it is installed, or below LASTSEEN_TEST_CROWDSEC (its package
// asks its vendor for an account, so no test installs it): twenty refusals from an
// address are one alert.
func TestCrowdSecReadsRefusals(t *testing.T) {
	root := os.Getenv("LASTSEEN_TEST_CROWDSEC")
	crowdsec := filepath.Join(root, "/usr/bin/crowdsec")
	if _, err := os.Stat(crowdsec); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	write("config.yaml", fmt.Sprintf(`common: {daemonize: false, log_media: stdout, working_dir: .}
config_paths:
  config_dir: %[1]s
  data_dir: %[1]s
  simulation_path: %[1]s/simulation.yaml
  hub_dir: %[1]s/hub
  index_path: %[1]s/hub/.index.json
  notification_dir: %[1]s
  plugin_dir: %[1]s
crowdsec_service: {acquisition_path: %[1]s/acquis.yaml, parser_routines: 1}
db_config: {type: sqlite, db_path: %[1]s/crowdsec.db}
prometheus: {enabled: false}
api:
  client: {credentials_path: %[1]s/credentials.yaml}
  server: {listen_uri: "%[2]s", profiles_path: %[1]s/profiles.yaml}
`, dir, listener.Addr()))
	write("simulation.yaml", "simulation: false\n")
	write("acquis.yaml", "")
	write("credentials.yaml", "")
	write("profiles.yaml", "name: none\nfilters: [\"false\"]\non_success: break\n")
	write("hub/.index.json", read(t, filepath.Join(root, "/usr/share/crowdsec/hub/.index.json")))
	write("dump/here", "")
	write("parsers/s02-enrich/date.yaml", read(t, filepath.Join(root, "/usr/share/crowdsec/hub/parsers/s02-enrich/crowdsecurity/dateparse-enrich.yaml")))
	// As CrowdSec's own parser of what is not syslog.
	write("parsers/s00-raw/any.yaml", `filter: "true"
onsuccess: next_stage
name: any
statics:
  - {parsed: message, expression: evt.Line.Raw}
  - {parsed: program, expression: evt.Line.Labels.type}
`)
	for _, name := range []string{"parsers/s01-parse/lastseen.yaml", "scenarios/lastseen-bf.yaml"} {
		write(name, read(t, "deploy/crowdsec/"+name))
	}
	patterns, err := filepath.Glob(filepath.Join(root, "/etc/crowdsec/patterns/*"))
	if err != nil || patterns == nil {
		t.Fatal("no patterns", err)
	}
	for _, path := range patterns {
		write("patterns/"+filepath.Base(path), read(t, path))
	}
	out, err := exec.Command(filepath.Join(root, "/usr/bin/cscli"), "-c", dir+"/config.yaml", "machines", "add", "test", "-p", "not a secret", "-f", dir+"/credentials.yaml", "-u", "http://"+listener.Addr().String()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, format := range []string{"text", "json"} {
		content := read(t, refusals(t, format))
		write("lastseen.log", content+content)
		out, err := exec.Command(crowdsec, "-c", dir+"/config.yaml", "-dsn", "file://"+dir+"/lastseen.log", "-type", "lastseen", "-dump-data", dir+"/dump").CombinedOutput()
		alerts := regexp.MustCompile(`Ip (\S+) performed 'lastseen/bf' \(20 events`).FindAllStringSubmatch(string(out), -1)
		if len(alerts) != 1 || alerts[0][1] != "127.0.0.1" {
			t.Errorf("%s: got alerts %v, %v\n%s", format, alerts, err, out)
		}
		if poured := read(t, dir+"/dump/bucketpour-dump.yaml"); strings.Count(poured, "source_ip: 127.0.0.1") < 2*len(typedNames) || strings.Contains(poured, "source_ip: 203.0.113.9") {
			t.Errorf("%s: counted %s", format, poured)
		}
	}
}
