package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// The scripts of packages. Those of Debian get a word, those of Red Hat a number: of how
// many versions are left.
const (
	afterInstall = `#!/bin/sh
set -e
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers lastseen.conf
elif ! getent passwd lastseen >/dev/null; then
	useradd --system --home-dir /var/lib/lastseen --shell /usr/sbin/nologin lastseen
fi
install -d -m 0700 -o lastseen -g lastseen /var/lib/lastseen
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ "$1" = 1 ] || { [ "$1" = configure ] && [ -z "$2" ]; }; then
		systemctl enable --now lastseen || true
	else
		systemctl try-restart lastseen || true
	fi
fi
`
	beforeRemove = `#!/bin/sh
set -e
case "$1" in
remove|0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now lastseen || true
	fi
	;;
esac
`
	afterRemove = `#!/bin/sh
set -e
if [ "$1" = purge ]; then
	rm -rf /var/lib/lastseen /etc/lastseen
	if getent passwd lastseen >/dev/null; then
		userdel lastseen || true
	fi
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
`
	sysusers = "u lastseen - \"Lastseen\" /var/lib/lastseen /usr/sbin/nologin\n"
	tmpfiles = "d /var/lib/lastseen 0700 lastseen lastseen -\n"
)

// unit is the unit for a packaged program.
func (r *release) unit() []byte {
	_, unit, _ := strings.Cut(string(r.get("lastseen.service")), "\n\n") // without how to install it by hand
	return []byte(strings.Replace(unit, "/usr/local/bin/", "/usr/bin/", 1))
}

// packages makes those of an architecture.
func (r *release) packages(arch string) error {
	scripts, err := os.MkdirTemp("", "lastseen-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scripts)
	n := 0
	put := func(content []byte) string { // nfpm reads files alone
		n++
		path := filepath.Join(scripts, string(rune('a'+n)))
		if err == nil {
			err = os.WriteFile(path, content, 0o600)
		}
		return path
	}
	binary := filepath.Join(r.dist, "lastseen-linux-"+arch)
	var manual bytes.Buffer
	z, _ := gzip.NewWriterLevel(&manual, gzip.BestCompression)
	if _, err := z.Write(r.get("lastseen.8")); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	for format, zsh := range map[string]string{"deb": "/usr/share/zsh/vendor-completions/_lastseen", "rpm": "/usr/share/zsh/site-functions/_lastseen"} {
		content := func(source, to string, mode os.FileMode, kind string) *files.Content {
			return &files.Content{Source: source, Destination: to, Type: kind, FileInfo: &files.ContentFileInfo{Mode: mode, MTime: r.time, Owner: "root", Group: "root"}}
		}
		info := nfpm.WithDefaults(&nfpm.Info{
			Name: "lastseen", Arch: strings.Replace(arch, "armv7", "arm7", 1), Platform: "linux", Version: r.version, VersionSchema: "none",
			Maintainer: "Lastseen", License: "MIT", Section: "net", Priority: "optional", MTime: r.time,
			Description: "Sign-in, session list and forward-auth gate for the apps of a small server",
			Overridables: nfpm.Overridables{
				Contents: files.Contents{
					content(binary, "/usr/bin/lastseen", 0o755, ""),
					content(put(r.unit()), "/usr/lib/systemd/system/lastseen.service", 0o644, ""),
					content(put([]byte(sysusers)), "/usr/lib/sysusers.d/lastseen.conf", 0o644, ""),
					content(put([]byte(tmpfiles)), "/usr/lib/tmpfiles.d/lastseen.conf", 0o644, ""),
					content(put(r.get("lastseen.env")), "/etc/lastseen/lastseen.env", 0o600, files.TypeConfigNoReplace),
					content(put(r.get("completions/lastseen.bash")), "/usr/share/bash-completion/completions/lastseen", 0o644, ""),
					content(put(r.get("completions/_lastseen")), zsh, 0o644, ""),
					content(put(r.get("completions/lastseen.fish")), "/usr/share/fish/vendor_completions.d/lastseen.fish", 0o644, ""),
					content(put(manual.Bytes()), "/usr/share/man/man8/lastseen.8.gz", 0o644, ""),
					content(put(r.get("LICENSE")), "/usr/share/doc/lastseen/copyright", 0o644, ""),
					content(put(r.get("LICENSES.txt")), "/usr/share/doc/lastseen/LICENSES.txt", 0o644, ""),
					content(put(r.get("CHANGELOG.md")), "/usr/share/doc/lastseen/CHANGELOG.md", 0o644, ""),
				},
				Scripts: nfpm.Scripts{PostInstall: put([]byte(afterInstall)), PreRemove: put([]byte(beforeRemove)), PostRemove: put([]byte(afterRemove))},
			},
		})
		info.RPM.BuildHost = "localhost"
		if err != nil {
			return err
		}
		if err := nfpm.PrepareForPackager(info, format); err != nil {
			return err
		}
		packager, err := nfpm.Get(format)
		if err != nil {
			return err
		}
		out, err := os.Create(filepath.Join(r.dist, packager.ConventionalFileName(info)))
		if err != nil {
			return err
		}
		if err := packager.Package(info, out); err != nil {
			return err
		}
		if err := out.Close(); err != nil {
			return err
		}
	}
	return nil
}
