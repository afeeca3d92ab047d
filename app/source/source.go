// Package source reads the users of other programs, from the files that those keep or
// write. It decides nothing: what becomes of a user is package app's.
package source

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// A User is one that a source names.
type User struct {
	Line                            int // where it stands; of a JSON array, its number in it; from 1
	Username, Name, Email, Password string
	Groups                          []string
	Disabled, Superuser             bool
	TOTP                            string // the base32 secret of an authenticator app; "" for none
	Err                             error  // why the entry says no user, of whom no more counts than what could be read of the name
}

// Readers read a whole source, by the name of its program, into the users in the order in
// which they stand there. What cannot be read at all is an error, one entry that cannot is a
// user's.
var Readers = map[string]func(content []byte) ([]User, error){
	"authelia":  readAuthelia,
	"authentik": readAuthentik,
	"htpasswd":  readHtpasswd,
	"ldif":      readLDIF,
	"tinyauth":  readTinyauth,
}

var errAuthelia = errors.New("this is no YAML with `users:` and users below it; give Authelia's users_database.yml")

// readAuthelia reads a users_database.yml
// (https://www.authelia.com/reference/guides/passwords/).
func readAuthelia(content []byte) (users []User, err error) {
	var file struct {
		Users yaml.Node `yaml:"users"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		return nil, errAuthelia // err would repeat what is in the file
	}
	if file.Users.Kind != yaml.MappingNode {
		return nil, errAuthelia
	}
	for i := 0; i+1 < len(file.Users.Content); i += 2 {
		key, value := file.Users.Content[i], file.Users.Content[i+1]
		var entry struct {
			Disabled    bool     `yaml:"disabled"`
			DisplayName string   `yaml:"displayname"`
			Password    string   `yaml:"password"`
			Email       string   `yaml:"email"`
			Groups      []string `yaml:"groups"`
		}
		if err := value.Decode(&entry); err != nil {
			users = append(users, User{Line: key.Line, Username: key.Value, Err: errors.New("something of this user is no text, list or yes and no")})
			continue
		}
		users = append(users, User{Line: key.Line, Username: key.Value, Name: entry.DisplayName, Email: entry.Email,
			Password: entry.Password, Groups: entry.Groups, Disabled: entry.Disabled})
	}
	return users, nil
}

// readAuthentik reads a CSV with a header line, or a JSON array of objects, with the
// columns username, name, email, password, is_active, is_superuser, groups. All but the
// first may be missing.
func readAuthentik(content []byte) (users []User, err error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	if bytes.HasPrefix(bytes.TrimSpace(content), []byte("[")) {
		return readAuthentikJSON(content)
	}
	r := csv.NewReader(bytes.NewReader(content))
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("this is no CSV with a header line: %w", err)
	}
	for i, name := range header {
		header[i] = strings.ToLower(strings.TrimSpace(name))
	}
	if !slices.Contains(header, "username") {
		return nil, errors.New("the header line names no column `username`; docs/moving.md has the command that writes one")
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return users, nil
		}
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			users = append(users, User{Line: parse.StartLine, Err: parse.Err})
			continue
		}
		if err != nil {
			return users, err
		}
		line, _ := r.FieldPos(0)
		if len(row) != len(header) {
			users = append(users, User{Line: line, Err: fmt.Errorf("it has %d columns, the header line has %d", len(row), len(header))})
			continue
		}
		fields := map[string]any{}
		for i, name := range header {
			fields[name] = row[i]
		}
		users = append(users, authentikUser(line, fields))
	}
}

func readAuthentikJSON(content []byte) (users []User, err error) {
	var objects []map[string]any
	if err := json.Unmarshal(content, &objects); err != nil {
		return nil, fmt.Errorf("this is no JSON array of users: %w", err)
	}
	for i, o := range objects {
		users = append(users, authentikUser(i+1, o))
	}
	return users, nil
}

func authentikUser(line int, fields map[string]any) User {
	u := User{Line: line}
	var errs []error
	for name, text := range map[string]*string{"username": &u.Username, "name": &u.Name, "email": &u.Email, "password": &u.Password} {
		switch v := fields[name].(type) {
		case nil:
		case string:
			*text = v
		default:
			errs = append(errs, fmt.Errorf("%s is no text", name))
		}
	}
	yes := func(name string, otherwise bool) bool {
		switch v := fields[name].(type) {
		case bool:
			return v
		case string:
			switch strings.ToLower(v) {
			case "t", "true", "1", "yes":
				return true
			case "f", "false", "0", "no":
				return false
			case "":
				return otherwise
			}
			errs = append(errs, fmt.Errorf("%s is neither true nor false, but %q", name, v))
		case nil:
		default:
			errs = append(errs, fmt.Errorf("%s is neither true nor false", name))
		}
		return otherwise
	}
	u.Disabled, u.Superuser = !yes("is_active", true), yes("is_superuser", false)
	var err error
	u.Groups, err = names(fields["groups"])
	u.Err = errors.Join(append(errs, err)...)
	return u
}

// names are those of groups: a JSON array, PostgreSQL's text of one, or separated by |.
func names(v any) (groups []string, err error) {
	text, ok := v.(string)
	switch {
	case v == nil:
		return nil, nil
	case !ok:
		content, _ := json.Marshal(v)
		text = string(content)
	}
	switch text = strings.TrimSpace(text); {
	case text == "":
		return nil, nil
	case text[0] == '[':
		if err := json.Unmarshal([]byte(text), &groups); err != nil {
			return nil, fmt.Errorf("groups: %w", err)
		}
	case text[0] == '{' && strings.HasSuffix(text, "}"): // https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
		r := csv.NewReader(strings.NewReader(strings.ReplaceAll(text[1:len(text)-1], `\"`, `""`)))
		r.LazyQuotes = true
		if groups, err = r.Read(); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("groups: %w", err)
		}
	default:
		groups = strings.Split(text, "|")
	}
	return slices.DeleteFunc(groups, func(g string) bool { return g == "" || g == "NULL" }), nil
}

