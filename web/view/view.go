package view

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/text/language"
)

//go:embed templates static languages
var pageFiles embed.FS

// Pages are the viewer's templates, languages and assets. Any number of requests may
// use it at once.
type Pages struct {
	languages []*words // English first
	match     language.Matcher
	templates map[string]map[string]func() *template.Template // by language, then page
	assets    map[string]asset                                // by the name in the URL
	Urls      map[string]string                               // by file name
}

type asset struct {
	contentType string
	body        []byte
	packed      func() []byte // the body through gzip, nil where that is no smaller; made when it is first asked for
}

// newPages reads what is embedded, and panics if any of it is wrong, as a template does
// when it is first asked for: that is a mistake in the program, found by its tests.
func New() *Pages {
	p := &Pages{
		templates: map[string]map[string]func() *template.Template{},
		assets:    map[string]asset{},
		Urls:      map[string]string{},
	}
	p.readAssets()
	p.languages = readLanguages(pageFiles)
	var tags []language.Tag
	for _, w := range p.languages {
		tags = append(tags, w.tag)
		p.templates[w.code] = p.parse(w)
	}
	p.match = language.NewMatcher(tags)
	return p
}

// parse finds every page for a language, since a template's functions, and with them
// the language of t, are fixed when it is parsed. Each is parsed when it is first asked
// for: most servers show few pages in few languages, and together they take six
// megabytes that the garbage collector walks through each time.
func (p *Pages) parse(w *words) map[string]func() *template.Template {
	funcs := template.FuncMap{
		"t":      w.text,
		"h":      w.html,
		"when":   w.when,
		"day":    w.day,
		"moment": w.moment,
		"count":  w.count,
		"lang":   func() string { return w.code },
		"device": w.device,
		"called": w.called,
		"bdi":    isolate,
		"clean":  clean,
		"raw":    Visible,
		"prose":  prose,
		"asset":  p.asset,
		"icon":   p.icon,
		"both":   func(page, item any) both { return both{page, item} },
		"field":  func(page any, name, kind string) field { return field{page, name, kind} },
	}
	layout := sync.OnceValue(func() *template.Template {
		return template.Must(template.New("layout.html").Funcs(funcs).ParseFS(pageFiles, "templates/layout.html", "templates/parts.html"))
	})
	files, err := fs.Glob(pageFiles, "templates/*.html")
	if err != nil {
		panic(err)
	}
	parsed := map[string]func() *template.Template{}
	for _, file := range files {
		name := path.Base(file)
		if name == "layout.html" || name == "parts.html" {
			continue
		}
		parsed[strings.TrimSuffix(name, ".html")] = sync.OnceValue(func() *template.Template {
			return template.Must(template.Must(layout().Clone()).ParseFS(pageFiles, file))
		})
	}
	return parsed
}

// both hands a part of a page the page itself too.
type both struct{ Page, Item any }

// field is an input of a page: its name and, for a password, which.
type field struct {
	Page       any
	Name, Kind string
}

// Render writes a page, such as "sessions", in a language from [Pages.Language]. It
// writes nothing when the template fails, so that w can still carry an error page.
func (p *Pages) Render(w io.Writer, page, lang string, data any) error {
	templates, ok := p.templates[lang]
	if !ok {
		templates = p.templates[p.languages[0].code]
	}
	parsed, ok := templates[page]
	if !ok {
		return fmt.Errorf("render %s: no such page", page)
	}
	var buf bytes.Buffer
	if err := parsed().ExecuteTemplate(&buf, "layout.html", data); err != nil {
		return fmt.Errorf("render %s: %w", page, err)
	}
	_, err := buf.WriteTo(w)
	return err
}

// Language picks the best language we have: the chosen one, usually a cookie's value,
// or else by the Accept-Language header.
func (p *Pages) Language(chosen, accept string) string {
	for _, w := range p.languages {
		if w.code == chosen {
			return chosen
		}
	}
	_, i := language.MatchStrings(p.match, accept)
	return p.languages[i].code
}

// Text says a message, by its English key, in one of our languages. What the args hold
// may come from strangers; the result is plain text.
func (p *Pages) Text(lang, key string, args ...any) string {
	for _, w := range p.languages {
		if w.code == lang {
			return w.text(key, args...)
		}
	}
	return p.languages[0].text(key, args...)
}

