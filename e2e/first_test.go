package e2e

import (
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A server without a browser of its own prints a link that another machine can open, and
// says where databases of places go.
func TestFirstMinutesFromElsewhere(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	p := &process{t: t, cmd: command(t, nil, "serve", "--data", data, "--listen", ":0")}
	p.cmd.Stderr = p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.signal(syscall.SIGTERM) }()
	for try := 0; try < 500 && !strings.Contains(p.log(), `"listening"`); try++ {
		time.Sleep(20 * time.Millisecond)
	}
	links := regexp.MustCompile(`(?m)^  (http://\S+)/setup\?token=(\S+)$`).FindAllStringSubmatch(p.log(), -1)
	if len(links) == 1 {
		t.Skip("this machine has no address but its own")
	}
	if len(links) != 2 {
		t.Fatalf("links: %v in %s", links, p.log())
	}
	elsewhere, err := url.Parse(links[1][1])
	if err != nil {
		t.Fatal(err)
	}
	if ip, err := netip.ParseAddr(elsewhere.Hostname()); err != nil || ip.IsLoopback() {
		t.Errorf("the second link is to %s, which another machine cannot reach", elsewhere)
	}
	res, err := browser(t).PostForm(links[1][1]+"/setup", url.Values{"token": {links[1][2]}, "username": {"ada"}, "password": {"correct horse"}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 303 {
		t.Errorf("setting up from elsewhere: got %d", res.StatusCode)
	}
	note := filepath.Join(data, "geoip", "README.txt")
	if !strings.Contains(read(t, note), "GeoLite2-City.mmdb") {
		t.Error("the note does not name the files")
	}
}

// "make install" puts the program and all that goes with it where PREFIX and DESTDIR say.
func TestMakeInstall(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	cmd := exec.Command(program(t, "", "make"), "install", "PROGRAM="+plain, "PREFIX=/opt/lastseen", "DESTDIR="+root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var files []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, infoErr := d.Info()
			files, err = append(files, strings.TrimPrefix(path, root+"/opt/lastseen/")+" "+info.Mode().String()), infoErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `bin/lastseen -rwxr-xr-x
lib/systemd/system/lastseen.service -rw-r--r--
share/bash-completion/completions/lastseen -rw-r--r--
share/fish/vendor_completions.d/lastseen.fish -rw-r--r--
share/zsh/site-functions/_lastseen -rw-r--r--`
	if got := strings.Join(files, "\n"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if unit := read(t, root+"/opt/lastseen/lib/systemd/system/lastseen.service"); !strings.Contains(unit, "\nExecStart=/opt/lastseen/bin/lastseen serve\n") {
		t.Errorf("the unit starts another program: %s", unit)
	}
	if out, err := exec.Command(root+"/opt/lastseen/bin/lastseen", "version").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
