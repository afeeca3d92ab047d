package app

import (
	"strings"
	"testing"

	"lastseen/db"
)

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"ada": true, "Ada.Lovelace+x@home-1_2": true, "jörg": true, "日本": true, strings.Repeat("x", 150): true,
		"": false, "a b": false, "a\x00": false, "a/b": false, "a|b": false, "a\u202eb": false, "\xff": false, strings.Repeat("x", 151): false,
	} {
		if err := db.CheckUsername(name); (err == nil) != ok {
			t.Errorf("user name %q: %v", name, err)
		}
	}
	for group, ok := range map[string]bool{"family": true, "two words": true, "": false, " x": false, "a|b": false, "a,b": false, "a\nb": false} {
		if err := CheckGroup(group); (err == nil) != ok {
			t.Errorf("group %q: %v", group, err)
		}
	}
	for email, ok := range map[string]bool{"": true, "a@b.example": true, "nonsense": false, "Ada <a@b.example>": false} {
		if err := checkEmail(email); (err == nil) != ok {
			t.Errorf("email %q: %v", email, err)
		}
	}
}
