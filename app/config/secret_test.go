package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastseen/db"
)

// A password that is not encoded is never taken for another part of the URL, nor told of.
func TestDatabaseURL(t *testing.T) {
	for _, tt := range []struct{ url, want string }{ // want is part of the error, "" for none
		{"", ""},
		{"postgres://u:p@db.home.example:5432/name?sslmode=verify-full", ""},
		{"postgresql://u:secr%40et%2Fw@host/db", ""},
		{"postgres:///db?host=/run/postgresql", ""},
		{"host=db user=u password=secret", "must be a URL"},
		{"mysql://u:secret@host/db", "must be a URL"},
		{"postgres://u:secr@et/w@host/db", "write %40"},
		{"postgres://u:secr@et@host/db", "write %40"},
		{"postgres://u:secr@et?w@host/db", "write %40"},
		{"postgres://u:12/secret@host/db", "write %40"},
		{"postgres://u:12?secret@host/db", "write %40"},
		{"postgres://u:12#secret@host/db", "write %40"},
		{"postgres://u:secr/et@host/db", "must be a URL"},
	} {
		_, err := parse(map[string]string{"database": tt.url}, nil)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.url, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "secr") || strings.Contains(err.Error(), "et/w")) {
			t.Errorf("%s: the password is told of: %v", tt.url, err)
		}
	}
}

// However an editor or a shell writes a password into a file, it is that password.
func TestReadSecret(t *testing.T) {
	for _, tt := range []struct{ name, content, want string }{
		{"no end", "pässwörd", "pässwörd"},
		{"printf or an editor", "pässwörd\n", "pässwörd"},
		{"a mark of UTF-8", "\xef\xbb\xbfpässwörd\r\n", "pässwörd"},
		{"UTF-16, little end first", "\xff\xfep\x00\xe4\x00\r\x00\n\x00", "pä"},
		{"UTF-16, big end first", "\xfe\xff\x00p\x00\xe4\x00\r\x00\n", "pä"},
		{"a mark within", "p\xef\xbb\xbfw", "p\ufeffw"},
		{"spaces", " p w \n", " p w "},
		{"no text", "p\xe4w", "p\xe4w"}, // db.CheckPassword refuses it
		{"empty", "", ""},
		{"the mark alone", "\xef\xbb\xbf", ""},
	} {
		if got, err := ReadSecret(strings.NewReader(tt.content)); got != tt.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, tt.want)
		}
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := parse(nil, map[string]string{"LASTSEEN_BOOTSTRAP_PASSWORD_FILE": file})
		if db.CheckPassword(tt.want) == nil && (c.BootstrapPassword != tt.want || err != nil) {
			t.Errorf("%s: got %q, %v as a setting", tt.name, c.BootstrapPassword, err)
		}
	}
}
