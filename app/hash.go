package app

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
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

// ldapScheme is how directories begin a hash (RFC 2307).
var ldapScheme = regexp.MustCompile(`^\{([A-Za-z0-9-]+)\}(.*)$`)

// digests are the schemes of a bare hash of the password and a salt behind it, if it has
// one. {SHA} is htpasswd's, too.
var digests = map[string]func() hash.Hash{
	"MD5": md5.New, "SMD5": md5.New, "SHA": sha1.New, "SSHA": sha1.New, "SHA256": sha256.New, "SSHA256": sha256.New,
	"SHA384": sha512.New384, "SSHA384": sha512.New384, "SHA512": sha512.New, "SSHA512": sha512.New,
}

// prefixes are of schemes that have a name beside theirs elsewhere. Authelia has {CRYPT}.
var prefixes = map[string]string{
	"CRYPT": "", "ARGON2": "", "BCRYPT": "",
	"PBKDF2": "$pbkdf2$", "PBKDF2-SHA1": "$pbkdf2$", "PBKDF2-SHA256": "$pbkdf2-sha256$", "PBKDF2-SHA512": "$pbkdf2-sha512$",
}

// costs bounds what a hash that somebody else made may cost to be verified. Who reads it then
// takes signs for numbers, too.
var costs = regexp.MustCompile(`(?:^\$(2)[abxy]?\$|[$,](m|t|p|r|ln|rounds|i)=|^\$(pbkdf2)[a-z0-9-]*\$)([+-]?\d+)`)

// mostOf is what a number in a hash may be at most, by its name. One of bcrypt and pbkdf2
// has none.
var mostOf = map[string]int{
	"m": 1 << 18 /* KiB */, "t": 64, "p": 64, "r": 16, "ln": 18, "rounds": 5_000_000, "i": 5_000_000,
	"pbkdf2": 5_000_000, "2": 15,
}

// yescrypt is how a hash begins that costs 128 MB at most, which is eight times what Linux
// has for its users.
var yescrypt = regexp.MustCompile(`^\$y\$j[./0-9A-C]T\$`)

// readHash reads a stored hash, ours or another program's.
func readHash(stored string) (match func(password string) bool, err error) {
	scheme, rest := "", stored
	if m := ldapScheme.FindStringSubmatch(stored); m != nil {
		scheme, rest = strings.ToUpper(m[1]), m[2]
	}
	if newHash := digests[scheme]; newHash != nil {
		decoded, err := base64.StdEncoding.DecodeString(rest)
		size := newHash().Size()
		if err != nil || len(decoded) < size {
			return nil, fmt.Errorf("this {%s} hash is cut short", scheme)
		}
		return func(password string) bool {
			h := newHash()
			h.Write([]byte(password))
			h.Write(decoded[size:]) // the salt
			return subtle.ConstantTimeCompare(h.Sum(nil), decoded[:size]) == 1
		}, nil
	}
	if prefix, ok := prefixes[scheme]; ok {
		stored = prefix + rest
	}
	for _, name := range []string{"$apr1$", "$1$"} { // the first is of htpasswd -m
		rest, ok := strings.CutPrefix(stored, name)
		if !ok {
			continue
		}
		salt, key, ok := strings.Cut(rest, "$")
		if !ok || len(key) != 22 || len(salt) > 8 {
			return nil, fmt.Errorf("this %s hash is cut short", name)
		}
		return func(password string) bool {
			return subtle.ConstantTimeCompare([]byte(md5crypt(password, name, salt)), []byte(key)) == 1
		}, nil
	}
	encoded, err := phc(stored)
	if err != nil {
		return nil, err
	}
	for _, found := range costs.FindAllStringSubmatch(encoded, -1) {
		most := mostOf[found[1]+found[2]+found[3]]
		if n, err := strconv.Atoi(found[4]); err != nil || n < 1 || n > most {
			return nil, fmt.Errorf("it would cost too much to verify, or nothing: %s is not from 1 to %d", strings.Trim(found[0], "$,"), most)
		}
	}
	if strings.HasPrefix(encoded, "$y$") && !yescrypt.MatchString(encoded) {
		return nil, errors.New("it would cost too much to verify")
	}
	digest, err := formats.Decode(encoded)
	if err != nil {
		return nil, errors.New("it is in no format that can be verified: argon2, bcrypt, scrypt, yescrypt, pbkdf2, sha-crypt, md5-crypt, apr1, {SSHA} and its like can")
	}
	return func(password string) bool {
		ok, err := digest.MatchAdvanced(password)
		return ok && err == nil
	}, nil
}

// phc is a hash in the form of https://github.com/P-H-C/phc-string-format, which Django
// writes otherwise.
func phc(stored string) (string, error) {
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

// md5crypt is MD5 crypt by its name, "$1$", or by that of Apache's variant, "$apr1$", which
// differs in nothing else (https://httpd.apache.org/docs/2.4/misc/password_encryptions.html).
func md5crypt(password, name, salt string) string {
	inner := md5.Sum([]byte(password + salt + password))
	h := md5.New()
	h.Write([]byte(password + name + salt))
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
