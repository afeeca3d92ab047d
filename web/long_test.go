package web

import (
	"fmt"
	"strings"
	"testing"
)

// Very many words or orderings are refused or passed over, and cost nothing.
func TestLongQueries(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	for i := range 5 {
		ts.session("bob", fmt.Sprintf("192.0.2.%d", i), "curl/8.1")
	}
	bob, ada := ts.key("bob"), ts.key("ada")
	words := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprint("c", i)
		}
		return strings.Join(all, "+")
	}
	names := func(name string, n int) string { return strings.TrimSuffix(strings.Repeat(name+",", n), ",") }
	for path, want := range map[string]int{
		"/core/authenticated_sessions/?search=" + strings.Repeat("curl+", 1000): 200, // one word
		"/core/authenticated_sessions/?search=" + words(20):                     200,
		"/core/authenticated_sessions/?search=" + words(21):                     400,
		"/core/authenticated_sessions/?search=" + words(900):                    400,
		"/core/authenticated_sessions/?search=" + words(1500):                   400,
		"/core/authenticated_sessions/?search=" + words(8000):                   400,
		"/core/authenticated_sessions/?ordering=" + names("last_ip", 3000):      200,
		"/core/users/?search=" + words(1500):                                    400,
		"/core/users/?ordering=" + names("name", 3000):                          200,
		"/core/tokens/?search=" + words(1500):                                   400,
		"/core/tokens/?ordering=" + names("identifier", 3000):                   200,
		"/events/events/?search=" + words(1500):                                 400,
		"/events/events/?ordering=" + names("created", 3000):                    200,
	} {
		for _, key := range []string{bob, ada} {
			status, body := ts.api(key, "GET", path, nil)
			if status != want && (status != 403 || key != bob) {
				t.Errorf("%.60s (%d bytes): got %d, want %d: %.80s", path, len(path), status, want, body)
			}
		}
	}
}
