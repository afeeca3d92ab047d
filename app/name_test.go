package app

import (
	"strings"
	"testing"

	"lastseen/db"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"ada": true, "Ada.Lovelace+x@home-1_2": true, "jörg": true, "日本": true, strings.Repeat("x", 150): true,
		"": false, "a b": false, "a\x00": false, "a/b": false, "a|b": false, "a\u202eb": false, "\xff": false, "\u3164": false, "\u0301": false, strings.Repeat("x", 151): false,
	} {
		if err := db.CheckUsername(name); (err == nil) != ok {
			t.Errorf("user name %q: %v", name, err)
		}
	}
	for group, ok := range map[string]bool{"family": true, "two words": true, "": false, " x": false, "a|b": false, "a,b": false, "a\nb": false} {
		if err := checkGroup(group); (err == nil) != ok {
			t.Errorf("group %q: %v", group, err)
		}
	}
	for text, ok := range map[string]bool{
		"": true, "Ada Lovelace": true, "日本": true, "नमस्\u200dते": true, "می\u200cخواهم": true, "e\u0301": true,
		"👩\u200d💻": true, "❤\ufe0f": true, "🏴\U000E0067\U000E0062\U000E007F": true,
		" ": false, "\u00a0\u2003": false, "\u200b": false, "\u200d": false, "\ufe0f": false, "\u3164": false, "\u2800": false, "\u0301": false,
		"a\u200bb": false, "a\u202eb": false, "a\u2066b": false, "a\u00adb": false, "\ufeffa": false, "a\u2028b": false, "a\u2029b": false, "a\nb": false,
	} {
		if err := checkText("name", text); (err == nil) != ok {
			t.Errorf("text %q: %v", text, err)
		}
	}
	for email, ok := range map[string]bool{"": true, "a@b.example": true, "nonsense": false, "Ada <a@b.example>": false} {
		if err := checkEmail(email); (err == nil) != ok {
			t.Errorf("email %q: %v", email, err)
		}
	}
}