// HTML says a message as [Pages.Text] does, with its args isolated from each other.
func (p *Pages) HTML(lang, key string, args ...any) template.HTML {
	for _, w := range p.languages {
		if w.code == lang {
			return w.html(key, args...)
		}
	}
	return p.languages[0].html(key, args...)
}

// Assets.

// manifestFile says how the pages stand on a phone's home screen.
const manifestFile = "static/app.webmanifest"

func (p *Pages) readAssets() {
	files, err := fs.Glob(pageFiles, "static/*")
	if err != nil {
		panic(err)
	}
	types := map[string]string{
		".css":         "text/css; charset=utf-8",
		".js":          "text/javascript; charset=utf-8",
		".png":         "image/png",
		".svg":         "image/svg+xml",
		".webmanifest": "application/manifest+json",
	}
	manifest := slices.Index(files, manifestFile)
	files = append(slices.Delete(files, manifest, manifest+1), manifestFile) // it names others by their addresses
	for _, file := range files {
		body := readFile(pageFiles, file)
		name, ext := path.Base(file), path.Ext(file)
		contentType, ok := types[ext]
		if !ok {
			panic("no content type for " + file)
		}
		if file == manifestFile {
			for name, url := range p.Urls {
				body = bytes.ReplaceAll(body, []byte(`"`+name+`"`), []byte(`"`+url+`"`))
			}
		}
		sum := sha256.Sum256(body)
		hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		p.assets[hashed] = asset{contentType, body, sync.OnceValue(func() []byte { return packed(body) })}
		p.Urls[name] = "/static/" + hashed
	}
}

// packed is a body through gzip, or nil when that does not make it smaller.
func packed(body []byte) []byte {
	var to bytes.Buffer
	gz, _ := gzip.NewWriterLevel(&to, gzip.BestCompression)
	_, err := gz.Write(body)
	if err := errors.Join(err, gz.Close()); err != nil {
		panic(err)
	}
	if to.Len() >= len(body) {
		return nil
	}
	return to.Bytes()
}

// asset returns the address of a file in static/, which changes with its content.
func (p *Pages) asset(name string) (string, error) {
	if u, ok := p.Urls[name]; ok {
		return u, nil
	}
	return "", fmt.Errorf("no asset %s", name)
}

// ServeAsset answers a GET or HEAD for the last part of an asset's address. It reports
// false, having written nothing, when there is no such asset.
func (p *Pages) ServeAsset(w http.ResponseWriter, r *http.Request, name string) bool {
	a, ok := p.assets[name]
	if !ok {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := a.body
	if AcceptsGzip(r.Header.Get("Accept-Encoding")) {
		if packed := a.packed(); packed != nil {
			h.Set("Content-Encoding", "gzip")
			body = packed
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that left is nobody's error
	}
	return true
}

func AcceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q, isQ := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !isQ || err == nil && weight > 0
		}
	}
	return false
}

// icon draws one of the symbols of static/icons.svg. It is an ornament: whatever it
// means is also said in words.
func (p *Pages) icon(name string) template.HTML {
	return template.HTML(`<svg class="icon" width="20" height="20" aria-hidden="true" focusable="false"><use href="` +
		p.Urls["icons.svg"] + "#" + template.HTMLEscapeString(name) + `"></use></svg>`)
}

// Text from strangers.

// clean makes text from a stranger safe to stand in a sentence: characters that would
// turn the order of what follows, or cannot be seen, become U+FFFD.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if Hidden(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// Visible shows such characters by their numbers, for where the text itself is the
// matter, as with a raw user agent.
func Visible(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if Hidden(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Hidden is for control characters and for format characters, among them those of the
// bidirectional algorithm, but for the joiners, which some scripts need.
func Hidden(r rune) bool {
	return r != '\u200C' && r != '\u200D' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// prose sets our own texts: lines flow up to an empty one, and what is between
// backquotes is code.
func prose(s string) template.HTML {
	paragraphs := strings.Split(strings.TrimSpace(s), "\n\n")
	for i, text := range paragraphs {
		paragraphs[i] = strings.ReplaceAll(text, "\n", " ")
	}
	var b strings.Builder
	for i, part := range strings.Split(template.HTMLEscapeString(strings.Join(paragraphs, "\n\n")), "`") {
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String())
}

// isolate keeps the direction of a stranger's text from the text around it. A bare
// element would not do: a pop character inside it ends the isolation early.
func isolate(s string) template.HTML {
	return template.HTML("<bdi>" + template.HTMLEscapeString(clean(s)) + "</bdi>")
}

// html says a message whose parts are isolated. Parts that are HTML already, made by
// the other functions here, are left as they are.
func (w *words) html(key string, args ...any) template.HTML {
	parts := make([]any, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case template.HTML:
			parts[i] = string(arg)
		case string:
			parts[i] = string(isolate(arg))
		default:
			parts[i] = arg
		}
	}
	return template.HTML(w.say(key, parts))
}

// text says a message as plain text.
func (w *words) text(key string, args ...any) string {
	parts := make([]any, len(args))
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			arg = clean(s)
		}
		parts[i] = arg
	}
	return w.say(key, parts)
}

