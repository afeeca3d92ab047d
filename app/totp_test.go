package app

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// https://www.rfc-editor.org/rfc/rfc6238#appendix-B, SHA-1, of which we take the last six digits.
func TestCodesOfTheRFC(t *testing.T) {
	t.Parallel()
	secret := []byte("12345678901234567890")
	for seconds, want := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		at := stepAt(time.Unix(seconds, 0))
		if got := codeAt(secret, at); got != want[2:] {
			t.Errorf("at %d: got %s, want %s", seconds, got, want[2:])
		}
		for off, good := range map[int64]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
			step, ok := findStep(secret, want[2:], at+off, skew)
			if ok != good || ok && step != at {
				t.Errorf("at %d, a clock %d steps off: got %d, %v", seconds, off, step, ok)
			}
		}
	}
	// https://www.rfc-editor.org/rfc/rfc4226#appendix-D
	for step, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := codeAt(secret, int64(step)); got != want {
			t.Errorf("step %d: got %s, want %s", step, got, want)
		}
	}
	for _, wrong := range []string{"", "28708", "2870820", "94287082", "28708２"} {
		if _, ok := findStep(secret, wrong, 1, skew); ok {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	codes, hashes := newRecoveryCodes()
	seen := map[string]bool{}
	for i, code := range codes {
		for _, typed := range []string{code, strings.ToLower(code), strings.ReplaceAll(code, "-", ""), " " + strings.ReplaceAll(code, "-", " ") + "\t", strings.ReplaceAll(code, "O", "0")} {
			if hash, ok := recoveryHash(typed); !ok || string(hash) != string(hashes[i]) {
				t.Errorf("%q as %q: got %x, %v", code, typed, hash, ok)
			}
		}
		seen[code] = true
	}
	if len(seen) != 10 {
		t.Errorf("got %q", codes)
	}
	for _, none := range []string{"", "123456", codes[0][:18], codes[0] + "A"} {
		if _, ok := recoveryHash(none); ok {
			t.Errorf("%q is taken for one", none)
		}
	}
}

// A secret is good for its user and factor alone, and with the key that it was sealed with.
func TestSealedSecrets(t *testing.T) {
	t.Parallel()
	a := openApp(t, t.TempDir())
	ada, bob := db.User{UUID: uuid.New()}, db.User{UUID: uuid.New()}
	one, other := uuid.New(), uuid.New()
	if _, err := a.unseal([]byte("x"), totpPlace(ada, one)...); !errors.Is(err, ErrSealed) {
		t.Errorf("before there is a key: got %v", err)
	}
	if _, err := os.Stat(KeyPath(a.Config.DataDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key was made without need: %v", err)
	}
	sealed, err := a.seal([]byte("secret"), totpPlace(ada, one)...)
	if err != nil || strings.Contains(string(sealed), "secret") {
		t.Fatalf("got %q, %v", sealed, err)
	}
	if info, err := os.Stat(KeyPath(a.Config.DataDir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	if secret, err := a.unseal(sealed, totpPlace(ada, one)...); err != nil || string(secret) != "secret" {
		t.Errorf("got %q, %v", secret, err)
	}
	again, err := a.seal([]byte("secret"), totpPlace(ada, one)...)
	if err != nil || string(again) == string(sealed) {
		t.Errorf("the same twice: %v", err)
	}
	spoilt := append([]byte{}, sealed...)
	spoilt[len(spoilt)-1] ^= 1
	for name, try := range map[string]func() ([]byte, error){
		"another user":   func() ([]byte, error) { return a.unseal(sealed, totpPlace(bob, one)...) },
		"another factor": func() ([]byte, error) { return a.unseal(sealed, totpPlace(ada, other)...) },
		"no place":       func() ([]byte, error) { return a.unseal(sealed) },
		"a flipped bit":  func() ([]byte, error) { return a.unseal(spoilt, totpPlace(ada, one)...) },
		"nothing":        func() ([]byte, error) { return a.unseal(nil, totpPlace(ada, one)...) },
	} {
		if secret, err := try(); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: got %q, %v", name, secret, err)
		}
	}
	key, err := os.ReadFile(KeyPath(a.Config.DataDir))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"another key": strings.Repeat("A", 43) + "=\n", "half a key": string(key[:20]), "an empty file": ""} {
		if err := os.WriteFile(KeyPath(a.Config.DataDir), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if secret, err := a.unseal(sealed, totpPlace(ada, one)...); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: got %q, %v", name, secret, err)
		}
	}
	if err := os.WriteFile(KeyPath(a.Config.DataDir), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if secret, err := a.unseal(sealed, totpPlace(ada, one)...); err != nil || string(secret) != "secret" {
		t.Errorf("with the key back: got %q, %v", secret, err)
	}
}

// Who has proven what waits for what: the one table that decides.
func TestWhatIsWanted(t *testing.T) {
	t.Parallel()
	code, key, codes := db.Factors{TOTPs: make([]db.TOTP, 1)}, db.Factors{Passkeys: make([]db.Passkey, 1)}, db.Factors{Recovery: 10}
	user, super := db.User{}, db.User{Superuser: true}
	must, superMust := db.User{MustChange: true}, db.User{Superuser: true, MustChange: true}
	for _, tt := range []struct {
		require string
		user    db.User
		has     db.Factors
		proven  string
		want    Step
		trusted bool
	}{
		{"none", super, db.Factors{}, "password", "", false},
		{"none", user, code, "password", SecondFactor, false},
		{"none", user, key, "password", SecondFactor, false},
		{"none", user, codes, "password", "", false}, // recovery codes stand in for a factor, and are none
		{"none", user, code, "link", SecondFactor, false},
		{"none", user, code, "passkey", "", false},
		{"none", user, code, "password+totp", "", false},
		{"none", user, key, "password+recovery", "", false},
		{"none", user, key, "password+passkey", "", false},
		{"superusers", user, db.Factors{}, "password", "", false},
		{"superusers", super, db.Factors{}, "password", Enrol, false},
		{"superusers", super, db.Factors{}, "setup", Enrol, false},
		{"superusers", super, codes, "password", Enrol, false},
		{"everybody", user, db.Factors{}, "password", Enrol, false},
		{"everybody", user, db.Factors{}, "link", Enrol, false},
		{"everybody", user, code, "password", SecondFactor, false},
		{"everybody", user, db.Factors{}, "passkey", "", false},
		{"everybody", user, db.Factors{}, "password+totp", "", false},
		{"", super, db.Factors{}, "password", "", false},
		{"", super, code, "", SecondFactor, false},
		{"none", user, code, "password", "", true},
		{"everybody", user, key, "password", "", true},
		{"everybody", user, db.Factors{}, "password", Enrol, true}, // it stands for a factor that they have
		{"none", user, code, "link", SecondFactor, true},
		{"none", user, code, "setup", SecondFactor, true},
		{"none", user, code, "", SecondFactor, true},
		{"none", must, db.Factors{}, "password", OwnPassword, false},
		{"none", must, code, "password", SecondFactor, false}, // who has the password alone may not set another
		{"none", must, code, "password+totp", OwnPassword, false},
		{"none", must, code, "password", OwnPassword, true},
		{"none", must, key, "passkey", OwnPassword, false},
		{"superusers", superMust, db.Factors{}, "password", OwnPassword, false},
		{"superusers", superMust, code, "password", SecondFactor, false},
	} {
		if got := wanted(tt.require, tt.user, tt.has, tt.proven, tt.trusted); got != tt.want {
			t.Errorf("%+v: got %q", tt, got)
		}
	}
}
