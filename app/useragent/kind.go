package useragent

import (
	"slices"
	"strings"
)

// Kinds of clients: Agent.Kind is always one of these.
const (
	Phone   = "phone"
	Tablet  = "tablet"
	Desktop = "desktop"
	TV      = "tv" // or a box at one
	Watch   = "watch"
	Reader  = "reader" // for books
	Console = "console"
	Script  = "script" // a program or library that is no browser
	Bot     = "bot"
	Unknown = "unknown"
)

// kindVersion is part of Parser.Version: change it whenever a kind may change.
const kindVersion = "2"

// kindRules are tried in order. A rule holds if one of its words is in the part that
// it looks at, of which "^" is the start and "$" the end. Consoles and televisions name
// the system beneath, so they come before it; what names itself and no device is a
// script's, whatever system it runs on.
var kindRules = []struct {
	kind  string
	part  func(header, folded string, a Agent) string
	words []string
}{
	{Bot, spider, []string{"^spider$"}},
	{Bot, folded, []string{"bot/", "bot ", "bot_", "crawler", "spider", "headlesschrome", "uptime-kuma", "blackbox"}},
	{Console, folded, []string{"playstation", "xbox", "nintendo"}},
	{TV, system, []string{"tv", "chromecast"}},
	{TV, folded, []string{
		"smart-tv", "smarttv", "smart tv", "android tv", "google tv", "googletv", "apple tv", "appletv", "hbbtv", "web0s", "webos.tv", "netcast", "crkey",
		"bravia", "viera", "chromecast", "^roku", "^kodi", "; aft", "mitv", "tv safari", " tv)", " tv build",
	}},
	{Watch, system, []string{"watch", "wear"}},
	{Watch, folded, []string{"watchos", "apple watch", "wear os"}},
	{Reader, folded, []string{"kindle/", "kobo ", "kobo/", "pocketbook", "tolino"}},
	{Tablet, folded, []string{"ipad", "kindle", "silk/", "playbook", "touchpad"}},
	{Phone, folded, []string{"iphone", "ipod", "windows phone", "windowsphone", "windows ce", "iemobile", "opera mobi", "opera mini", "midp", "-ios/", "_ios_", "-android/", "_android_", " android/"}},
	{Phone, system, []string{"^ios$", "^kaios$", "^blackberry", "^firefox os$", "^symbian", "^harmonyos$"}},
	{Tablet, android, []string{"^mozilla/"}},
	{Phone, system, []string{"^android$"}},
	{Script, named, []string{""}},
	{Desktop, system, []string{"^windows", "^mac os", "linux", "^chrome os$", "^ubuntu$", "^fedora$", "^debian$", "^red hat$", "^gentoo$", "bsd$", "^solaris$"}},
	{Phone, folded, []string{"mobile"}},
}

func folded(_, folded string, _ Agent) string { return folded }
func system(_, _ string, a Agent) string      { return fold(a.OS) }

// android is the header of an Android that does not call itself mobile. Of browsers
// those are on tablets; apps say nothing either way.
func android(header, folded string, a Agent) string {
	if a.OS != "Android" || strings.Contains(folded, "mobile") || named(header, folded, a) != "" {
		return ""
	}
	return folded
}

func kind(header, folded string, a Agent) string {
	for _, rule := range kindRules {
		if part := rule.part(header, folded, a); part != "" {
			part = "^" + part + "$"
			if slices.ContainsFunc(rule.words, func(word string) bool { return strings.Contains(part, word) }) {
				return rule.kind
			}
		}
	}
	return Unknown
}

// spider is the device, unless a client names itself and no page about it: many
// libraries pass for robots.
func spider(header, folded string, a Agent) string {
	if named(header, folded, a) != "" && !strings.Contains(folded, "http:") && !strings.Contains(folded, "https:") {
		return ""
	}
	return fold(a.Device)
}

// named is the name that a client gives itself.
func named(header, _ string, _ Agent) string {
	name, _, _ := ownName(header)
	return name
}
