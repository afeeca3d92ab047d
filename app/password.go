package app

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/go-crypt/crypt/algorithm/argon2"
)

const saltBytes, keyBytes = 16, 32

// hasher makes our hashes, which begin with ours.
var hasher, ours = func() (*argon2.Hasher, string) {
	h, err := argon2.New(argon2.WithVariantID(), argon2.WithM(hashMemory), argon2.WithT(hashTime), argon2.WithP(hashLanes), argon2.WithS(saltBytes), argon2.WithK(keyBytes))
	if err != nil {
		panic(err) // the constants are in bounds
	}
	return h, fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$", hashMemory, hashTime, hashLanes)
}()

// passwords hashes and verifies, a few at once, so that a flood of sign-ins
// can take neither all memory nor all time.
type passwords struct {
	running  chan struct{} // bounds the hashes at once
	waiting  chan struct{} // bounds those and the callers in line
	stranger chan struct{} // bounds the hashes of strangers at once
	crowd    chan struct{} // bounds those and the strangers in line
	dummy    string        // the hash of no password, for users that do not exist
}

func newPasswords() passwords {
	return passwords{
		running:  make(chan struct{}, 2),
		waiting:  make(chan struct{}, 64),
		stranger: make(chan struct{}, 1),
		crowd:    make(chan struct{}, 48),
		dummy:    noPassword(),
	}
}

// noPassword is a hash in argon2id's format that no password has: its key is
// random too, so that it costs nothing to make.
func noPassword() string {
	salt, key := make([]byte, saltBytes), make([]byte, keyBytes)
	rand.Read(salt) // never fails
	rand.Read(key)
	return ours + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(key)
}

// turn waits for one of the places to hash; done gives it back. When too many wait
// already it is a BusyError. Some places are kept from strangers, who are all that try
// an account from a network that never signed in to it: however many they are, those
// whom we know get in.
func (p passwords) turn(ctx context.Context, known bool) (done func(), err error) {
	if known {
		return enter(ctx, p.waiting, p.running)
	}
	leave, err := enter(ctx, p.crowd, p.stranger)
	if err != nil {
		return nil, err
	}
	finish, err := enter(ctx, p.waiting, p.running)
	if err != nil {
		leave()
		return nil, err
	}
	return func() { finish(); leave() }, nil
}

// enter takes a place in a line, and then one at its head.
func enter(ctx context.Context, line, head chan struct{}) (leave func(), err error) {
	select {
	case line <- struct{}{}:
	default:
		return nil, &BusyError{RetryAfter: 5 * time.Second}
	}
	select {
	case head <- struct{}{}:
		return func() { <-head; <-line }, nil
	case <-ctx.Done():
		<-line
		return nil, ctx.Err()
	}
}

func (p passwords) hash(ctx context.Context, password string) (string, error) {
	done, err := p.turn(ctx, true) // who may set one was let in before
	if err != nil {
		return "", err
	}
	defer done()
	digest, err := hasher.Hash(password)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return digest.Encode(), nil
}

// verify compares a password with a hash; an empty hash costs the same and fits none.
// known says that the account was signed in to from where this comes.
func (p passwords) verify(ctx context.Context, password, hash string, known bool) (match, weak bool, err error) {
	done, err := p.turn(ctx, known)
	if err != nil {
		return false, false, err
	}
	defer done()
	has := hash != ""
	if !has {
		hash = p.dummy
	}
	matches, err := readHash(hash)
	if err != nil {
		return false, false, fmt.Errorf("stored password hash: %w", err)
	}
	match, weak = matches(password), !strings.HasPrefix(hash, ours)
	if weak && !match { // a wrong password takes at least as long as for nobody
		if matches, err = readHash(p.dummy); err != nil {
			return false, false, err
		}
		matches(password)
	}
	return match && has, weak, nil
}
