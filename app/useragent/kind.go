package useragent

import "strings"

// Kinds of clients: Agent.Kind is always one of these.
const (
	Phone   = "phone"
	Tablet  = "tablet"
	Desktop = "desktop"
	TV      = "tv"
	Console = "console"
	Script  = "script" // a program or library that is no browser
	Bot     = "bot"
	Unknown = "unknown"
)

// kindVersion is part of Parser.Version: change it whenever a kind may change.
const kindVersion = "1"

// kindRules are tried in order. A rule holds if one of its words is in the part that
// it looks at, of which "^" is the start and "$" the end. Apps on a phone may name
// their HTTP library, so only a header that starts with one is a script's; consoles
// and televisions name the system beneath, so they come before it.
var kindRules = []struct {
	kind  string
	part  func(folded string, a Agent) string
	words []string
}{
	{Script, header, []string{
		"^curl", "^wget", "^httpie", "^xh/", "^postman", "^insomnia", "^bruno", "^hurl", "^k6/", "powershell/",
		"^python", "^aiohttp", "^httpx", "^go-http-client", "^java/", "^apache-httpclient", "^okhttp", "^dart", "^rust", "^reqwest",
		"^node", "^axios", "^undici", "^got ", "^deno", "^bun/", "^php", "^guzzle", "^ruby", "^faraday", "^perl", "^lwp", "^libwww-perl",
		"^git/", "^rclone", "^restic",
	}},
	{Bot, device, []string{"^spider$"}},
	{Bot, header, []string{"bot/", "crawler", "spider", "headlesschrome", "uptime-kuma", "blackbox"}},
	{Console, header, []string{"playstation", "xbox", "nintendo"}},
	{TV, system, []string{"tv", "chromecast"}},
	{TV, header, []string{
		"smart-tv", "smarttv", "smart tv", "android tv", "hbbtv", "web0s", "webos.tv", "netcast", "crkey",
		"bravia", "viera", "^roku", "; aft", "mitv", "tv safari", " tv)", " tv build",
	}},
	{Tablet, header, []string{"ipad", "kindle", "silk/", "playbook", "touchpad"}},
	{Phone, header, []string{"iphone", "ipod", "windows phone", "windowsphone", "windows ce", "iemobile", "opera mobi", "midp"}},
	{Phone, system, []string{"^ios$", "^kaios$", "^blackberry", "^firefox os$", "^symbian", "^harmonyos$"}},
	{Tablet, android, []string{"^mozilla/"}},
	{Phone, system, []string{"^android$"}},
	{Desktop, system, []string{"^windows", "^mac os", "linux", "^chrome os$", "^ubuntu$", "^fedora$", "^debian$", "^red hat$", "^gentoo$", "bsd$", "^solaris$"}},
	{Phone, header, []string{"mobile"}},
}

func header(folded string, _ Agent) string { return folded }
func device(_ string, a Agent) string      { return fold(a.Device) }
func system(_ string, a Agent) string      { return fold(a.OS) }

// android is the header of an Android that does not call itself mobile. Of browsers
// those are on tablets; apps say nothing either way.
func android(folded string, a Agent) string {
	if a.OS != "Android" || strings.Contains(folded, "mobile") {
		return ""
	}
	return folded
}

func kind(folded string, a Agent) string {
	for _, rule := range kindRules {
		part := "^" + rule.part(folded, a) + "$"
		for _, word := range rule.words {
			if strings.Contains(part, word) {
				return rule.kind
			}
		}
	}
	return Unknown
}
