package geoip

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/oschwald/maxminddb-golang/v2"
)

// mapped is whether files are mapped into memory, where they cost none that the
// kernel cannot take back, or read: Windows lets nobody replace a mapped file.
const mapped = runtime.GOOS != "windows"

// A source is one setting: a path, and what is in use of the file there.
type source[T any] struct {
	kind    string // as in File
	holds   string // what T is called, for messages
	path    string
	layouts []layout[T]
	log     *slog.Logger

	current atomic.Pointer[database[T]] // nil if none is in use
	status  atomic.Pointer[File]        // as the last reload left it

	seen fs.FileInfo // the file that reload judged last, nil to judge anew
}

// A database is one generation of a file. Its reader is never closed, because
// lookups may still be running in it: it unmaps the file when it is collected.
type database[T any] struct {
	reader *maxminddb.Reader
	layout layout[T]
	info   fs.FileInfo

	// decoded holds records by where they are in the file, at most maxDecoded: few
	// cities and networks are those of most sessions.
	mu      sync.RWMutex
	decoded map[uintptr]*T
	// Each is logged when first set.
	damaged atomic.Bool // a record could not be read
	lost    atomic.Bool // the file was cut short under us; nothing of it is used any more
}

const maxDecoded = 4096

// find is what the file says of ip, nil if nothing, and of which network it says
// so. Nobody may change it.
func (s *source[T]) find(ip netip.Addr) (found *T, prefix netip.Prefix) {
	db := s.current.Load()
	if db == nil || db.lost.Load() || ip.Is6() && db.reader.Metadata.IPVersion == 4 {
		return nil, prefix
	}
	err := guard(func() (err error) {
		result := db.reader.Lookup(ip)
		prefix = result.Prefix()
		found, err = db.decode(result)
		return err
	})
	switch {
	case err == nil:
		return found, prefix
	case errors.Is(err, errLost):
		if !db.lost.Swap(true) {
			s.warn("GeoIP file was cut short while it was in use", err, "nothing")
		}
	case !db.damaged.Swap(true):
		s.warn("GeoIP file has a damaged record", err, "the other records")
	}
	return nil, prefix
}

func (db *database[T]) decode(result maxminddb.Result) (*T, error) {
	if !result.Found() {
		return nil, result.Err()
	}
	at := result.Offset()
	db.mu.RLock()
	found, ok := db.decoded[at]
	db.mu.RUnlock()
	if ok {
		return found, nil
	}
	found, err := db.layout(result)
	if err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.decoded == nil || len(db.decoded) >= maxDecoded {
		db.decoded = map[uintptr]*T{}
	}
	db.decoded[at] = found
	return found, nil
}

// errLost means that mapped pages are no longer backed by the file.
var errLost = errors.New("was cut short or could not be read from disk")

// guard calls read and turns its panic into an error.
//
// Who overwrites a mapped file in place (cp does) first cuts it short, and
// touching what is gone raises SIGBUS, which ends a Go program unless the
// goroutine has asked for a panic instead. Until the next reload notices, pages
// already written anew may also give wrong answers. The alternatives cost more:
// a copy in memory takes the size of the file (60 to 130 MB for cities), and to
// stat before each lookup takes as long as the lookup and still leaves a gap.
// Renaming a new file over the old one has no such moment.
func guard(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }: // as SetPanicOnFault documents
			err = errLost
		default:
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return read()
}

// reload puts the file into use if it has changed and is good. Only one may run
// at a time.
func (s *source[T]) reload() {
	if s.path == "" {
		s.status.Store(&File{Kind: s.kind, State: None, Error: "not set"})
		return
	}
	old := s.current.Load()
	info, err := os.Stat(s.path)
	if err == nil && s.seen != nil && same(info, s.seen) && (old == nil || !old.lost.Load()) {
		return
	}
	var db *database[T]
	if err == nil {
		db, err = s.open(info)
	}
	if err != nil {
		s.keep(old, info, err)
		return
	}
	s.seen = info
	s.current.Store(db)
	file := newFile(s.kind, s.path, db.reader.Metadata)
	s.status.Store(&file)
	facts := []slog.Attr{slog.String("kind", s.kind), slog.String("file", s.path), slog.String("type", file.Type)}
	if !file.Built.IsZero() {
		facts = append(facts, slog.Time("built", file.Built))
	}
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "GeoIP file loaded", facts...)
}

// keep goes on with old, if there is one, because of err.
func (s *source[T]) keep(old *database[T], info fs.FileInfo, err error) {
	// What was overwritten in place is gone from the mapping too.
	if old != nil && (old.lost.Load() || mapped && info != nil && os.SameFile(info, old.info)) {
		s.current.Store(nil)
		old = nil
	}
	// Bad content stays bad until the file changes. What the system refuses is
	// tried again, and logged when it says something new.
	s.seen = nil
	text := err.Error()
	missing := errors.Is(err, fs.ErrNotExist)
	var refused syscall.Errno
	switch {
	case missing:
		text = "does not exist"
	case errors.As(err, &refused):
		text = refused.Error()
	case !errors.Is(err, errLost):
		s.seen = info
	}
	status, using := File{Kind: s.kind, Path: s.path, State: Failed}, "nothing"
	switch {
	case old != nil:
		status, using = *s.status.Load(), "what was loaded before"
	case missing:
		status.State = None
	}
	status.Error = text
	last := s.status.Swap(&status)
	switch {
	case s.seen == nil && last != nil && last.Error == text:
	case missing && last == nil:
		s.log.LogAttrs(context.Background(), slog.LevelInfo, "no GeoIP file",
			slog.String("kind", s.kind), slog.String("file", s.path),
			slog.String("do", "to know "+s.holds+", put a MaxMind DB file there or name another with --geoip-"+s.kind))
	default:
		s.warn("GeoIP file cannot be used", errors.New(text), using)
	}
}

func (s *source[T]) warn(message string, err error, using string) {
	s.log.LogAttrs(context.Background(), slog.LevelWarn, message,
		slog.String("kind", s.kind), slog.String("file", s.path),
		slog.Any("error", err), slog.String("using", using),
		slog.String("do", "rename a whole database of "+s.holds+" to this name; it is used within seconds"))
}

// file is the state as of now.
func (s *source[T]) file() File {
	if db := s.current.Load(); db != nil && db.lost.Load() {
		return File{Kind: s.kind, Path: s.path, State: Failed, Error: errLost.Error()}
	}
	return *s.status.Load()
}

// sampled is how many networks of a new file are looked at for one that says
// something: enough for every real file, and soon done with a broken one.
const sampled = 1000

// open opens the file that info is of, and finds its layout by reading records.
func (s *source[T]) open(info fs.FileInfo) (db *database[T], err error) {
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	err = guard(func() error {
		reader, err := openReader(s.path)
		if err != nil {
			return err
		}
		n := 0
		// Without these options a broken tree can be walked forever without a result.
		for result := range reader.Networks(maxminddb.IncludeNetworksWithoutData(), maxminddb.IncludeAliasedNetworks()) {
			for _, l := range s.layouts {
				if found, err := l(result); err == nil && found != nil {
					db = &database[T]{reader: reader, layout: l, info: info}
					return nil
				}
			}
			if n++; n == sampled {
				break
			}
		}
		return fmt.Errorf("holds no %s (its type is %q)", s.holds, clean(reader.Metadata.DatabaseType))
	})
	return db, err
}

func openReader(path string) (*maxminddb.Reader, error) {
	if mapped {
		return maxminddb.Open(path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return maxminddb.OpenBytes(content)
}

func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
