package web

import (
	"bytes"
	"testing"
)

func TestRender(t *testing.T) {
	p := newPages()
	for _, lang := range []string{"en", "de"} {
		for _, s := range samples() {
			t.Run(lang+"/"+s.name, func(t *testing.T) {
				var buf bytes.Buffer
				if err := p.render(&buf, s.page, lang, s.data); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}
