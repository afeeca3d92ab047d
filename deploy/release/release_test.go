package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// built is a dist folder with this machine's program, and for other machines as much of one
// as it takes to be packed.
func built(t *testing.T) string {
	t.Helper()
	dist := t.TempDir()
	host := filepath.Join(dist, "lastseen-"+runtime.GOOS+"-"+runtime.GOARCH)
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", host, ".")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, arch := range []string{"amd64", "arm64", "armv7"} {
		name := filepath.Join(dist, "lastseen-linux-"+arch)
		if name == host {
			continue
		}
		err := os.WriteFile(name, []byte("\x7fELF of "+arch), 0o755)
		if arch == "amd64" { // which is asked for what is linked
			err = errors.Join(os.Remove(name), os.Link(host, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dist
}

func TestRelease(t *testing.T) {
	dist := built(t)
	r := release{source: "../..", dist: dist, version: "1.2.3", time: time.Unix(1_790_000_000, 0).UTC()}
	sums := map[string]bool{}
	for range 2 {
		r.extra = nil
		if err := r.make(); err != nil {
			t.Fatal(err)
		}
		sum, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums[string(sum)] = true
	}
	if len(sums) != 1 {
		t.Errorf("the second time other bytes: %v", sums)
	}
	for _, want := range []string{
		"lastseen-1.2.3-linux-armv7.tar.gz", "lastseen_1.2.3_amd64.deb", "lastseen_1.2.3_arm64.deb", "lastseen_1.2.3_armhf.deb",
		"lastseen-1.2.3-1.x86_64.rpm", "lastseen-1.2.3-1.aarch64.rpm", "lastseen-1.2.3-1.armv7hl.rpm", "lastseen-1.2.3-oci.tar", "lastseen-1.2.3.cdx.json",
	} {
		for sum := range sums {
			if !strings.Contains(sum, "  "+want+"\n") {
				t.Errorf("SHA256SUMS lacks %s", want)
			}
		}
	}
	t.Run("deb", func(t *testing.T) {
		tryDeb(t, filepath.Join(dist, "lastseen_1.2.3_"+map[string]string{"amd64": "amd64", "arm64": "arm64", "arm": "armhf"}[runtime.GOARCH]+".deb"))
	})
	t.Run("installed", func(t *testing.T) {
		tryInstalled(t, filepath.Join(dist, "lastseen_1.2.3_"+map[string]string{"amd64": "amd64", "arm64": "arm64", "arm": "armhf"}[runtime.GOARCH]+".deb"))
	})
	t.Run("image", func(t *testing.T) { tryImage(t, filepath.Join(dist, "lastseen-1.2.3-oci.tar")) })
	t.Run("load", func(t *testing.T) { tryLoad(t, filepath.Join(dist, "lastseen-1.2.3-oci.tar")) })
	t.Run("bill", func(t *testing.T) {
		content, err := os.ReadFile(filepath.Join(dist, "lastseen-1.2.3.cdx.json"))
		if err != nil || !bytes.Contains(content, []byte(`"pkg:golang/modernc.org/sqlite@`)) {
			t.Errorf("got %.300s, %v", content, err)
		}
	})
}

// tryDeb unpacks a package into a root of its own and runs what is in it.
func tryDeb(t *testing.T, path string) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		if os.Getenv("LASTSEEN_TEST_REQUIRE") == "1" {
			t.Fatal("dpkg-deb is missing")
		}
		t.Skip("dpkg-deb is missing, of the package dpkg")
	}
	root := t.TempDir()
	if out, err := exec.Command("dpkg-deb", "-x", path, root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for file, mode := range map[string]os.FileMode{
		"usr/bin/lastseen": 0o755, "etc/lastseen/lastseen.env": 0o600, "usr/lib/systemd/system/lastseen.service": 0o644,
		"usr/lib/sysusers.d/lastseen.conf": 0o644, "usr/share/man/man8/lastseen.8.gz": 0o644, "usr/share/bash-completion/completions/lastseen": 0o644,
	} {
		if info, err := os.Stat(filepath.Join(root, file)); err != nil || info.Mode().Perm() != mode || info.Size() == 0 {
			t.Errorf("%s: got %v, %v, want mode %v", file, info, err, mode)
		}
	}
	unit, err := os.ReadFile(filepath.Join(root, "usr/lib/systemd/system/lastseen.service"))
	if err != nil || !bytes.Contains(unit, []byte("ExecStart=/usr/bin/lastseen serve")) || !bytes.Contains(unit, []byte("EnvironmentFile=-/etc/lastseen/lastseen.env")) {
		t.Errorf("the unit is %s, %v", unit, err)
	}
	program := filepath.Join(root, "usr/bin/lastseen")
	data := filepath.Join(root, "data")
	create := exec.Command(program, "--data", data, "user", "create", "ada", "--superuser", "--password-file", "-")
	create.Stdin = strings.NewReader("correct horse battery\n")
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command(program, "--data", data, "user", "list").Output(); err != nil || !bytes.Contains(out, []byte("ada")) {
		t.Errorf("got %s, %v", out, err)
	}
	settings, err := os.ReadFile(filepath.Join(root, "etc/lastseen/lastseen.env"))
	if err != nil || !bytes.Contains(settings, []byte("\n#LASTSEEN_PUBLIC_URL=\n")) {
		t.Errorf("settings: %s, %v", settings, err)
	}
	for line := range strings.SplitSeq(string(settings), "\n") {
		if line != "" && line[0] != '#' {
			t.Errorf("the settings set %q", line)
		}
	}
	for script, want := range map[string]string{"postinst": "systemd-sysusers", "prerm": "disable --now", "postrm": "rm -rf /var/lib/lastseen"} {
		out, err := exec.Command("dpkg-deb", "--ctrl-tarfile", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := member(t, out, "./"+script); !strings.Contains(got, want) {
			t.Errorf("%s: got %q", script, got)
		}
	}
}

// inCopy runs a script as root in $ROOT, a copy of this machine's files that is thrown
// away: what is written there is kept in memory, and nobody else sees it.
const inCopy = `set -e
mount -t tmpfs tmpfs "$DIR" && mkdir "$DIR/up" "$DIR/work" "$DIR/root" || exit 77
mount -t overlay -o "lowerdir=/,upperdir=$DIR/up,workdir=$DIR/work" overlay "$DIR/root" || exit 77
ROOT=$DIR/root
cp "$DEB" "$ROOT/lastseen.deb"
`

// tryInstalled installs a package with dpkg, serves as its user, signs in, and removes it.
func tryInstalled(t *testing.T, deb string) {
	if _, err := exec.LookPath("dpkg"); err != nil || os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("no Debian, or nobody who may install")
	}
	script := func(text string) *exec.Cmd {
		c := exec.Command("unshare", "--mount", "sh", "-c", inCopy+text)
		c.Env = []string{"PATH=" + os.Getenv("PATH"), "DIR=" + t.TempDir(), "DEB=" + deb, "DEBIAN_FRONTEND=noninteractive"}
		return c
	}
	out, err := script(`chroot "$ROOT" sh -c '
		dpkg -i lastseen.deb && test -d /var/lib/lastseen && dpkg -i lastseen.deb && echo x >>/etc/lastseen/lastseen.env &&
		dpkg -r lastseen && test -d /var/lib/lastseen && test -f /etc/lastseen/lastseen.env &&
		dpkg -P lastseen && ! test -e /var/lib/lastseen && ! test -e /etc/lastseen && ! getent passwd lastseen'`).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 77 {
		t.Skipf("cannot mount: %s", out)
	}
	if err != nil {
		t.Fatalf("install, install again, remove and purge: %v: %s", err, out)
	}
	var server *exec.Cmd
	tryServer(t, func(args ...string) *exec.Cmd {
		environ := []string{"env", "-i", "LASTSEEN_DATA=/var/lib/lastseen", "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse", "LASTSEEN_BOOTSTRAP_TOKEN=a-token-of-the-test-alone", "lastseen"}
		if args[0] != "serve" { // beside the server, in the same copy
			return exec.Command("chroot", slices.Concat([]string{"--userspec=lastseen:lastseen", fmt.Sprintf("/proc/%d/root", server.Process.Pid)}, environ, args)...)
		}
		server = script(`chroot "$ROOT" dpkg -i lastseen.deb >/dev/null; exec chroot --userspec=lastseen:lastseen "$ROOT" "$@"`)
		server.Args = slices.Concat(server.Args, []string{"sh"}, environ, args)
		return server
	})
}

// member is the content of a file in a tar.
func member(t *testing.T, packed []byte, name string) string {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(packed))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == name {
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(content)
		}
	}
}

