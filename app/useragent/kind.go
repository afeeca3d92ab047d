package useragent

import "strings"

// Kinds of clients, as a page draws them.
const (
	Phone   = "phone"
	Tablet  = "tablet"
	Desktop = "desktop"
	TV      = "tv"
	Console = "console"
	Script  = "script"
	Bot     = "bot"
	Unknown = "unknown"
)

// kindVersion changes whenever the rules below do.
const kindVersion = "1"

// kindRules give the kind by words in lower case: the first rule of which a word
// is in the named text wins. Apps on phones name their HTTP library too, so
// devices come before programs.
var kindRules = []struct {
	kind  string
	text  func(folded string, a Agent) string
	words []string
}{
	{Bot, device, []string{"spider"}},
	{Bot, header, []string{"bot/", "bot;", "crawler", "spider"}},
	{TV, header, []string{"smart-tv", "smarttv", "appletv", "apple tv", "tvos", "googletv", "android tv", "bravia", "web0s", "webos.tv", "netcast", "hbbtv", "crkey", "aftt", "aftm", "aftb", "afts", "roku", "viera", "tizen 2.4.0) applewebkit", "; tv)"}},
	{Console, header, []string{"playstation", "xbox", "nintendo"}},
	{Tablet, header, []string{"ipad", "tablet", "kindle", "silk/"}},
	{Phone, header, []string{"iphone", "ipod", "windows phone", "mobile; rv:", "kaios", "blackberry", "bb10"}},
	{Desktop, header, []string{"windows nt", "macintosh", "x11;", "cros "}},
	{Phone, mobileAndroid, []string{"android"}},
	{Tablet, header, []string{"android"}},
	{Phone, system, []string{"ios", "android", "harmonyos"}},
	{Script, header, []string{"curl/", "wget/", "python", "go-http-client", "okhttp", "java/", "httpie", "node", "axios", "ruby", "perl", "powershell", "restic", "git/", "libwww", "aiohttp", "guzzle", "postman", "insomnia", "rclone", "bitwarden_cli", "apache-httpclient"}},
	{Desktop, system, []string{"windows", "mac os x", "linux", "ubuntu", "fedora", "debian", "chrome os", "freebsd", "openbsd"}},
}

func header(folded string, _ Agent) string { return folded }
func device(_ string, a Agent) string      { return fold(a.Device) }
func system(_ string, a Agent) string      { return fold(a.OS) }

// mobileAndroid is the header of an Android that calls itself mobile, as phones do.
func mobileAndroid(folded string, _ Agent) string {
	if strings.Contains(folded, "mobile") {
		return folded
	}
	return ""
}

func kind(header string, a Agent) string {
	folded := fold(header)
	for _, rule := range kindRules {
		text := rule.text(folded, a)
		for _, word := range rule.words {
			if strings.Contains(text, word) {
				return rule.kind
			}
		}
	}
	return Unknown
}
