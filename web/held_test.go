package web

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lastseen/app"
)

// held sends the head of a form, waits for between, then sends its body.
func held(t *testing.T, ts *testServer, token, path, body string, between func()) int {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(ts.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nCookie: lastseen_session=%s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
		path, strings.TrimPrefix(ts.url, "http://"), token, len(body))
	time.Sleep(100 * time.Millisecond)
	between()
	fmt.Fprint(conn, body)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// Whoever saves a profile stays what they are made meanwhile.
func TestDemotedWhileSavingTheProfile(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ts.createUser("mallory", true)
	_, token := ts.session("mallory", "192.0.2.1", "x")
	status := held(t, ts, token, "/profile", url.Values{"name": {"m"}, "email": {""}}.Encode(), func() {
		m, _ := ts.app.UserByName(context.Background(), "mallory")
		m.Superuser = false
		if err := ts.app.UpdateUser(context.Background(), app.Operator.Actor(), m); err != nil {
			t.Fatal(err)
		}
	})
	got, err := ts.app.UserByName(context.Background(), "mallory")
	if err != nil || got.Superuser {
		t.Errorf("after being made ordinary, POST /profile answered %d and made them a superuser again: %v %v", status, got.Superuser, err)
	}
}

// A request that is held open until its session has ended does nothing.
func TestEndedWhileSending(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"revoke", "disable", "delete"} {
		ts := newServer(t)
		ts.createUser("mallory", true)
		sess, token := ts.session("mallory", "192.0.2.1", "x")
		status := held(t, ts, token, "/users", url.Values{"username": {"backdoor"}, "password": {password}, "superuser": {"1"}}.Encode(), func() {
			m, _ := ts.app.UserByName(context.Background(), "mallory")
			var err error
			switch how {
			case "revoke":
				err = ts.app.RevokeSession(context.Background(), app.Operator, sess.UUID)
			case "disable":
				err = ts.app.SetUserActive(context.Background(), app.Operator.Actor(), m, false)
			case "delete":
				err = ts.app.DeleteUser(context.Background(), app.Operator.Actor(), m)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		if _, err := ts.app.UserByName(context.Background(), "backdoor"); err == nil {
			t.Errorf("%s: POST /users answered %d and made a superuser", how, status)
		}
	}
}