// Called is what a session is called in one of our languages: by its device's name, or by
// what it is. The result is plain text.
func (p *Pages) Called(lang string, r SessionRow) string {
	if r.Name != "" {
		return r.Name
	}
	return p.Device(lang, r.Client, r.System)
}

// called is what a session is called: by its device's name, or by what it is.
func (w *words) called(name, client, system string) string {
	if name != "" {
		return name
	}
	return w.device(client, system)
}

// Device names a client and its system in one of our languages, as the pages do. The
// result is plain text.
func (p *Pages) Device(lang, client, system string) string {
	for _, w := range p.languages {
		if w.code == lang {
			return w.device(client, system)
		}
	}
	return p.languages[0].device(client, system)
}

// app is a client that shows an app's pages and does not say its name, in English. As
// the device is named, so is where it runs.
var app = Msg("App")

// device names a client and its system, of which either may be unknown.
func (w *words) device(client, system string) string {
	if client == app {
		client = w.text(app)
	}
	switch {
	case client != "" && system != "":
		return w.text("%s on %s", client, system)
	case client != "" || system != "":
		return clean(client + system)
	}
	return w.text("Unknown client")
}

// Times. A page says them relative to its own moment, and names the exact one in UTC
// for those without JavaScript; app.js says both again in the reader's own zone.

// when says how long ago, or how soon, t is.
func (w *words) when(now, t time.Time) template.HTML {
	if t.IsZero() {
		return template.HTML(w.say("never", nil))
	}
	return w.timeElement("when", t, w.relative(now, t))
}

// day says the date of t.
func (w *words) day(now, t time.Time) template.HTML {
	if t.IsZero() {
		return template.HTML(w.say("never", nil))
	}
	return w.timeElement("day", t, w.date(now, t))
}

// moment says the date of t and its hour.
func (w *words) moment(now, t time.Time) template.HTML {
	if t.IsZero() {
		return template.HTML(w.say("never", nil))
	}
	return w.timeElement("moment", t, w.say("date and time", []any{w.date(now, t), t.UTC().Format("15:04")}))
}

func (w *words) timeElement(kind string, t time.Time, text string) template.HTML {
	t = t.UTC()
	exact := w.say("exact time", []any{
		strconv.Itoa(t.Day()), w.say(t.Format("Jan"), nil), strconv.Itoa(t.Year()), t.Format("15:04"),
	})
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s" data-time="%s">%s</time>`,
		t.Format("2006-01-02T15:04:05Z"), exact, kind, text))
}

func (w *words) relative(now, t time.Time) string {
	d, past := now.Sub(t), true
	if d < 0 {
		d, past = -d, false
	}
	pick := func(ago, in string, n time.Duration) string {
		if past {
			return w.say(ago, []any{int(n)})
		}
		return w.say(in, []any{int(n)})
	}
	switch {
	case d < time.Minute && past, d < time.Second: // a page's own moment is a little earlier than what it tells of
		return w.say("now", nil)
	case d < time.Hour:
		return pick("%d minutes ago", "in %d minutes", max(d/time.Minute, 1))
	case d < 24*time.Hour:
		return pick("%d hours ago", "in %d hours", d/time.Hour)
	case d < 7*24*time.Hour:
		return pick("%d days ago", "in %d days", d/(24*time.Hour))
	}
	return w.date(now, t)
}

func (w *words) date(now, t time.Time) string {
	t = t.UTC()
	month, day := w.say(t.Format("Jan"), nil), strconv.Itoa(t.Day())
	if d := now.Sub(t).Abs(); d < 300*24*time.Hour {
		return w.say("short date", []any{day, month})
	}
	return w.say("long date", []any{day, month, strconv.Itoa(t.Year())})
}

// count writes a whole number the way the language groups its digits.
func (w *words) count(n int) string {
	return w.printer.Sprint(n)
}
