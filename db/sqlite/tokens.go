package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// tokens knows of tokens' hashes that the database has none of them, so that cookies
// that nobody was given, of which anybody may send as many as they like, cost no query.
//
// It is a Bloom filter of the hashes of sessions and of their cookies on apps' hosts,
// made once many were asked for in vain. Whoever stores a hash adds it before, and of
// what another process stores Epoch tells: then nothing is known until it is made anew.
type tokens struct {
	filter atomic.Pointer[filter]
	vain   atomic.Int64 // lookups that it did not spare
	making atomic.Bool  // or it was made just now
}

const (
	vainLookups = 100 // after which the filter is made
	filterBits  = 12  // a hash, when it is full: one in 150 is taken for another; one in 600 at first
)

// A filter is one of the hashes of an epoch.
type filter struct {
	epoch uint64
	ready atomic.Bool
	room  atomic.Int64 // for so many more
	words []atomic.Uint64
}

func newFilter(hashes int64, epoch uint64) *filter {
	most := hashes + hashes/2 + 1024
	f := &filter{epoch: epoch, words: make([]atomic.Uint64, most*filterBits/64+1)}
	f.room.Store(most)
	return f
}

// bits calls do with the place of each bit of a hash, in whose bytes chance lies
// already, until that returns false.
func (f *filter) bits(hash []byte, do func(word *atomic.Uint64, bit uint64) bool) {
	for i := 0; i+8 <= len(hash); i += 8 {
		n := binary.LittleEndian.Uint64(hash[i:])
		if !do(&f.words[n>>6%uint64(len(f.words))], 1<<(n&63)) {
			return
		}
	}
}

func (f *filter) add(hash []byte) {
	f.room.Add(-1)
	f.bits(hash, func(word *atomic.Uint64, bit uint64) bool { word.Or(bit); return true })
}

func (f *filter) has(hash []byte) (has bool) {
	has = true
	f.bits(hash, func(word *atomic.Uint64, bit uint64) bool { has = word.Load()&bit != 0; return has })
	return has
}

// addToken must be called in a transaction that stores a token's hash.
func (s *Store) addToken(hash []byte) {
	if f := s.tokens.filter.Load(); f != nil {
		f.add(hash)
	}
}

// lacksToken reports whether the database surely has no such hash. The bits are read
// before the epoch: what was committed until then is in them, or is another epoch.
func (s *Store) lacksToken(hash []byte) bool {
	f := s.tokens.filter.Load()
	if f == nil || !f.ready.Load() || f.has(hash) {
		return false
	}
	epoch, believable := s.Epoch()
	return believable && epoch == f.epoch
}

// lookedInVain has the filter made if lookups find nothing that it should have spared,
// for at most a twentieth of the time.
func (s *Store) lookedInVain() {
	t := &s.tokens
	if f := t.filter.Load(); f != nil && f.ready.Load() && f.room.Load() > 0 {
		if epoch, _ := s.Epoch(); epoch == f.epoch {
			return
		}
	}
	if t.vain.Add(1) < vainLookups || !t.making.CompareAndSwap(false, true) {
		return
	}
	t.vain.Store(0)
	go func() {
		began := time.Now()
		_ = s.learnTokens() // it is no filter then, and tried again
		time.AfterFunc(max(time.Second, 20*time.Since(began)), func() { t.making.Store(false) })
	}()
}

// learnTokens makes the filter.
func (s *Store) learnTokens() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	epoch, believable := s.Epoch()
	if !believable {
		return nil
	}
	var hashes int64
	if err := s.list.DB.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM app_sessions)`).Scan(&hashes); err != nil {
		return err
	}
	f := newFilter(hashes, epoch)
	s.tokens.filter.Store(f)
	// Whoever stores a hash and has not seen f has the writer's connection until that is
	// committed: what is read after them has it.
	writer, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	rows, err := s.list.DB.QueryContext(ctx, `SELECT token_hash FROM sessions UNION ALL SELECT token_hash FROM app_sessions`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var hash sql.RawBytes
		if err := rows.Scan(&hash); err != nil {
			return err
		}
		f.add(hash)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	f.ready.Store(true)
	return nil
}
