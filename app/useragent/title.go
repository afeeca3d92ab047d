package useragent

import (
	"strings"
	"unicode"
)

// App is the client of a title where an app on a device shows pages and does not say its
// name. It is a word, for viewers to translate.
const App = "App"

// maxTitle is how many characters of a name that a client gives itself are shown.
const maxTitle = 40

// Title is what a person calls a client and its device or system, such as "Firefox 140"
// and "Linux"; either is "" when unknown. header is what was parsed into a, after Clean.
// The result may hold what a stranger wrote.
//
// Three rules make it: a client that names itself is called by that name; no version that
// browsers have frozen, and no word twice; and families have the names that people know.
func Title(header string, a Agent) (client, system string) {
	system = systemTitle(header, a)
	if name, version, ok := ownName(header); ok && !strings.HasPrefix(fold(a.Browser), fold(name)+" ") {
		for _, word := range []string{firstWord(system), "Android", "iOS"} { // Jellyfin-Android on Android
			if short, ok := withoutWord(name, word); ok {
				name = short
				if word != system && firstWord(system) == word || system == "" { // the version is the app's, or there was none
					system = strings.TrimSpace(word + " " + numbers(after(header, "; "+word+" ", ";"+word+" ")))
				}
				break
			}
		}
		return name + version, unlessSaid(system, name)
	}
	if a.Browser == "Other" {
		return "", system
	}
	name, version := plainName(a.Browser), a.BrowserMajor
	if name == "" || name == "Android" || a.Browser == "Apple Mail" && !strings.Contains(header, "Mail/") {
		return App, system
	}
	if version == "537" || version == "604" || version == "605" { // of WebKit, for ever
		version = ""
	}
	return strings.TrimSpace(name + " " + version), unlessSaid(system, name)
}

// after is what follows the first of the marks that s holds.
func after(s string, marks ...string) string {
	for _, mark := range marks {
		if _, rest, ok := strings.Cut(s, mark); ok {
			return rest
		}
	}
	return ""
}

// engines are the products that browsers name before their own, and words that follow
// them: a header that goes on with one is a browser's.
var engines = []string{"applewebkit", "gecko", "khtml", "presto", "goanna", "trident", "opera", "version", "chrome", "firefox", "safari", "mobile", "like", "msie"}

// ownName is the name that a client that is no browser gives itself, with a space and
// its version where that has one: the first product of a header that does not begin as
// browsers' do, or else the one after Mozilla/5.0 and its comment, if that is no engine.
func ownName(header string) (name, version string, ok bool) {
	if strings.HasPrefix(header, "Opera/") {
		return "", "", false
	}
	if after, mozilla := strings.CutPrefix(header, "Mozilla/"); mozilla {
		_, after, _ = strings.Cut(after, " ")
		if strings.HasPrefix(after, "(") {
			if after, ok = afterComment(after); !ok {
				return "", "", false
			}
		}
		header = strings.TrimSpace(after)
		word := fold(header)
		for _, engine := range engines {
			if rest, found := strings.CutPrefix(word, engine); found && (rest == "" || !unicode.IsLetter(rune(rest[0]))) {
				return "", "", false
			}
		}
	}
	name, rest, _ := strings.Cut(header, "/")
	if end := strings.IndexAny(name, "(;,\""); end >= 0 {
		name, rest = name[:end], ""
	}
	name = strings.TrimFunc(strings.ReplaceAll(name, "_", " "), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if before, behind := strings.CutSuffix(name, " Mozilla"); behind { // a browser's header after one's own name
		name, rest = before, ""
	}
	number := numbers(strings.TrimPrefix(rest, "v"))
	if i := strings.LastIndexAny(name, " -"); number == "" && i > 0 { // Name 1.2, Name-v1.2
		if number = numbers(strings.TrimPrefix(name[i+1:], "v")); number != "" {
			name = name[:i]
		}
	}
	if !strings.ContainsFunc(name, unicode.IsLetter) {
		return "", "", false
	}
	if runes := []rune(name); len(runes) > maxTitle {
		name = string(runes[:maxTitle-1]) + "…"
	}
	if number != "" {
		version = " " + number
	}
	return name, version, true
}

// afterComment is what follows a comment, which may hold others, at the beginning.
func afterComment(s string) (after string, ok bool) {
	depth := 0
	for i, c := range s {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[i+1:], true
			}
		}
	}
	return "", false
}

// numbers are the first two numbers of a version, "" if it does not begin with one.
func numbers(version string) string {
	end, dots := 0, 0
	for end < len(version) && end < 12 {
		c := version[end]
		if c == '.' {
			if dots++; dots == 2 {
				break
			}
		} else if c < '0' || c > '9' {
			break
		}
		end++
	}
	return strings.TrimSuffix(strings.Trim(version[:end], "."), ".0")
}

// programmersWords stand in families and say nothing to others.
var programmersWords = map[string]bool{"mobile": true, "ios": true, "desktop": true, "android": true, "ui": true}

// plainName is what people call a family, "" for a web view, which shows an app's pages.
func plainName(family string) string {
	if strings.Contains(family, "WebView") {
		return ""
	}
	var words []string
	for word := range strings.FieldsSeq(family) {
		if !programmersWords[fold(word)] {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return family
	}
	return strings.Join(words, " ")
}

// systemTitle is what a person calls the device or its system, "" when unknown.
func systemTitle(header string, a Agent) string {
	if a.DeviceBrand == "Apple" {
		for _, device := range []string{"iPhone", "iPad", "iPod", "Apple TV", "AppleTV", "Watch"} { // which say more than their systems
			if strings.HasPrefix(a.Device, device) {
				switch device {
				case "AppleTV":
					return "Apple TV"
				case "Watch":
					return "Apple Watch"
				}
				return device
			}
		}
	}
	if device := deviceTitle(a); a.Kind == Console && device != "" {
		return device
	}
	if a.Kind == Watch && strings.Contains(fold(header), "watch") {
		return "Apple Watch"
	}
	name, version := a.OS, a.OSMajor
	switch name {
	case "Other":
		return deviceTitle(a)
	case "Mac OS X":
		if a.Kind == TV {
			return deviceTitle(a)
		}
		return "macOS" // browsers give no true version
	case "Chromecast Linux":
		return "Chromecast"
	case "Chrome OS":
		return "ChromeOS"
	case "Windows":
		if version == "10" { // 11 calls itself so too
			version = ""
		}
	case "Android":
		if version == "10" && strings.HasPrefix(header, "Mozilla/") { // as do later ones
			version = ""
		}
	}
	return strings.TrimSpace(name + " " + version)
}

// deviceTitle is the device where the system is unknown, as with consoles.
func deviceTitle(a Agent) string {
	if a.Device == "Other" || a.Device == "Spider" || strings.HasPrefix(a.Device, "Generic") {
		return ""
	}
	return a.Device
}

// withoutWord is a name without a word at its end, if it is there.
func withoutWord(name, word string) (short string, ok bool) {
	n := len(name) - len(word) - 1
	if n <= 0 || word == "" || !strings.EqualFold(name[n+1:], word) || name[n] != ' ' && name[n] != '-' {
		return name, false
	}
	return name[:n], true
}

// unlessSaid is the system, "" where the client's name says it already.
func unlessSaid(system, name string) string {
	if word := firstWord(system); word != "" && fold(firstWord(name)) == fold(word) {
		return ""
	}
	return system
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}
