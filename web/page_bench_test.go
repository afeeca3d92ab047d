package web

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// manySessions gives a user so many sessions, spread over some agents and addresses, and
// returns their public names.
func manySessions(t testing.TB, ts *testServer, username string, n int) []uuid.UUID {
	t.Helper()
	user := mustUser(ts, username)
	ips := []string{"81.2.69.142", "89.160.20.112", "216.160.83.56", "192.168.1.20", "2.125.160.216"}
	clients := []string{firefox, iphone, "curl/8.14.1"}
	var made []uuid.UUID
	for i := range n {
		created := now.Add(time.Duration(-i) * time.Hour)
		hash := sha256.Sum256(fmt.Append(nil, username, i))
		sess := db.Session{UUID: uuid.New(), UserID: user.ID, IP: netip.MustParseAddr(ips[i%len(ips)]), Method: "password", Agent: ts.app.EventAgent(db.Event{Context: map[string]any{"http_request": map[string]any{"user_agent": clients[i%len(clients)]}}}),
			Created: created, LastUsed: created, Ends: now.Add(24 * time.Hour), Expires: now.Add(24 * time.Hour)}
		event := db.Event{Created: created, Action: db.Login, ActorID: user.ID, Actor: username, SubjectID: user.ID, IP: sess.IP, Context: map[string]any{}}
		if _, err := ts.store.CreateSession(t.Context(), db.SignIn{User: user, Session: sess, TokenHash: hash[:], Event: event}); err != nil {
			t.Fatal(err)
		}
		made = append(made, sess.UUID)
	}
	return made
}

// BenchmarkSessionsPage draws the lists of 300 sessions, and says how many bytes of each
// go over the wire.
func BenchmarkSessionsPage(b *testing.B) {
	ts := newServer(b)
	manySessions(b, ts, "ada", 300)
	_, token := ts.session("ada", "192.168.1.20", firefox)
	for _, path := range []string{"/sessions", "/sessions?view=everybody", "/sessions?view=everybody&group=user&sort=place"} {
		b.Run(path, func(b *testing.B) {
			req := httptest.NewRequest("GET", path, nil).WithContext(b.Context())
			req.Header.Set("Cookie", sessionCookie+"="+token)
			req.Header.Set("User-Agent", firefox)
			req.Header.Set("Accept-Encoding", "gzip")
			req.RemoteAddr, req.Host = "192.168.1.20:1", ts.app.Config.PublicURL.Host
			w := httptest.NewRecorder()
			ts.ServeHTTP(w, req)
			if w.Code != http.StatusOK {
				b.Fatal(w.Code)
			}
			b.ReportAllocs()
			for b.Loop() {
				ts.ServeHTTP(&discard{header: http.Header{}}, req)
			}
			b.ReportMetric(float64(w.Body.Len()), "wire-B")
		})
	}
}
