package app

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// formats are those of our hashes and of what other programs keep. Users who were
// imported sign in with theirs once, and have ours then.
var formats = func() *crypt.Decoder {
	d := crypt.NewDecoder()
	for _, register := range []func(*crypt.Decoder) error{
		func(d *crypt.Decoder) error { return argon2.RegisterDecoder(d) },
		func(d *crypt.Decoder) error { return bcrypt.RegisterDecoder(d) },
		func(d *crypt.Decoder) error { return pbkdf2.RegisterDecoder(d) },
		func(d *crypt.Decoder) error { return scrypt.RegisterDecoder(d) },
		func(d *crypt.Decoder) error { return shacrypt.RegisterDecoder(d) },
	} {
		if err := register(d); err != nil {
			panic(err) // they are all different
		}
	}
	return d
}()

// costs bounds what a hash that somebody else made may cost to be verified.
var costs = regexp.MustCompile(`(?:^\$(2)[abxy]?\$|[$,](m|t|p|r|ln|rounds|i)=|^\$(pbkdf2)[a-z0-9-]*\$)(\d+)`)

// mostOf is what a number in a hash may be at most, by its name. One of bcrypt and pbkdf2
// has none.
var mostOf = map[string]int{
	"m": 1 << 18 /* KiB */, "t": 64, "p": 64, "r": 16, "ln": 18, "rounds": 5_000_000, "i": 5_000_000,
	"pbkdf2": 5_000_000, "2": 15,
}

// readHash reads a stored hash, ours or another program's.
func readHash(stored string) (match func(password string) bool, err error) {
	if key, ok := strings.CutPrefix(stored, "{SHA}"); ok { // of htpasswd -s
		want, err := base64.StdEncoding.DecodeString(key)
		if err != nil || len(want) != sha1.Size {
			return nil, errors.New("this {SHA} hash is cut short")
		}
		return func(password string) bool {
			sum := sha1.Sum([]byte(password))
			return subtle.ConstantTimeCompare(sum[:], want) == 1
		}, nil
	}
	if rest, ok := strings.CutPrefix(stored, "$apr1$"); ok { // of htpasswd -m
		salt, key, ok := strings.Cut(rest, "$")
		if !ok || len(key) != 22 || len(salt) > 8 {
			return nil, errors.New("this $apr1$ hash is cut short")
		}
		return func(password string) bool {
			return subtle.ConstantTimeCompare([]byte(apr1(password, salt)), []byte(key)) == 1
		}, nil
	}
	encoded, err := phc(stored)
	if err != nil {
		return nil, err
	}
	for _, found := range costs.FindAllStringSubmatch(encoded, -1) {
		most := mostOf[found[1]+found[2]+found[3]]
		if n, err := strconv.Atoi(found[4]); err != nil || n > most {
			return nil, fmt.Errorf("it would cost too much to verify: %s is more than %d", strings.Trim(found[0], "$,"), most)
		}
	}
	digest, err := formats.Decode(encoded)
	if err != nil {
		return nil, errors.New("it is in no format that can be verified: argon2, bcrypt, scrypt, pbkdf2, sha-crypt, apr1 and {SHA} can")
	}
	return func(password string) bool {
		ok, err := digest.MatchAdvanced(password)
		return ok && err == nil
	}, nil
}

// phc is a hash in the form of https://github.com/P-H-C/phc-string-format, which Django
// writes otherwise, and Authelia with {CRYPT} before it.
func phc(stored string) (string, error) {
	stored = strings.TrimPrefix(stored, "{CRYPT}")
	parts := strings.Split(stored, "$")
	switch {
	case strings.HasPrefix(stored, "argon2$argon2"):
		return strings.TrimPrefix(stored, "argon2"), nil
	case len(parts) == 4 && strings.HasPrefix(parts[0], "pbkdf2_sha"): // algorithm$iterations$salt$key
		key, err := base64.StdEncoding.DecodeString(parts[3])
		if err != nil {
			return "", errors.New("this pbkdf2 hash is cut short")
		}
		adapted := func(b []byte) string {
			return strings.ReplaceAll(base64.RawStdEncoding.EncodeToString(b), "+", ".")
		}
		return "$" + strings.Replace(parts[0], "_", "-", 1) + "$" + parts[1] + "$" + adapted([]byte(parts[2])) + "$" + adapted(key), nil
	}
	return stored, nil
}

// apr1 is Apache's variant of MD5 crypt, which differs in its name within the hash alone
// (https://httpd.apache.org/docs/2.4/misc/password_encryptions.html).
func apr1(password, salt string) string {
	inner := md5.Sum([]byte(password + salt + password))
	h := md5.New()
	h.Write([]byte(password + "$apr1$" + salt))
	for n := len(password); n > 0; n -= len(inner) {
		h.Write(inner[:min(n, len(inner))])
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 == 1 {
			h.Write([]byte{0})
		} else {
			h.Write([]byte(password[:1]))
		}
	}
	sum := h.Sum(nil)
	for i := range 1000 {
		h.Reset()
		for _, part := range []struct {
			write bool
			what  []byte
		}{
			{i&1 == 1, []byte(password)}, {i&1 == 0, sum}, {i%3 != 0, []byte(salt)}, {i%7 != 0, []byte(password)},
			{i&1 == 1, sum}, {i&1 == 0, []byte(password)},
		} {
			if part.write {
				h.Write(part.what)
			}
		}
		sum = h.Sum(nil)
	}
	const digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var b strings.Builder
	for _, group := range [][]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}, {11}} {
		v := 0
		for _, i := range group {
			v = v<<8 | int(sum[i])
		}
		for range len(group) + 1 {
			b.WriteByte(digits[v&63])
			v >>= 6
		}
	}
	return b.String()
}
