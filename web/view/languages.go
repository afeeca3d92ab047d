package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// words are the messages of one language, from a file in languages/ that is named by
// its code. A message's key is the English text itself, so the templates read as
// English and whatever a language lacks is said in English. See languages/README.md.
type words struct {
	code     string
	tag      language.Tag
	name     func() string           // its own name for itself
	messages func() map[string]forms // read when they are first asked for: few servers speak all languages
	english  *words                  // where to look next; nil for English itself
	printer  *message.Printer
}

// forms are a message's texts by plural category, or its only one as "other".
type forms map[string]string

// UnmarshalJSON takes a text, or an object of texts by plural category.
func (f *forms) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*f = forms{"other": ""}
		var text string
		err := json.Unmarshal(data, &text)
		(*f)["other"] = text
		return err
	}
	return json.Unmarshal(data, (*map[string]string)(f))
}

// ownName is the key of what a language calls itself.
var ownName = Msg("language name")

// readLanguages panics on a file it cannot read, as all of them are embedded; so do the
// functions of a language.
func readLanguages(files fs.FS) []*words {
	names, err := fs.Glob(files, "languages/*.json")
	if err != nil {
		panic(err)
	}
	var all []*words
	for _, name := range names {
		w := &words{code: strings.TrimSuffix(path.Base(name), ".json")}
		w.tag = language.MustParse(w.code)
		w.printer = message.NewPrinter(w.tag)
		w.name = sync.OnceValue(func() (own string) {
			_, rest, _ := bytes.Cut(readFile(files, name), []byte(`"`+ownName+`":`))
			if err := json.NewDecoder(bytes.NewReader(rest)).Decode(&own); err != nil {
				panic(fmt.Sprintf("%s does not name its language: %v", name, err))
			}
			return own
		})
		w.messages = sync.OnceValue(func() (messages map[string]forms) {
			if err := json.Unmarshal(readFile(files, name), &messages); err != nil {
				panic(fmt.Sprintf("%s: %v", name, err))
			}
			return messages
		})
		all = append(all, w)
	}
	english := slices.IndexFunc(all, func(w *words) bool { return w.code == "en" })
	all[0], all[english] = all[english], all[0]
	for _, w := range all[1:] {
		w.english = all[0]
	}
	return all
}

func readFile(files fs.FS, name string) []byte {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		panic(err)
	}
	return data
}

// say fills in a message. The first whole number among args chooses the plural form.
func (w *words) say(key string, args []any) string {
	text := w.form(key, args)
	if len(args) == 0 {
		return text
	}
	return w.printer.Sprintf(text, args...)
}

func (w *words) form(key string, args []any) string {
	f, ok := w.messages()[key]
	if !ok {
		if w.english != nil {
			return w.english.form(key, args)
		}
		return key
	}
	if len(f) > 1 {
		for _, arg := range args {
			if n, isInt := arg.(int); isInt {
				category := plural.Cardinal.MatchPlural(w.tag, n, 0, 0, 0, 0)
				if text, ok := f[categories[category]]; ok {
					return text
				}
				break
			}
		}
	}
	return f["other"]
}

var categories = map[plural.Form]string{
	plural.Zero: "zero", plural.One: "one", plural.Two: "two",
	plural.Few: "few", plural.Many: "many", plural.Other: "other",
}
