package countries

import (
	"testing"

	"golang.org/x/text/language"
)

func TestName(t *testing.T) {
	for _, tt := range []struct{ language, code, want string }{
		{"en", "GB", "United Kingdom"},
		{"de", "GB", "Vereinigtes Königreich"},
		{"fr", "DE", "Allemagne"},
		{"es", "DE", "Alemania"},
		{"en", "SZ", "Eswatini"}, // by its name since 2018
		{"de", "XK", "Kosovo"},   // as makers of databases write it
		{"en", "HK", "Hong Kong"},
		{"nl", "SE", "Sweden"}, // a language that we have not
		{"", "SE", "Sweden"},
		{"de", "ZZ", "ZZ"}, // made-up, or of no country
		{"de", "se", "se"},
		{"de", "EU", "EU"},
		{"en", "code", "code"},
		{"en", "", ""},
	} {
		if got := Name(tt.language, tt.code); got != tt.want {
			t.Errorf("%s in %q: got %q, want %q", tt.code, tt.language, got, tt.want)
		}
	}
}

// Each country that there is has a name in each language, and no two have the same.
func TestNamesAreWhole(t *testing.T) {
	for i, lang := range names()[head] {
		codes := map[string]string{}
		for a := 'A'; a <= 'Z'; a++ {
			for b := 'A'; b <= 'Z'; b++ {
				code := string([]rune{a, b})
				name := Name(lang, code)
				region, err := language.ParseRegion(code)
				known := err == nil && region.IsCountry() && region.String() == code && region.Canonicalize() == region
				if known && name == code && !nowhere[code] {
					t.Errorf("%s has no name in %s", code, lang)
				}
				if other, ok := codes[name]; ok {
					t.Errorf("%s and %s are both %s in %s", code, other, name, lang)
				}
				codes[name] = code
				if row := names()[code]; row != nil && row[i] != name {
					t.Errorf("%s in %s: got %q, want %q", code, lang, name, row[i])
				}
			}
		}
	}
}

// nowhere are codes of countries that are no more, and of what is no country.
var nowhere = map[string]bool{"AN": true, "CS": true, "EZ": true, "FQ": true, "NT": true, "PC": true, "SU": true, "UN": true, "YU": true}
