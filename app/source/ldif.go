package source

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// readLDIF reads the people of a directory and their groups, as slapcat and ldapsearch write
// them (RFC 2849). Whoever has a uid is one; what has members is a group.
func readLDIF(content []byte) (users []User, err error) {
	entries := ldifEntries(content)
	groups := map[string]string{}    // names, by DN
	members := map[string][]string{} // the names of their groups, by DN or uid
	for _, e := range entries {
		name := e.first("cn")
		if name == "" {
			continue
		}
		groups[dn(e.first("dn"))] = name
		for _, attribute := range []string{"member", "uniquemember", "memberuid"} {
			for _, member := range e.values[attribute] {
				members[dn(member)] = append(members[dn(member)], name)
			}
		}
	}
	for _, e := range entries {
		u := User{Line: e.line, Username: e.first("uid"), Email: e.first("mail"), Password: e.first("userpassword"), Err: e.err}
		if e.first("dn") == "" || u.Username == "" && u.Err == nil { // what was searched for, or a group
			continue
		}
		if u.Name = e.first("displayname"); u.Name == "" {
			u.Name = e.first("cn")
		}
		u.Groups = slices.Concat(members[dn(e.first("dn"))], members[dn(u.Username)])
		for _, of := range e.values["memberof"] {
			name := groups[dn(of)]
			if name == "" { // its entry is not in the file
				name = nameIn(of)
			}
			if name != "" {
				u.Groups = append(u.Groups, name)
			}
		}
		slices.Sort(u.Groups)
		u.Groups = slices.Compact(u.Groups)
		// Locked for ever: of OpenLDAP's ppolicy, and of 389 Directory Server.
		u.Disabled = e.first("pwdaccountlockedtime") == "000001010000Z" || strings.EqualFold(e.first("nsaccountlock"), "true")
		users = append(users, u)
	}
	if users == nil {
		return nil, errors.New("this is no LDIF with people in it, who have a uid; give what slapcat or ldapsearch -LLL writes")
	}
	return users, nil
}

// An entry is one of an LDIF file.
type entry struct {
	line   int                 // where it begins
	values map[string][]string // of its attributes, whose names are in lower case
	err    error
}

func (e entry) first(attribute string) string {
	if values := e.values[attribute]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// add reads an unfolded line.
func (e *entry) add(line string) {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		e.err = errors.New("a line of it is not NAME: VALUE")
		return
	}
	name, _, _ = strings.Cut(strings.ToLower(name), ";") // from its options
	switch {
	case strings.HasPrefix(value, "<"): // it is in another file
		return
	case strings.HasPrefix(value, ":"):
		decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value[1:]))
		if err != nil {
			e.err = errors.New("its " + name + " is cut short")
		}
		value = string(decoded)
	default:
		value = strings.TrimLeft(value, " ")
	}
	if name == "changetype" && value != "add" {
		e.err = errors.New("it changes an entry, which is not in the file")
	}
	e.values[name] = append(e.values[name], value)
}

// ldifEntries are those of a file, between empty lines.
func ldifEntries(content []byte) (entries []entry) {
	e := entry{values: map[string][]string{}}
	var unfolded []byte
	n := 0
	for line := range strings.SplitSeq(strings.TrimPrefix(string(content), "\ufeff")+"\n\n", "\n") {
		n++
		line = strings.TrimSuffix(line, "\r")
		if more, ok := strings.CutPrefix(line, " "); ok && len(unfolded) > 0 {
			unfolded = append(unfolded, more...)
			continue
		}
		if len(unfolded) > 0 && unfolded[0] != '#' {
			e.add(string(unfolded))
		}
		if line == "" && (e.err != nil || len(e.values) > 0) {
			entries = append(entries, e)
			e = entry{values: map[string][]string{}}
		}
		if len(e.values) == 0 && e.err == nil {
			e.line = n
		}
		unfolded = append(unfolded[:0], line...)
	}
	return entries
}

var aroundDN = regexp.MustCompile(`\s*([,=])\s*`)

// dn is a DN in a form in which equal ones are the same.
func dn(text string) string { return strings.ToLower(aroundDN.ReplaceAllString(text, "$1")) }

var (
	firstValue = regexp.MustCompile(`(?s)^[^=]*=((?:\\.|[^\\,+])*)`)
	escaped    = regexp.MustCompile(`(?s)\\([[:xdigit:]]{2}|.)`)
)

// nameIn is what a DN begins with: Wiki, Editors of cn=Wiki\, Editors,ou=groups, in which the
// comma may be \2C as well (RFC 4514).
func nameIn(text string) string {
	m := firstValue.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(escaped.ReplaceAllStringFunc(m[1], func(code string) string {
		if b, err := hex.DecodeString(code[1:]); err == nil {
			return string(b)
		}
		return code[1:]
	}))
}
