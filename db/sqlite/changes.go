package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"sync/atomic"
)

// changes tells cheaply whether another process has written to the database.
//
// In WAL mode each commit changes the header of the wal-index, the first 48
// bytes of the -shm file, and counts one up in it
// (https://www.sqlite.org/walformat.html#the_wal_index_header). Reading them
// costs a fraction of a query. Whose commit it was the writer's connection
// knows: PRAGMA data_version changes there only when another connection wrote,
// and while it holds the write lock the next commit is its own.
type changes struct {
	index   walIndex
	last    atomic.Pointer[walHeader] // as it was when all commits were told apart
	foreign atomic.Uint64             // how often somebody else had written
	ours    atomic.Bool               // the commit after last is ours
	conn    any                       // the writer's connection that version is of; both are held with it
	version int64                     // the last PRAGMA data_version
	asking  atomic.Bool
}

type walHeader [48]byte

// commits counts the commits, in the machine's own byte order.
func (h *walHeader) commits() uint32 { return binary.NativeEndian.Uint32(h[8:]) }

// frames is how many frames the log has.
func (h *walHeader) frames() uint32 { return binary.NativeEndian.Uint32(h[16:]) }

// salt counts how often the log began anew, in the order of its file.
func (h *walHeader) salt() uint32 { return binary.BigEndian.Uint32(h[32:]) }

// restarts reports whether h is last but for a log that began anew: so a writer
// does once all of it is in the database, and a large transaction does it long
// before it commits.
func (h *walHeader) restarts(last *walHeader) bool {
	return h.commits() == last.commits() && h.frames() == 0 && h.salt() == last.salt()+1
}

// expect announces a commit of ours, before it: conn holds the write lock and
// has surely changed something, so that no other commit can come first.
func (c *changes) expect(conn *sql.Conn) {
	h, ok := c.index.header()
	if last := c.last.Load(); !ok || last == nil || *last != h {
		c.sync(conn)
	}
	c.ours.Store(c.last.Load() != nil)
}

// committed takes note of a commit of ours; somebody else may have written since.
func (c *changes) committed(conn *sql.Conn, err error) {
	expected := c.ours.Swap(false) // before last moves on: the next commit may be anybody's
	last := c.last.Load()
	h, ok := c.index.header()
	if err == nil && expected && ok && h.commits()-last.commits() == 1 {
		c.last.Store(&h)
		return
	}
	c.sync(conn)
}

// sync takes note of all commits so far, on the writer's connection. The
// header is read first: a commit of somebody else between the two is one that
// the version tells of, and the worst is that it is told of twice.
func (c *changes) sync(conn *sql.Conn) {
	h, ok := c.index.header()
	var version int64
	err := conn.QueryRowContext(context.Background(), `PRAGMA data_version`).Scan(&version)
	if !ok || err != nil {
		c.last.Store(nil) // not one is told apart: whoever asks must read
		return
	}
	var current any
	_ = conn.Raw(func(driverConn any) error { current = driverConn; return nil })
	if version != c.version || current != c.conn { // each connection counts for itself
		c.version, c.conn = version, current
		c.foreign.Add(1)
	}
	c.last.Store(&h)
}

// Epoch says whether what was read before may still be believed: as long as it
// answers the same number and believable is true, only this process has written.
// While somebody else's commit is not told apart believable is false, and the
// caller should read. Where the -shm file was cut short it panics, with an
// UnavailableError: what asks on is to be refused.
func (s *Store) Epoch() (epoch uint64, believable bool) {
	c := &s.changes
	epoch = c.foreign.Load()
	last := c.last.Load() // before ours, which is taken back before last moves on
	ours := c.ours.Load()
	h, ok := c.index.header()
	if !ok && c.index.isCut() {
		panic(s.cutShort(s.path + "-shm")) // whoever read on would fault where nobody could stop it
	}
	same := ok && last != nil && (h == *last || h.restarts(last) || ours && h.commits()-last.commits() == 1)
	if same && epoch == c.foreign.Load() {
		return epoch, true
	}
	if !ours && c.asking.CompareAndSwap(false, true) {
		go func() { // whoever writes now may do it first, which is as well
			defer c.asking.Store(false)
			conn, err := s.write.Conn(context.Background())
			if err != nil {
				return
			}
			defer conn.Close()
			c.sync(conn)
		}()
	}
	return epoch, false
}
