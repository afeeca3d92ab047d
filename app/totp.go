package app

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Codes are those of RFC 6238 as every app makes them: SHA-1, six digits, thirty seconds.
const (
	stepLength   = 30 // seconds
	secretLength = 20 // bytes
	skew         = 1  // steps before and after, within which a code is good
	farSkew      = 10 // steps within which a wrong one tells by how much a clock is
)

// stepAt is the step that a moment is in.
func stepAt(t time.Time) int64 { return t.Unix() / stepLength }

// codeAt is the code of a step: https://www.rfc-editor.org/rfc/rfc4226#section-5.3
func codeAt(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash takes everything
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1_000_000)
}

// findStep is the step, up to reach before or after now, whose code this is. It takes the
// same time whichever that is.
func findStep(secret []byte, code string, now, reach int64) (step int64, ok bool) {
	for s := now - reach; s <= now+reach; s++ {
		if subtle.ConstantTimeCompare([]byte(codeAt(secret, s)), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// newTOTPSecret makes the secret of an authenticator app.
func newTOTPSecret() []byte {
	secret := make([]byte, secretLength)
	rand.Read(secret) // never fails
	return secret
}

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// totpURI is what an authenticator app reads from a picture:
// https://github.com/google/google-authenticator/wiki/Key-Uri-Format
func totpURI(issuer, account string, secret []byte) string {
	label := url.PathEscape(issuer) + ":" + url.PathEscape(account)
	query := url.Values{"secret": {base32Text.EncodeToString(secret)}, "issuer": {issuer}}
	return "otpauth://totp/" + label + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
}

// newRecoveryCodes makes ten, of 80 bits each, in the form that people write down.
func newRecoveryCodes() (codes []string, hashes [][]byte) {
	for range 10 {
		text := rand.Text() // 26 letters and digits of five bits
		code := strings.Join([]string{text[:4], text[4:8], text[8:12], text[12:16]}, "-")
		hash, _ := recoveryHash(code)
		codes, hashes = append(codes, code), append(hashes, hash)
	}
	return codes, hashes
}

// recoveryHash is what is stored of a recovery code, however it was typed. The code is
// random: a hash that is quick will do.
func recoveryHash(typed string) (hash []byte, ok bool) {
	code := strings.NewReplacer("0", "O", "1", "I", "8", "B").Replace(strings.ToUpper(bareCode(typed)))
	if len(code) != 16 {
		return nil, false
	}
	sum := secretHash("recovery " + code)
	return sum[:], true
}

// bareCode is a code without what people put between its parts.
func bareCode(typed string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\t' || r == '\u00a0' {
			return -1
		}
		return r
	}, typed)
}
