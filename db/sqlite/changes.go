package sqlite

import (
	"context"
	"database/sql"
	"sync/atomic"
)

// changes tells cheaply whether another process has written to the database.
//
// In WAL mode each commit changes the header of the wal-index, the first 48
// bytes of the -shm file (https://www.sqlite.org/walformat.html). Reading them
// costs a fraction of a query. Whose commit it was the writer's connection
// knows: PRAGMA data_version changes there only when another connection wrote.
type changes struct {
	index   walIndex
	known   atomic.Pointer[walHeader] // as it was when all commits were told apart
	foreign atomic.Uint64             // how often somebody else had written
	conn    any                       // the writer's connection that version is of; both are held with it
	version int64                     // the last PRAGMA data_version
	asking  atomic.Bool
}

type walHeader [48]byte

// settle takes note of all commits so far, on the writer's connection. The
// header is read first: a commit of somebody else between the two is one that
// the version tells of, and the worst is that it is told of twice.
func (c *changes) settle(conn *sql.Conn) {
	h, ok := c.index.header()
	var version int64
	err := conn.QueryRowContext(context.Background(), `PRAGMA data_version`).Scan(&version)
	if !ok || err != nil {
		c.known.Store(nil) // nothing is known: whoever asks must read
		return
	}
	var current any
	_ = conn.Raw(func(driverConn any) error { current = driverConn; return nil })
	if version != c.version || current != c.conn { // each connection counts for itself
		c.version, c.conn = version, current
		c.foreign.Add(1)
	}
	c.known.Store(&h)
}

// Epoch says whether what was read before may still be believed: as long as it
// answers the same number and settled is true, only this process has written.
// While a commit is under way settled is false, and the caller should read.
func (s *Store) Epoch() (epoch uint64, settled bool) {
	epoch = s.changes.foreign.Load()
	known := s.changes.known.Load()
	h, ok := s.changes.index.header()
	if ok && known != nil && h == *known && epoch == s.changes.foreign.Load() {
		return epoch, true
	}
	if s.changes.asking.CompareAndSwap(false, true) {
		go func() { // whoever writes now may settle it first, which is as well
			defer s.changes.asking.Store(false)
			conn, err := s.write.Conn(context.Background())
			if err != nil {
				return
			}
			defer conn.Close()
			s.changes.settle(conn)
		}()
	}
	return epoch, false
}
