package view

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"html"
	"io"
	"io/fs"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func renderSample(t *testing.T, p *Pages, s sample, lang string) string {
	t.Helper()
	var buf bytes.Buffer
	if err := p.Render(&buf, s.page, lang, s.data); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestRender(t *testing.T) {
	p := New()
	seen := map[string]bool{}
	inline := regexp.MustCompile(`(?i)<style|\sstyle\s*=|<script(?:>|\s[^>]*>[^<])|<[^>]+\son[a-z]+\s*=\s*["']|javascript:`)
	for _, w := range p.languages {
		lang := w.code
		for _, s := range samples() {
			t.Run(lang+"/"+s.name, func(t *testing.T) {
				seen[s.page] = true
				page := renderSample(t, p, s, lang)
				if !strings.Contains(page, `<html lang="`+lang+`"`) {
					t.Error("no lang on the page")
				}
				for _, sign := range []string{"%!", "ZgotmplZ", "<no value>", "EXTRA"} {
					if strings.Contains(strings.ReplaceAll(page, "%!d", ""), sign) {
						t.Errorf("page contains %q", sign)
					}
				}
				if bad := inline.FindString(page); bad != "" {
					t.Errorf("inline script or style: %s", bad)
				}
				if n := strings.Count(page, "<h1"); n != 1 {
					t.Errorf("%d h1, want 1", n)
				}
				ids := map[string]bool{}
				for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
					if ids[m[1]] {
						t.Errorf("id %q twice", m[1])
					}
					ids[m[1]] = true
				}
				for _, m := range regexp.MustCompile(` (?:for|aria-labelledby|aria-describedby|aria-controls)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
					if !ids[m[1]] {
						t.Errorf("nothing has the id %q", m[1])
					}
				}
			})
		}
	}
	for _, s := range samples() {
		page := renderSample(t, p, s, "en")
		var packed bytes.Buffer
		gz := gzip.NewWriter(&packed)
		_, _ = io.WriteString(gz, page)
		_ = gz.Close()
		t.Logf("%s: %d bytes, %d packed", s.name, len(page), packed.Len())
	}
	for page := range p.templates["en"] {
		if !seen[page] {
			t.Errorf("no sample of %s", page)
		}
	}
}

// TestHostile looks for what strangers sent as anything else than text.
func TestHostile(t *testing.T) {
	p := New()
	for _, s := range samples() {
		if !strings.Contains(s.name, "hostile") {
			continue
		}
		page := renderSample(t, p, s, "en")
		// What a form sends back must stay as it was, and a field is a world of its own.
		page = regexp.MustCompile(` value="[^"]*"`).ReplaceAllString(page, "")
		for _, sign := range []string{"<script>", "<img", "\u202e", "\u2069", "\x00", "\a"} {
			if strings.Contains(page, sign) {
				t.Errorf("%s: page contains %q", s.name, sign)
			}
		}
		shown := strings.Count(page, html.EscapeString(`<script>alert(1)</script>`))
		if shown < 5 {
			t.Errorf("%s: the hostile text is shown %d times", s.name, shown)
		}
		if s.name == "session-hostile" && !strings.Contains(page, `\u202e\u2069gnp.exe\u0000\u0007`) {
			t.Error("the raw user agent does not name its hidden characters")
		}
	}
}

func TestIsolate(t *testing.T) {
	for in, want := range map[string]string{
		"Firefox":           "<bdi>Firefox</bdi>",
		"a\u202eb\u2069c":   "<bdi>a\uFFFDb\uFFFDc</bdi>",
		"<b>&\"":            "<bdi>&lt;b&gt;&amp;&#34;</bdi>",
		"\xff":              "<bdi>\uFFFD</bdi>",
		"नमस्\u200dते שלום": "<bdi>नमस्\u200dते שלום</bdi>",
	} {
		if got := string(isolate(in)); got != want {
			t.Errorf("isolate(%q): got %q, want %q", in, got, want)
		}
	}
}

func TestWhen(t *testing.T) {
	p := New()
	var languages []*words
	for _, code := range []string{"en", "de", "fr", "es"} {
		languages = append(languages, p.languages[slices.IndexFunc(p.languages, func(w *words) bool { return w.code == code })])
	}
	for _, tt := range []struct {
		ago  time.Duration
		want [4]string
	}{
		{0, [...]string{"now", "jetzt", "à l’instant", "ahora"}},
		{59 * time.Second, [...]string{"now", "jetzt", "à l’instant", "ahora"}},
		{time.Minute, [...]string{"1 minute ago", "vor 1 Minute", "il y a 1 minute", "hace 1 minuto"}},
		{12 * time.Minute, [...]string{"12 minutes ago", "vor 12 Minuten", "il y a 12 minutes", "hace 12 minutos"}},
		{23 * time.Hour, [...]string{"23 hours ago", "vor 23 Stunden", "il y a 23 heures", "hace 23 horas"}},
		{25 * time.Hour, [...]string{"1 day ago", "vor 1 Tag", "il y a 1 jour", "hace 1 día"}},
		{8 * sampleDay, [...]string{"1 Nov", "1. Nov.", "1 nov.", "1 nov"}},
		{400 * sampleDay, [...]string{"5 Oct 2025", "5. Okt. 2025", "5 oct. 2025", "5 oct 2025"}},
		{-time.Millisecond, [...]string{"now", "jetzt", "à l’instant", "ahora"}},
		{-time.Second, [...]string{"in 1 minute", "in 1 Minute", "dans 1 minute", "en 1 minuto"}},
		{-3 * sampleDay, [...]string{"in 3 days", "in 3 Tagen", "dans 3 jours", "en 3 días"}},
		{-30 * sampleDay, [...]string{"9 Dec", "9. Dez.", "9 déc.", "9 dic"}},
	} {
		at := sampleNow.Add(-tt.ago)
		for i, w := range languages {
			if got := w.relative(sampleNow, at); got != tt.want[i] {
				t.Errorf("%v in %s: got %q, want %q", tt.ago, w.code, got, tt.want[i])
			}
		}
	}
	en := languages[0]
	want := `<time datetime="2026-11-09T14:03:00Z" title="9 Nov 2026, 14:03 UTC" data-time="when">now</time>`
	if got := string(en.when(sampleNow, sampleNow)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for i, want := range []string{"12,045", "12.045", "12\u00a0045", "12.045"} {
		if got := languages[i].count(12045); got != want {
			t.Errorf("a count in %s: got %q, want %q", languages[i].code, got, want)
		}
	}
}

func TestLanguage(t *testing.T) {
	p := New()
	for _, tt := range []struct{ chosen, accept, want string }{
		{"", "", "en"},
		{"", "de-AT,de;q=0.9,en;q=0.5", "de"},
		{"", "fr-CA,fr;q=0.9,en;q=0.5", "fr"},
		{"", "es-MX", "es"},
		{"", "it,*;q=0.1", "en"},
		{"", "garbage;;;q=x", "en"},
		{"en", "de", "en"},
		{"xx", "de", "de"},
	} {
		if got := p.Language(tt.chosen, tt.accept); got != tt.want {
			t.Errorf("%q, %q: got %s, want %s", tt.chosen, tt.accept, got, tt.want)
		}
	}
	if got := p.Text("de", "no such message %s", "\u202ex"); got != "no such message \uFFFDx" {
		t.Errorf("a missing message: got %q", got)
	}
}

var months = []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}

// usedKeys are the messages that templates and code ask for by name, and all texts in
// the code, any of which may be one that is asked for by way of a variable.
func usedKeys(t *testing.T) (used, texts map[string]bool) {
	t.Helper()
	used, texts = map[string]bool{}, map[string]bool{}
	collect := func(into map[string]bool, pattern, expression string) {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(string(text), -1) {
				for _, quoted := range m[1:] {
					key, err := strconv.Unquote(quoted)
					if err != nil {
						continue // a stretch between two texts, or a raw one
					}
					into[key] = true
				}
			}
		}
	}
	const text = `("(?:[^"\\]|\\.)*")`
	collect(used, "templates/*.html", `\b[th] `+text)
	for _, folder := range []string{"*.go", "../*.go"} {
		collect(used, folder, `\b(?:[mM]sg|w\.text|w\.say)\(`+text)
		collect(used, folder, `\.[tT]ext\([^"()]+(?:\([^()]*\))?, `+text) // p.Text(lang, "...")
		collect(used, folder, `\bpick\(`+text+`, `+text)
		collect(texts, folder, text)
	}
	const forAPI = `"(?:[^"\\]|\\.)*"`
	collect(used, "../errors.go", `, (?:http\.Status\w+|499), `+forAPI+`, `+text+`, (?:`+text+`|\w+)\}`)
	for _, folder := range []string{"../../app/*.go", "../../db/*.go"} { // what they say of input
		collect(used, folder, `\bInputError\{[^"{}]*(?:"[a-z_]*", (?:Problem: )?)?`+text+`\}`)
		collect(used, folder, `\bproblem = `+text)
	}
	for _, folder := range []string{"../../app/doctor.go", "../page_doctor.go"} {
		collect(used, folder, `\bSaid\(`+text)
	}
	collect(used, "../../app/doctor.go", `\b(?:c\.)?Name(?:: |, setting = )`+text)
	for _, m := range months {
		used[m] = true
	}
	return used, texts
}

// TestTranslations compares the languages with what the pages say.
func TestTranslations(t *testing.T) {
	used, texts := usedKeys(t)
	verbs := func(s string) []string {
		all := regexp.MustCompile(`%(?:\[\d+\])?([sd])`).FindAllStringSubmatch(s, -1)
		var kinds []string
		for _, m := range all {
			kinds = append(kinds, m[1])
		}
		slices.Sort(kinds)
		return kinds
	}
	all := readLanguages(pageFiles)
	for _, w := range all {
		for key, f := range w.messages() {
			if !used[key] && !texts[key] {
				t.Errorf("%s: nothing says %q", w.code, key)
			}
			if _, ok := f["other"]; !ok {
				t.Errorf("%s: %q has no form other", w.code, key)
			}
			like := key
			if english, ok := all[0].messages()[key]; ok {
				like = english["other"]
			}
			for category, text := range f {
				if !slices.Equal(verbs(text), verbs(like)) {
					t.Errorf("%s: %q (%s) has other placeholders than %q", w.code, text, category, like)
				}
				if strings.ContainsAny(text, "<>&") {
					t.Errorf("%s: %q holds markup", w.code, text)
				}
				if torn := regexp.MustCompile(` [:;?!»]|« `).FindString(text); w.code == "fr" && torn != "" {
					t.Errorf("%s: %q may be torn at %q: a space that does not break belongs there", w.code, text, torn)
				}
			}
		}
		if w.code == "en" {
			continue
		}
		for key := range used {
			if _, ok := w.messages()[key]; !ok {
				t.Errorf("%s: missing %q", w.code, key)
			}
		}
	}
	for key := range used {
		if strings.ContainsAny(key, "<>&") {
			t.Errorf("%q holds markup", key)
		}
	}
}

// TestContrast computes the ratios of WCAG 2 from the custom properties.
func TestContrast(t *testing.T) {
	css, err := fs.ReadFile(pageFiles, "static/app.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`(:root[^{]*)\{([^}]*--page[^}]*)\}`).FindAllStringSubmatch(string(css), -1)
	if len(blocks) != 3 {
		t.Fatalf("found %d colour blocks, want 3", len(blocks))
	}
	property := regexp.MustCompile(`--([a-z-]+):\s*#([0-9a-f]{6});`)
	var themes []map[string]string
	for _, b := range blocks {
		theme := map[string]string{}
		for _, m := range property.FindAllStringSubmatch(b[2], -1) {
			theme[m[1]] = m[2]
		}
		themes = append(themes, theme)
	}
	if fmt.Sprint(themes[1]) != fmt.Sprint(themes[2]) {
		t.Error("the two dark blocks differ")
	}
	for i, theme := range themes[:2] {
		need := func(front, back string, least float64) {
			if got := contrast(t, theme[front], theme[back]); got < least {
				t.Errorf("theme %d: %s on %s is %.2f:1, want %.1f:1", i, front, back, got, least)
			}
		}
		for _, back := range []string{"page", "panel", "hover"} {
			for _, front := range []string{"text", "muted", "accent", "danger", "good", "warning"} {
				need(front, back, 4.5)
			}
			need("control", back, 3)
		}
		need("on-accent", "accent", 4.5)
		need("on-danger", "danger", 4.5)
		need("accent", "land", 3)
	}
}

func contrast(t *testing.T, a, b string) float64 {
	luminance := func(colour string) float64 {
		n, err := strconv.ParseUint(colour, 16, 32)
		if err != nil {
			t.Fatalf("colour %q: %v", colour, err)
		}
		var l float64
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			c := float64(n>>(16-8*i)&0xff) / 255
			if c <= 0.04045 {
				c /= 12.92
			} else {
				c = math.Pow((c+0.055)/1.055, 2.4)
			}
			l += weight * c
		}
		return l
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestAssets(t *testing.T) {
	p := New()
	get := func(name, encoding string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/static/"+name, nil)
		r.Header.Set("Accept-Encoding", encoding)
		w := httptest.NewRecorder()
		if !p.ServeAsset(w, r, name) {
			w.Code = 404
		}
		return w
	}
	for file, contentType := range map[string]string{
		"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "icons.svg": "image/svg+xml",
	} {
		address, err := p.asset(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(address)
		if !regexp.MustCompile(`^[a-z]+\.[0-9a-f]{12}\.[a-z]+$`).MatchString(name) {
			t.Errorf("%s is served as %s", file, name)
		}
		plain, packed := get(name, ""), get(name, "br, gzip")
		if got := plain.Header().Get("Content-Type"); got != contentType {
			t.Errorf("%s: content type %q", name, got)
		}
		if got := plain.Header().Get("Cache-Control"); !strings.Contains(got, "immutable") {
			t.Errorf("%s: cache control %q", name, got)
		}
		if packed.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("Content-Encoding") != "" {
			t.Errorf("%s: wrong encodings", name)
		}
		gz, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(gz)
		if err != nil || !bytes.Equal(unpacked, plain.Body.Bytes()) {
			t.Errorf("%s: packed and plain differ: %v", name, err)
		}
		t.Logf("%s: %d bytes, %d packed", file, plain.Body.Len(), len(p.assets[name].packed()))
	}
	if w := get("app.css", ""); w.Code != 404 {
		t.Error("an asset is served without its hash")
	}
	for header, want := range map[string]bool{
		"gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "": false, "identity": false, "gzip;q=x": false,
	} {
		if got := AcceptsGzip(header); got != want {
			t.Errorf("Accept-Encoding %q: got %v", header, got)
		}
	}
}

func TestSymbols(t *testing.T) {
	sprite, err := fs.ReadFile(pageFiles, "static/icons.svg")
	if err != nil {
		t.Fatal(err)
	}
	p := New()
	for _, s := range samples() {
		for _, m := range regexp.MustCompile(`icons\.[0-9a-f]+\.svg#([^"]*)"`).FindAllStringSubmatch(renderSample(t, p, s, "en"), -1) {
			if !bytes.Contains(sprite, []byte(`<symbol id="`+m[1]+`"`)) {
				t.Errorf("%s: no symbol %q", s.name, m[1])
			}
		}
	}
}

func TestWorldMap(t *testing.T) {
	m := NewWorldMap([]Dot{
		{51.5, -0.1, 3, "London, United Kingdom", "/gb"},
		{51.7, -1.2, 2, "Oxford, United Kingdom", "/gb"},
		{48.9, 2.4, 9, "Paris, FR", "/fr"},
		{-90, 180, 1, "South Pole", "/aq"},
	}, 0)
	if len(m.Clusters) != 3 || m.Clusters[0].Label != "Paris, FR" || m.Clusters[1].Count != 5 || m.Clusters[1].More != 1 {
		t.Errorf("got %+v", m.Clusters)
	}
	for _, c := range m.Clusters {
		if c.X < 0 || c.X > float64(m.Width()) || c.Y < 0 || c.Y > float64(m.Height()) {
			t.Errorf("%s lies outside the map: %v, %v", c.Label, c.X, c.Y)
		}
	}
	// A few coasts, to see that outline and dots use the same projection.
	if m := NewWorldMap([]Dot{{0, 0, 1, "", ""}}, 0); m.Clusters[0].X != 400 {
		t.Errorf("the prime meridian is at %v", m.Clusters[0].X)
	}
}

func TestSessionFilter(t *testing.T) {
	f := SessionFilter{Search: "a&b", User: "ada", Sort: "-used", Page: 3}
	for got, want := range map[string]string{
		f.Link(2):           "/sessions?page=2&search=a%26b&sort=-used&user=ada&view=everybody",
		f.SortLink("used"):  "/sessions?search=a%26b&sort=used&user=ada&view=everybody",
		f.SortLink("place"): "/sessions?search=a%26b&sort=place&user=ada&view=everybody",
		f.Export("csv"):     "/sessions/export.csv?search=a%26b&sort=-used&user=ada&view=everybody",
		f.Sorted("used"):    "descending",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