// readHtpasswd reads lines of NAME:HASH, as Apache's htpasswd writes them.
func readHtpasswd(content []byte) ([]User, error) {
	return readLines(content, func(line string) User {
		name, hash, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return User{Err: errors.New("a line is NAME:HASH")}
		}
		hash, _, _ = strings.Cut(hash, ":") // some programs keep more behind it
		return User{Username: name, Password: hash}
	})
}

// readTinyauth reads NAME:HASH or NAME:HASH:TOTP, on lines or separated by commas as in
// the variable that holds them, in which a compose file writes $$ for $
// (https://tinyauth.app/docs/reference/configuration.html).
func readTinyauth(content []byte) ([]User, error) {
	return readLines(content, func(line string) User {
		parts := strings.Split(strings.ReplaceAll(line, "$$", "$"), ":")
		if len(parts) < 2 {
			parts[0] = "" // as likely a hash as a name
		}
		if len(parts) < 2 || len(parts) > 3 || parts[0] == "" {
			return User{Username: parts[0], Err: errors.New("a user is NAME:HASH, or NAME:HASH:SECRET with a second factor")}
		}
		u := User{Username: parts[0], Password: parts[1]}
		if len(parts) == 3 {
			u.TOTP = parts[2]
		}
		return u
	}, "TINYAUTH_AUTH_USERS=", "TINYAUTH_USERS=", "USERS=")
}

// readLines reads one user a line or, where they may be in one of these variables, several
// separated by commas.
func readLines(content []byte, read func(string) User, variables ...string) (users []User, err error) {
	n := 0
	for line := range strings.SplitSeq(strings.TrimPrefix(string(content), "\ufeff"), "\n") {
		n++
		if line = strings.Trim(strings.TrimSpace(line), `"'`); strings.HasPrefix(line, "#") {
			continue
		}
		entries := []string{line}
		if variables != nil {
			for _, variable := range variables {
				line = strings.TrimPrefix(line, variable)
			}
			entries = strings.Split(strings.Trim(line, `"'`), ",")
		}
		for _, entry := range entries {
			if entry = strings.TrimSpace(entry); entry == "" {
				continue
			}
			u := read(entry)
			u.Line = n
			users = append(users, u)
		}
	}
	if len(users) == 0 {
		return nil, errors.New("there is no user in it")
	}
	return users, nil
}

// Where names the place of a user or problem in a source.
func Where(line int) string { return "line " + strconv.Itoa(line) }