// tryLoad has podman load an image, as docs say, where there is podman.
func tryLoad(t *testing.T, path string) {
	if _, err := exec.LookPath("podman"); err != nil || os.Getuid() != 0 {
		t.Skip("no podman, or nobody who may unpack what it loads")
	}
	store := t.TempDir()
	out, err := exec.Command("podman", "--storage-driver=vfs", "--root="+store+"/root", "--runroot="+store+"/run", "load", "-i", path).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("localhost/lastseen:latest")) {
		t.Errorf("podman load: %v: %s", err, out)
	}
}

// tryImage follows the layout from its index to the programs, by their digests.
func tryImage(t *testing.T, path string) {
	packed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := member(t, packed, "oci-layout"); !strings.Contains(got, `"1.0.0"`) {
		t.Errorf("oci-layout: %q", got)
	}
	type descriptor struct {
		Digest   string
		Platform struct{ Architecture, Variant string }
	}
	read := func(digest string, into any) []byte {
		t.Helper()
		sum := strings.TrimPrefix(digest, "sha256:")
		content := []byte(member(t, packed, "blobs/sha256/"+sum))
		if got := sha256.Sum256(content); hex.EncodeToString(got[:]) != sum {
			t.Fatalf("%s: not there, or another", digest)
		}
		if into != nil {
			if err := json.Unmarshal(content, into); err != nil {
				t.Fatal(err)
			}
		}
		return content
	}
	var index, platforms struct{ Manifests []descriptor }
	if err := json.Unmarshal([]byte(member(t, packed, "index.json")), &index); err != nil || len(index.Manifests) != 1 {
		t.Fatalf("index: %+v, %v", index, err)
	}
	read(index.Manifests[0].Digest, &platforms)
	if len(platforms.Manifests) != 3 {
		t.Fatalf("platforms: %+v", platforms)
	}
	for _, p := range platforms.Manifests {
		var manifest struct {
			Config descriptor
			Layers []descriptor
		}
		read(p.Digest, &manifest)
		var c struct {
			Architecture string
			Config       struct {
				User       string
				Entrypoint []string
			}
		}
		read(manifest.Config.Digest, &c)
		if c.Architecture != p.Platform.Architecture || c.Config.User != "65532:65532" || len(c.Config.Entrypoint) != 1 || len(manifest.Layers) != 1 {
			t.Errorf("%s: %+v with %d layers", p.Platform.Architecture, c, len(manifest.Layers))
		}
		z, err := gzip.NewReader(bytes.NewReader(read(manifest.Layers[0].Digest, nil)))
		if err != nil {
			t.Fatal(err)
		}
		layer, err := io.ReadAll(z)
		if err != nil || !strings.HasPrefix(member(t, layer, "lastseen"), "\x7fELF") {
			t.Errorf("%s: no program in the layer, %v", p.Platform.Architecture, err)
		}
	}
}

func TestPackageVersion(t *testing.T) {
	for described, want := range map[string]string{"v1.2.3": "1.2.3", "v1.2.3-4-gabcdef": "1.2.3+4.gabcdef", "dev": "0.0.0~c0ffee", "v1.2.3-dirty": "1.2.3+dirty"} {
		if got := packageVersion(described, "c0ffee"); got != want {
			t.Errorf("%s: got %s, want %s", described, got, want)
		}
	}
}
