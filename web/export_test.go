package web

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"
	"lastseen/db/pgtest"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// many stores living sessions of people, and ended ones, as if they had signed in.
func many(t *testing.T, ts *testServer, people, living, ended int) {
	t.Helper()
	agent := &db.Agent{String: firefox, Definitions: agents().Version(), AgentParts: db.AgentParts{Kind: "desktop", Browser: "Firefox", OS: "Linux"}}
	users := make([]db.User, people)
	for i := range users {
		users[i] = ts.createUser(fmt.Sprint("guest", i), false)
	}
	for i := range living + ended {
		user := users[i%people]
		hash := [32]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}
		at := now.Add(-time.Duration(i) * time.Second)
		sess := db.Session{UUID: uuid.New(), UserID: user.ID, Agent: agent, IP: netip.AddrFrom4([4]byte{81, 2, 69, byte(i)}), Method: "password",
			Created: at, LastUsed: at, Ends: now.Add(time.Hour), Expires: now.Add(time.Hour)}
		sess, err := ts.store.CreateSession(t.Context(), db.SignIn{User: user, Session: sess, TokenHash: hash[:], Network: "n", Event: db.Event{UUID: uuid.New(), Created: at, Action: db.Login, Context: map[string]any{}}})
		if err != nil {
			t.Fatal(err)
		}
		if i >= living {
			if err := ts.app.RevokeSession(t.Context(), app.Operator, sess.UUID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// copySessions stores more living sessions like those that there are.
func copySessions(t *testing.T, ts *testServer, n int) {
	t.Helper()
	if pgtest.Asked() {
		conn, err := pgconn.Connect(t.Context(), ts.app.Config.Database)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		err = conn.Exec(t.Context(), fmt.Sprintf(`INSERT INTO sessions (uuid, token_hash, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires)
			SELECT gen_random_uuid(), sha256(i::text::bytea), user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires
			FROM generate_series(0, %d - 1) i JOIN sessions ON id = 1 + i %% (SELECT max(id) FROM sessions)`, n)).Close()
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	pool, err := sql.Open("sqlite", "file:"+ts.store.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $1 - 1)
		INSERT INTO sessions (uuid, token_hash, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires)
		SELECT randomblob(16), randomblob(32), user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires
		FROM n JOIN sessions ON id = 1 + i % (SELECT max(id) FROM sessions)`, n); err != nil {
		t.Fatal(err)
	}
}

// What ended beyond the newest two thousand can be found, counted, sorted and exported,
// alone and with what lives.
func TestEndedAreListedWhole(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ts.maxSorted = 20
	many(t, ts, 3, 150, 130)
	ada := ts.signIn("ada")
	for _, tt := range []struct {
		query string
		total int
	}{
		{"state=ended", 130}, {"state=all", 281}, {"", 151}, {"state=ended&user=guest1", 43}, {"state=all&user=guest1", 93},
		{"state=ended&search=guest2", 43}, {"state=all&search=guest2+firefox", 93}, {"state=ended&search=nobody", 0}, {"state=ended&country=GB", 130},
		{"state=ended&sort=place", 130}, {"state=ended&sort=-used&page=2", 130}, {"state=all&sort=user&page=3", 281}, {"state=ended&kind=desktop", 130},
	} {
		_, body := ts.get(ada, "/sessions?view=everybody&"+tt.query)
		if want := fmt.Sprintf("<strong>%d session", tt.total); !strings.Contains(body, want) {
			t.Errorf("%s: no %q in the page", tt.query, want)
		}
		if strings.Contains(tt.query, "place") && !strings.Contains(body, "too many to be sorted by place") {
			t.Errorf("%s: nothing says that it is not sorted so", tt.query)
		}
		_, body = ts.get(ada, "/sessions/export.json?view=everybody&"+tt.query)
		var objects []struct {
			UUID, Username string
			Signed_in      time.Time
			Ended          *time.Time
			Ended_reason   string
			Ended_by       string
		}
		if err := json.Unmarshal([]byte(body), &objects); err != nil || len(objects) != tt.total {
			t.Fatalf("%s: %d exported, %v", tt.query, len(objects), err)
		}
		for _, o := range objects {
			if o.Username == "" || o.Signed_in.IsZero() || (o.Ended != nil) != (o.Ended_reason == "revoked") || (o.Ended != nil) != (o.Ended_by != "") {
				t.Fatalf("%s: got %+v", tt.query, o)
			}
		}
		_, body = ts.get(ada, "/sessions/export.csv?view=everybody&"+tt.query)
		if rows, err := csv.NewReader(strings.NewReader(body)).ReadAll(); err != nil || len(rows) != tt.total+1 {
			t.Errorf("%s: %d rows, %v", tt.query, len(rows)-1, err)
		}
	}
	// Each page is another part of the whole, whatever the order.
	for _, sort := range []string{"", "used", "-used", "user", "-expires"} {
		seen := map[string]bool{}
		for page := 1; page <= pages(281, everybodySize); page++ {
			_, body := ts.get(ada, fmt.Sprintf("/sessions?view=everybody&state=all&sort=%s&page=%d", sort, page))
			for part := range strings.SplitSeq(body, `href="/sessions/`) {
				if id, _, ok := strings.Cut(part, `?`); ok && len(id) == 36 {
					seen[id] = true
				}
			}
		}
		if len(seen) != 281 {
			t.Errorf("sorted by %q: %d of 281 on the pages", sort, len(seen))
		}
	}
}

// An export takes as long as it is received, part by part, and no longer: whoever stops
// receiving is cut, and gets no end that looks like one.
func TestSlowExport(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	sess, token := ts.session("ada", "81.2.69.142", firefox)
	const n = 12_000 // more than a connection holds by itself
	copySessions(t, ts, n)
	ts.writeWithin = 2 * time.Second
	address := ts.serve(func(l net.Listener) net.Listener { return l })
	receive := func(pause func(int)) (*http.Response, []byte, error) {
		conn := dial(t, address, "")
		if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /sessions/export.json?view=everybody HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\n\r\n", strings.TrimPrefix(ts.url, "http://"), sessionCookie, token)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		for i := 0; err == nil; i++ {
			pause(i)
			_, err = io.CopyN(&got, res.Body, 1<<20)
		}
		return res, got.Bytes(), err
	}
	res, body, err := receive(func(int) { time.Sleep(300 * time.Millisecond) })
	var objects []struct{ UUID uuid.UUID }
	if err != io.EOF || json.Unmarshal(body, &objects) != nil || len(objects) != n+1 || objects[0].UUID != sess.UUID {
		t.Errorf("received slowly: got %d, %d bytes and %d sessions, %v", res.StatusCode, len(body), len(objects), err)
	}
	_, body, err = receive(func(i int) {
		if i == 1 {
			time.Sleep(5 * time.Second)
		}
	})
	if err == io.EOF || json.Valid(body) {
		t.Errorf("received no more for a while: got %d bytes, %v, want it cut", len(body), err)
	}
}

