package view

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"lastseen/web/browsertest"

	"github.com/chromedp/chromedp"
)

// widths are those of telephones, tablets and computers, and some beside the points at
// which the layout changes.
var widths = []int{320, 360, 390, 600, 640, 641, 740, 768, 860, 900, 901, 960, 1000, 1001, 1024, 1280, 1440}

// measure draws a page in frames of many widths, with all that folds open, and says what
// is wrong: what makes it scroll sideways, controls that are not whole on it, and words
// that are broken although they would fit on a line.
const measure = `
const text = (e) => (e.innerText || e.value || e.className || e.tagName).trim().slice(0, 60);
function faults(doc, width) {
	const found = [], say = (what, e) => found.push(width + ": " + what + ": " + text(e));
	if (doc.documentElement.scrollWidth > width) {
		const widest = [...doc.querySelectorAll("main *, header *, footer *")].filter((e) => e.getBoundingClientRect().right > width).pop();
		found.push(width + ": " + doc.documentElement.scrollWidth + " wide: " + (widest ? widest.outerHTML.slice(0, 120) : ""));
	}
	for (const e of doc.querySelectorAll("a, button, input, select, summary")) {
		if (e.closest(".unseen, .skip, [hidden], dialog") || !e.checkVisibility()) continue;
		const box = e.getBoundingClientRect();
		if (box.left < 0 || box.right > width + 0.5) say("off the page", e);
		if (e.matches("button, .button") && e.scrollWidth > e.clientWidth + 1) say("wider than its box", e);
	}
	for (const head of doc.querySelectorAll("table.list thead:not(.unseen) tr")) {
		const cells = [...(head.closest("table").querySelector("tbody tr:not(.group)")?.cells ?? [])];
		if (width > 1000) cells.forEach((c, i) => {
			if (head.cells[i] && Math.abs(head.cells[i].getBoundingClientRect().left - c.getBoundingClientRect().left) > 1) say("not above its column", head.cells[i]);
		});
	}
	const range = doc.createRange(), walk = doc.createTreeWalker(doc.querySelector("body"), NodeFilter.SHOW_TEXT);
	for (let node; (node = walk.nextNode()); ) {
		const e = node.parentElement;
		if (!node.data.trim() || !e.checkVisibility() || e.closest(".unseen, option, pre, svg")) continue;
		const box = (from, to) => { range.setStart(node, from); range.setEnd(node, to); return [...range.getClientRects()]; };
		const lines = new Set(box(0, node.length).map((r) => Math.round(r.top)));
		if (lines.size < 2) continue;
		for (const token of node.data.matchAll(/\S+/gu)) {
			const long = box(token.index, token.index + token[0].length).reduce((sum, r) => sum + r.width, 0);
			if (long > Math.min(width - 120, 180)) continue; // no column is sure to hold it
			for (const word of token[0].matchAll(/[\p{L}\p{M}\p{N}.:’']+/gu)) {
				const from = token.index + word.index, rects = box(from, from + word[0].length);
				if (new Set(rects.map((r) => Math.round(r.top))).size > 1) found.push(width + ": broken: " + word[0]);
			}
		}
	}
	return found;
}
async function measure(names, widths) {
	const frame = document.querySelector("iframe"), all = {};
	for (const name of names) {
		await new Promise((done) => { frame.onload = done; frame.src = "/" + name; });
		const doc = frame.contentDocument;
		for (const d of doc.querySelectorAll("details")) d.open = true;
		for (const width of widths) {
			frame.width = width;
			const found = faults(doc, width);
			if (found.length) all[name] = (all[name] ?? []).concat(found);
		}
	}
	return JSON.stringify(all);
}`

// TestLayout walks every page through all widths in every language.
func TestLayout(t *testing.T) {
	ctx := browsertest.Start(t)
	var names []string
	for _, s := range samples() {
		names = append(names, s.name)
	}
	list, _ := json.Marshal(names)
	sizes, _ := json.Marshal(widths)
	for _, w := range New().languages {
		t.Run(w.code, func(t *testing.T) {
			pages := sampleServer(t, w.code).Config.Handler
			srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/" {
					rw.Header().Set("Content-Type", "text/html")
					_, _ = rw.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><iframe height="900" style="border: 0"></iframe>`))
					return
				}
				pages.ServeHTTP(framed{rw}, r)
			}))
			defer srv.Close()
			if err := chromedp.Do(ctx, browsertest.Look(1500, "light"), chromedp.Navigate(srv.URL+"/"), chromedp.Evaluate[chromedp.Void](measure+"; 0")); err != nil {
				t.Fatal(err)
			}
			got, err := chromedp.Run(ctx, chromedp.Evaluate[string]("measure("+string(list)+", "+string(sizes)+")", chromedp.EvalAwaitPromise))
			if err != nil {
				t.Fatal(err)
			}
			var found map[string][]string
			if err := json.Unmarshal([]byte(got), &found); err != nil {
				t.Fatal(err)
			}
			for name, faults := range found {
				for _, fault := range faults {
					t.Errorf("%s: %s", name, fault)
				}
			}
		})
	}
}

// framed leaves out the policy, which forbids frames.
type framed struct{ http.ResponseWriter }

func (f framed) WriteHeader(status int) {
	f.Header().Del("Content-Security-Policy")
	f.ResponseWriter.WriteHeader(status)
}

func (f framed) Write(b []byte) (int, error) {
	f.Header().Del("Content-Security-Policy")
	return f.ResponseWriter.Write(b)
}
