package live

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lastseen/app/useragent"
	"lastseen/db"
	"lastseen/db/sqlite"

	"github.com/google/uuid"
)

// A fixture is a cache before a database of its own, with a clock that a test moves.
type fixture struct {
	*Cache
	db   *sqlite.Store
	path string

	mu    sync.Mutex
	clock time.Time
}

var parser = sync.OnceValues(useragent.New)

// start makes a fixture that keeps as much as DefaultBounds, but for what change says.
func start(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{path: filepath.Join(t.TempDir(), "lastseen.db"), clock: time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)}
	f.db = f.open(t)
	agents, err := parser()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Now: f.time, Agents: agents, Bounds: DefaultBounds}
	for _, change := range change {
		change(&o)
	}
	f.Cache = New(f.db, o)
	return f
}

// open opens the database once more, as another process would.
func (f *fixture) open(t testing.TB) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), f.path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func (f *fixture) time() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock
}

func (f *fixture) advance(d time.Duration) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = f.clock.Add(d)
	return f.clock
}

func (f *fixture) event() db.Event {
	return db.Event{Created: f.time(), Action: db.Login, Context: map[string]any{}}
}

func (f *fixture) createUser(t testing.TB, name string) db.User {
	t.Helper()
	u := db.User{UUID: uuid.New(), Username: name, PasswordHash: "x", Active: true, Created: f.time(), Groups: []db.Group{{Name: "family"}}}
	u, err := f.db.CreateUser(t.Context(), u, false, func(db.User) db.Event { return f.event() })
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A signedIn session is one as a browser and as the API name it.
type signedIn struct {
	hash [32]byte
	id   uuid.UUID
}

// signIn stores a session, by curl/8 from 192.0.2.1.
func (f *fixture) signIn(t testing.TB, user db.User) (s signedIn) {
	t.Helper()
	s.id = uuid.New()
	rand.Read(s.hash[:])
	now := f.time()
	ends := now.Add(14 * 24 * time.Hour)
	_, err := f.db.CreateSession(t.Context(), db.SignIn{User: user, TokenHash: s.hash[:], Event: f.event(), Session: db.Session{
		UUID: s.id, UserID: user.ID, Agent: f.ParseAgent("curl/8"), IP: netip.MustParseAddr("192.0.2.1"), Method: "password",
		Created: now, LastUsed: now, Ends: ends, Expires: f.Expires(ends, now),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signInMany is signIn, many times in one transaction.
func (f *fixture) signInMany(t testing.TB, user db.User, count int) []signedIn {
	t.Helper()
	like := f.signIn(t, user)
	pool, err := sql.Open("sqlite", "file:"+f.path)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	rows, err := pool.QueryContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		INSERT INTO sessions (uuid, token_hash, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires)
		SELECT randomblob(16), randomblob(32), user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires
		FROM n, sessions WHERE uuid = $2 RETURNING uuid, token_hash`, count-1, like.id[:])
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := []signedIn{like}
	for rows.Next() {
		var id, hash []byte
		if err := rows.Scan(&id, &hash); err != nil {
			t.Fatal(err)
		}
		all = append(all, signedIn{[32]byte(hash), uuid.UUID(id)})
	}
	if err := rows.Err(); err != nil || len(all) != count {
		t.Fatal(len(all), err)
	}
	return all
}

// createKey stores an API key of a user, and returns its hash.
func (f *fixture) createKey(t testing.TB, user db.User, name string) [32]byte {
	t.Helper()
	hash := sha256.Sum256([]byte(name))
	if _, err := f.db.CreateToken(t.Context(), db.Token{UUID: uuid.New(), Identifier: name, User: user, Created: f.time()}, hash[:], f.event()); err != nil {
		t.Fatal(err)
	}
	return hash
}

func from(ip, agent string) Client { return Client{IP: netip.MustParseAddr(ip), Agent: agent} }

// use has a session used, which must live.
func (f *fixture) use(t testing.TB, s signedIn, client Client) *db.User {
	t.Helper()
	user, id, err := f.Touch(t.Context(), &s.hash, client)
	if err != nil || id != s.id {
		t.Fatalf("a session that lives is found as %v, %v", id, err)
	}
	return user
}

// reach has a session pass the gate.
func (f *fixture) reach(t testing.TB, s signedIn, host string, client Client) {
	t.Helper()
	f.use(t, s, client)
	f.Reach(s.id, host)
}

func (f *fixture) flush(t testing.TB) {
	t.Helper()
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// endElsewhere ends a session of which the cache is not told.
func (f *fixture) endElsewhere(t testing.TB, s signedIn) {
	t.Helper()
	if err := f.db.EndSession(t.Context(), db.Use{UUID: s.id}, db.Revoked, f.event()); err != nil {
		t.Fatal(err)
	}
}

// cannotWrite is a context in which no write succeeds.
func cannotWrite(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// A store that tells of its reads: before is called before one, after when its answer
// is known and not yet given.
type tellingStore struct {
	Store
	before, after func(read string)
}

func (s *tellingStore) tell(read string) func() {
	if s.before != nil {
		s.before(read)
	}
	return func() {
		if s.after != nil {
			s.after(read)
		}
	}
}

func (s *tellingStore) SessionByToken(hash []byte) (db.Session, error) {
	defer s.tell("session")()
	return s.Store.SessionByToken(hash)
}

func (s *tellingStore) SessionByUUID(id uuid.UUID) (db.Session, error) {
	defer s.tell("session")()
	return s.Store.SessionByUUID(id)
}

func (s *tellingStore) CachedUser(id int64) (db.User, error) {
	defer s.tell("user")()
	return s.Store.CachedUser(id)
}

func (s *tellingStore) Agent(ctx context.Context, id int64) (*db.Agent, error) {
	defer s.tell("agent")()
	return s.Store.Agent(ctx, id)
}

func (s *tellingStore) TokenByKey(ctx context.Context, hash []byte) (db.Token, error) {
	defer s.tell("key")()
	return s.Store.TokenByKey(ctx, hash)
}

func (s *tellingStore) Rules(ctx context.Context) ([]db.Rule, error) {
	defer s.tell("rules")()
	return s.Store.Rules(ctx)
}

func (s *tellingStore) Sessions(ctx context.Context, f db.SessionFilter) ([]db.Session, int, error) {
	defer s.tell("list")()
	return s.Store.Sessions(ctx, f)
}