// An export holds each session once, as it was at one moment, while they are used, begin
// and end. LASTSEEN_TEST_EXPORT says how many there are, such as 1000000.
func TestExportIsWhole(t *testing.T) {
	t.Parallel()
	n := 3000
	if text := os.Getenv("LASTSEEN_TEST_EXPORT"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	ts := newServer(t)
	if pgtest.Asked() {
		many(t, ts, 10, n, 20)
	} else { // most by the database itself, which takes a fifth of the time
		many(t, ts, 10, 100, 20)
		copySessions(t, ts, n-100)
	}
	ada := ts.signIn("ada")
	stored, _, err := ts.app.Sessions(t.Context(), app.Operator, db.SessionFilter{Limit: n + 1})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, sess := range stored {
		want[sess.UUID.String()] = true
	}
	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	busy.Go(func() {
		for ctx.Err() == nil {
			sess := stored[rand.IntN(len(stored))]
			at := now.Add(time.Duration(rand.IntN(1000)) * time.Second)
			if err := ts.store.RecordUses(context.Background(), slices.Values([]db.Use{{UUID: sess.UUID, Session: sess.ID, At: at}}), 0); err != nil {
				t.Error(err)
				return
			}
		}
	})
	req, _ := http.NewRequest("GET", ts.url+"/sessions/export.json?view=everybody&sort=used", nil)
	res, err := ada.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	decoder := json.NewDecoder(res.Body)
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	got, revoked := map[string]bool{}, 0
	for decoder.More() {
		var o struct{ UUID string }
		if err := decoder.Decode(&o); err != nil {
			t.Fatal(err)
		}
		if got[o.UUID] {
			t.Errorf("%s is there twice", o.UUID)
		}
		got[o.UUID] = true
		if len(got)%400 == 1 && revoked < 20 { // one ends, perhaps before its turn
			revoked++
			if err := ts.app.RevokeSession(t.Context(), app.Operator, stored[len(stored)-revoked].UUID); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	busy.Wait()
	for id := range want {
		if !got[id] {
			t.Errorf("%s is missing", id)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d exported of %d", len(got), len(want))
	}
	t.Logf("%d sessions exported whole, while they were used", len(got))
}
