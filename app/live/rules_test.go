package live

import (
	"testing"

	"lastseen/db"
)

// The most specific host with a rule decides.
func TestGateRules(t *testing.T) {
	t.Parallel()
	rules := NewRules([]db.Rule{
		{ID: 1, Host: "*.example", Groups: []string{"all"}},
		{ID: 2, Host: "*.home.example", Groups: []string{"family"}},
		{ID: 3, Host: "a.home.example", Groups: []string{"a"}},
		{ID: 4, Host: "a.home.example", Groups: []string{"also"}},
		{ID: 5, Host: "b.home.example", Path: "/open"},
		{ID: 6, Host: "nobody.example"},
		{ID: 7, Host: "*.b.home.example", Path: "/hooks/*"},
	})
	for _, tt := range []struct {
		host, group string
		want        bool
	}{
		{"a.home.example", "a", true}, {"a.home.example", "also", true}, {"a.home.example", "family", false},
		{"x.a.home.example", "family", true}, {"x.a.home.example", "a", false},
		{"b.home.example", "family", true}, {"b.home.example", "all", false},
		{"home.example", "all", true}, {"home.example", "family", false},
		{"nobody.example", "all", false},
		{"example", "", true}, {"elsewhere.test", "", true},
	} {
		allowed, ruled := rules.Allow(tt.host, []db.Group{{Name: "other"}, {Name: tt.group}})
		if got := allowed || !ruled; got != tt.want {
			t.Errorf("%s to %q: got %v, want %v", tt.host, tt.group, got, tt.want)
		}
	}
	for _, tt := range []struct {
		host, path string
		want       int64
	}{
		{"b.home.example", "/open", 5}, {"b.home.example", "/open/", 0}, {"b.home.example", "/", 0}, {"c.home.example", "/open", 0},
		{"x.b.home.example", "/hooks/1", 7}, {"x.b.home.example", "/hooks", 0}, {"b.home.example", "/hooks/1", 0},
	} {
		if got, _ := rules.Open(tt.host, tt.path, "GET"); got.ID != tt.want {
			t.Errorf("%s%s: got rule %d, want %d", tt.host, tt.path, got.ID, tt.want)
		}
	}
	if _, ruled := NewRules(nil).Allow("a.home.example", nil); ruled {
		t.Error("without rules there is one")
	}
}
