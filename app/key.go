package app

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lastseen/db"
)

// KeyPath is where the key of a data directory is, which encrypts what the database
// holds and must be read again. It is made when it is first needed.
func KeyPath(dataDir string) string { return filepath.Join(dataDir, "lastseen.key") }

// ErrSealed says that something cannot be encrypted or decrypted: the key is gone, cannot be
// read, or is another one.
var ErrSealed = errors.New("the key is gone, or is not the right one")

// errOtherKey says that this machine has not the key of the others.
var errOtherKey = errors.New("the other machines have another key")

const keyLength = 32 // bytes, of AES-256

// ReadKey is the key of a data directory, as it is in the file; fs.ErrNotExist when none
// was made yet.
func ReadKey(dataDir string) (text string, err error) {
	content, err := os.ReadFile(KeyPath(dataDir))
	if err != nil {
		return "", err
	}
	text = strings.TrimSpace(string(content))
	if _, err := parseKey(text); err != nil {
		return "", fmt.Errorf("%s: %w", KeyPath(dataDir), err)
	}
	return text, nil
}

// WriteKey puts a key into a data directory that has none.
func WriteKey(dataDir, text string) error {
	return createPrivate(KeyPath(dataDir), text+"\n")
}

func parseKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != keyLength {
		return nil, errors.New("is no key of Lastseen's")
	}
	return key, nil
}

// cipher encrypts with the key. With create, one is made where there is none.
func (a *App) cipher(create bool) (cipher.AEAD, error) {
	a.key.Lock() // so that no two are made
	defer a.key.Unlock()
	text, err := ReadKey(a.Config.DataDir)
	if err == nil {
		err = a.checkKey(text)
	}
	if errors.Is(err, fs.ErrNotExist) && create {
		key := make([]byte, keyLength)
		rand.Read(key) // never fails
		text = base64.StdEncoding.EncodeToString(key)
		if err = WriteKey(a.Config.DataDir, text); err == nil {
			err = a.checkKey(text)
		}
		if errors.Is(err, errOtherKey) {
			err = errors.Join(err, os.Remove(KeyPath(a.Config.DataDir)))
		}
		if err == nil {
			a.Log.Info("key made, which encrypts the secrets of second factors and alert targets; keep a copy apart from the backups", "file", KeyPath(a.Config.DataDir))
		}
	}
	if err != nil {
		return nil, err
	}
	return cipherOf(text)
}

// keyName is the setting that says which key it is.
const keyName = "which_key"

// A keyRegistry is a Store of many machines, on which the key is the same: of two names
// that are kept at once the first one stays.
type keyRegistry interface {
	SettingOnce(ctx context.Context, name, value string) (kept string, err error)
}

// checkKey is errOtherKey unless a key is the one of all machines; the first one is. a.key
// is held.
func (a *App) checkKey(text string) error {
	registry, ok := a.store.(keyRegistry)
	if !ok || a.keyChecked == text {
		return nil
	}
	name := nameOfKey(text)
	kept, err := registry.SettingOnce(context.Background(), keyName, name)
	if err == nil && kept != name {
		err = fmt.Errorf("%w: copy %s of a machine on which second factors work to %s here", errOtherKey, filepath.Base(KeyPath("")), KeyPath(a.Config.DataDir))
	}
	if err == nil {
		a.keyChecked = text
	}
	return err
}

func nameOfKey(text string) string {
	hash := sha256.Sum256([]byte("which key: " + text))
	return hex.EncodeToString(hash[:8])
}

// ShareKey makes the key of a data directory, if it has one, that of all machines of a store
// to which its database was moved: a machine without it makes no other one.
func ShareKey(ctx context.Context, store Store, dataDir string) error {
	text, err := ReadKey(dataDir)
	if err != nil { // one that is none decrypts nothing
		return nil
	}
	return store.SetSetting(ctx, keyName, nameOfKey(text))
}

// keyProblem is errOtherKey when this machine has another key than the others, or none
// though they have one.
func (a *App) keyProblem(ctx context.Context) error {
	if !a.live.Shared() {
		return nil
	}
	_, err := a.cipher(false)
	if errors.Is(err, fs.ErrNotExist) {
		if known, e := a.store.Setting(ctx, keyName); e == nil && known != "" {
			return fmt.Errorf("%w: copy it from one of them to %s", errOtherKey, KeyPath(a.Config.DataDir))
		}
		return nil
	}
	return err
}

func cipherOf(text string) (cipher.AEAD, error) {
	key, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// SealedFor are the names of the users whose authenticator apps a key, "" for none, does
// not decrypt: they sign in by a recovery code, or after their factors were reset.
func SealedFor(ctx context.Context, store Store, key string) (names []string, err error) {
	all, err := store.TOTPs(ctx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	var opens cipher.AEAD
	if key != "" {
		if opens, err = cipherOf(key); err != nil {
			return nil, err
		}
	}
	for _, t := range all {
		user, err := store.User(ctx, t.UserID)
		if errors.Is(err, db.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if opens != nil {
			_, err = opens.Open(nil, nil, t.Secret, bytes.Join(totpPlace(user, t.UUID), []byte{0}))
		}
		if (opens == nil || err != nil) && !slices.Contains(names, user.Username) {
			names = append(names, user.Username)
		}
	}
	return names, nil
}

// seal encrypts a secret for one place: what is sealed for one is good in no other. It is
// ErrSealed where there is no key for it.
func (a *App) seal(secret []byte, place ...[]byte) ([]byte, error) {
	c, err := a.cipher(true)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return c.Seal(nil, nil, secret, bytes.Join(place, []byte{0})), nil
}

// unseal is what was sealed for a place, or ErrSealed.
func (a *App) unseal(sealed []byte, place ...[]byte) ([]byte, error) {
	c, err := a.cipher(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrSealed
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	secret, err := c.Open(nil, nil, sealed, bytes.Join(place, []byte{0}))
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}
