package app

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/alexedwards/argon2id"
)

// hashParams cost about 60 ms and 19 MiB a hash on a small machine: the lower
// of the settings that OWASP's password storage cheat sheet counts as equal.
var hashParams = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// passwords hashes and verifies, a few at once, so that a flood of sign-ins
// can take neither all memory nor all time.
type passwords struct {
	running chan struct{} // bounds the hashes at once
	waiting chan struct{} // bounds those and the callers in line
	dummy   string        // the hash of no password, for users that do not exist
}

func newPasswords() passwords {
	return passwords{
		running: make(chan struct{}, 2),
		waiting: make(chan struct{}, 64),
		dummy:   noPassword(),
	}
}

// noPassword is a hash in argon2id's format that no password has: its key is
// random too, so that it costs nothing to make.
func noPassword() string {
	salt, key := make([]byte, hashParams.SaltLength), make([]byte, hashParams.KeyLength)
	rand.Read(salt) // never fails
	rand.Read(key)
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", hashParams.Memory, hashParams.Iterations, hashParams.Parallelism,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// turn waits for one of the places to hash; done gives it back. When too many
// wait already it is a BusyError.
func (p passwords) turn(ctx context.Context) (done func(), err error) {
	select {
	case p.waiting <- struct{}{}:
	default:
		return nil, &BusyError{RetryAfter: 5 * time.Second}
	}
	select {
	case p.running <- struct{}{}:
		return func() { <-p.running; <-p.waiting }, nil
	case <-ctx.Done():
		<-p.waiting
		return nil, ctx.Err()
	}
}

func (p passwords) hash(ctx context.Context, password string) (string, error) {
	done, err := p.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return argon2id.CreateHash(password, &hashParams)
}

// verify compares a password with a hash; an empty hash costs the same and fits none.
func (p passwords) verify(ctx context.Context, password, hash string) (match, weak bool, err error) {
	done, err := p.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	known := hash != ""
	if !known {
		hash = p.dummy
	}
	match, params, err := argon2id.CheckHash(password, hash)
	if err != nil {
		return false, false, fmt.Errorf("stored password hash: %w", err)
	}
	return match && known, *params != hashParams, nil
}
