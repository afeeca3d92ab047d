// Release makes what people install of the binaries that `make release` has built:
// tarballs, packages for Debian's and Red Hat's kin, an OCI image, a list of what is in
// it all, and the sums. The same commit makes the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"lastseen/app/config"
)

// A release is what is made of one commit.
type release struct {
	source, dist string
	version      string // 1.2.3, without the v of its tag; 0.0.0~ and the commit between releases
	time         time.Time
	extra        []file // goes with every binary
}

// A file is one that is put somewhere.
type file struct {
	path    string // in a tarball; packages have places of their own
	mode    int64
	content []byte
}

func main() {
	source := flag.String("source", "../..", "the `folder` of the source")
	dist := flag.String("dist", "../../dist", "the `folder` with the binaries, lastseen-GOOS-ARCH")
	version := flag.String("version", "dev", "as `git describe` says")
	commit := flag.String("commit", "unknown", "of the source")
	epoch := flag.Int64("epoch", 0, "when the commit was made, in `seconds` since 1970")
	flag.Parse()
	r := release{source: *source, dist: *dist, version: packageVersion(*version, *commit), time: time.Unix(*epoch, 0).UTC()}
	if err := r.make(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// packageVersion is a version that packages can be compared by: v1.2.3 is 1.2.3, and
// v1.2.3-4-gabc, four commits later, 1.2.3+4.gabc.
func packageVersion(described, commit string) string {
	v, ok := strings.CutPrefix(described, "v")
	if !ok {
		return "0.0.0~" + commit
	}
	number, rest, _ := strings.Cut(v, "-")
	if rest != "" {
		number += "+" + strings.ReplaceAll(rest, "-", ".")
	}
	return number
}

func (r *release) make() error {
	binaries, err := filepath.Glob(filepath.Join(r.dist, "lastseen-[a-z]*"))
	binaries = slices.DeleteFunc(binaries, func(path string) bool { // what is made of them has their names
		return strings.Contains(strings.TrimSuffix(filepath.Base(path), ".exe"), ".")
	})
	if err != nil || len(binaries) == 0 {
		return errors.Join(err, fmt.Errorf("no binaries in %s", r.dist))
	}
	if err := r.gather(); err != nil {
		return err
	}
	for _, binary := range binaries {
		if err := r.tarball(binary); err != nil {
			return fmt.Errorf("%s: %w", binary, err)
		}
	}
	for _, arch := range []string{"amd64", "arm64", "armv7"} {
		if err := r.packages(arch); err != nil {
			return fmt.Errorf("packages for %s: %w", arch, err)
		}
	}
	if err := r.image(); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if err := r.bill(); err != nil {
		return fmt.Errorf("bill of materials: %w", err)
	}
	return r.sums()
}

// gather makes the files that go with the binaries.
func (r *release) gather() error {
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md", "deploy/lastseen.service"} {
		content, err := os.ReadFile(filepath.Join(r.source, name))
		if err != nil {
			return err
		}
		r.extra = append(r.extra, file{filepath.Base(name), 0o644, content})
	}
	r.extra = append(r.extra, file{"lastseen.env", 0o600, environment()})
	for shell, name := range map[string]string{"bash": "lastseen.bash", "zsh": "_lastseen", "fish": "lastseen.fish"} {
		script, err := r.run("completion", shell)
		if err != nil {
			return err
		}
		r.extra = append(r.extra, file{"completions/" + name, 0o644, script})
	}
	page, err := r.manual()
	if err != nil {
		return err
	}
	licences, err := r.licences()
	if err != nil {
		return err
	}
	r.extra = append(r.extra, file{"lastseen.8", 0o644, page}, file{"LICENSES.txt", 0o644, licences})
	slices.SortFunc(r.extra, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return nil
}

// get is one of the files that go with every binary.
func (r *release) get(path string) []byte {
	i := slices.IndexFunc(r.extra, func(f file) bool { return f.path == path })
	return r.extra[i].content
}

// run runs the binary that was built for this machine.
func (r *release) run(args ...string) ([]byte, error) {
	c := exec.Command(filepath.Join(r.dist, "lastseen-"+runtime.GOOS+"-"+runtime.GOARCH), args...)
	c.Env = []string{"HOME=/nonexistent", "PATH=/nonexistent"} // nobody's settings
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("lastseen %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

// environment is a file of settings in which each is a comment.
func environment() []byte {
	var b bytes.Buffer
	b.WriteString("# Settings of lastseen; restart it after a change. What is not set here has its default.\n")
	for _, s := range config.Settings {
		value := s.Default
		switch s.Env {
		case "LASTSEEN_DATA":
			continue // the unit's
		}
		fmt.Fprintf(&b, "\n# %s\n#%s=%s\n", strings.ReplaceAll(s.Usage, "`", ""), s.Env, value)
		if s.Secret {
			fmt.Fprintf(&b, "#%s_FILE=\n", s.Env)
		}
	}
	return b.Bytes()
}

// manual is the manual page: what the program says of itself.
func (r *release) manual() ([]byte, error) {
	escape := strings.NewReplacer(`\`, `\e`, "\n.", "\n\\&.", "\n'", "\n\\&'", "-", `\-`)
	root, err := r.run("--help")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, ".TH LASTSEEN 8 %q \"lastseen %s\"\n.SH NAME\nlastseen \\- sign-in, session list and forward-auth gate for the apps of a small server\n", r.time.Format(time.DateOnly), r.version)
	fmt.Fprintf(&b, ".SH DESCRIPTION\n.nf\n%s\n.fi\n", escape.Replace("\n" + string(root))[1:])
	_, commands, _ := strings.Cut(string(root), "\nCOMMANDS:\n")
	commands, _, _ = strings.Cut(commands, "\n\n")
	for line := range strings.SplitSeq(commands, "\n") {
		names := strings.Fields(line)
		if len(names) == 0 || !strings.HasPrefix(line, "   ") || strings.HasPrefix(line, "    ") {
			continue
		}
		name := strings.TrimSuffix(names[0], ",")
		if name == "help" {
			continue
		}
		help, err := r.run(name, "--help")
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, ".SH %s\n.nf\n%s\n.fi\n", strings.ToUpper(name), escape.Replace("\n" + string(help))[1:])
	}
	return []byte(b.String()), nil
}

// licences are the texts of those of all modules that are linked.
func (r *release) licences() ([]byte, error) {
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}", ".")
	list.Dir = r.source
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the modules: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	var b bytes.Buffer
	for _, line := range slices.Compact(lines) {
		if line == "" {
			continue
		}
		parts := strings.SplitN(line, " ", 3)
		files, err := filepath.Glob(filepath.Join(parts[2], "*"))
		if err != nil {
			return nil, err
		}
		found := false
		for _, path := range files {
			name := strings.ToUpper(filepath.Base(path))
			if !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") && !strings.HasPrefix(name, "NOTICE") {
				continue
			}
			content, err := os.ReadFile(path)
			if err != nil {
				continue // a folder of them
			}
			found = true
			fmt.Fprintf(&b, "==== %s %s: %s\n\n%s\n\n", parts[0], parts[1], filepath.Base(path), bytes.TrimSpace(content))
		}
		if !found {
			return nil, fmt.Errorf("%s has no licence file", parts[0])
		}
	}
	return b.Bytes(), nil
}

// tarball packs a binary with all that goes with it.
func (r *release) tarball(binary string) error {
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	platform := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(binary), "lastseen-"), ".exe")
	name := "lastseen-" + r.version + "-" + platform
	program := "lastseen"
	if strings.HasSuffix(binary, ".exe") {
		program += ".exe"
	}
	packed, err := pack(r.time, name+"/", append([]file{{program, 0o755, content}}, r.extra...))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dist, name+".tar.gz"), packed, 0o644)
}

// pack makes a compressed tar of files below a folder, owned by root.
func pack(at time.Time, folder string, files []file) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	for _, f := range files {
		if err := t.WriteHeader(&tar.Header{Name: folder + f.path, Mode: f.mode, Size: int64(len(f.content)), ModTime: at, Format: tar.FormatPAX, Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := t.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// sums writes the SHA-256 of all that was made.
func (r *release) sums() error {
	entries, err := os.ReadDir(r.dist)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, e := range entries {
		if e.Name() == "SHA256SUMS" || e.IsDir() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(r.dist, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	return os.WriteFile(filepath.Join(r.dist, "SHA256SUMS"), b.Bytes(), 0o644)
}
