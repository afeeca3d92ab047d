package source

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

const (
	adaHash  = "{SSHA}h23NXsd5jnwFAO0BmaPb1ycTcd9LW6nz"
	zoeHash  = "{ARGON2}$argon2i$v=19$m=4096,t=3,p=1$Za6IZlLKB/H0GtWifESaNg$0uteb8z5r3VtVrcsJoDWJrmyXzDAyunu0TiX8fsBc2k"
	searched = `# extended LDIF
#
# filter: (uid=*)

# ada, people, home.example
dn: uid=ada,ou=people,dc=home,dc=example
uid: ada
cn: Ada
  Example
memberOf: cn=Late,ou=groups,dc=home,dc=example

# search result
search: 2
result: 0 Success
`
	broken = `version: 1

dn: uid=ada,ou=people
uid: ada
userPassword;x-old:: e1NTSEF9
# a comment
 that goes on
jpegPhoto:< file:///photo

dn: uid=bob,ou=people
uid: bob
userPassword:: e1NTSE!

dn: uid=eve,ou=people
changetype: modify
add: userPassword

nonsense

dn: uid=zoe
nonsense

dn: uid=zoe
uid: zoe
nsAccountLock: TRUE
memberOf: CN=films,dc=x`
)

// The first two are what slapcat and ldapsearch of OpenLDAP 2.5 wrote of a directory that
// was made for this, shortened.
func TestLDIF(t *testing.T) {
	slapcat, err := os.ReadFile("testdata/slapcat.ldif")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		content string
		want    []User // with the text of their error as the password
	}{
		"slapcat": {string(slapcat), []User{
			{Line: 16, Username: "ada", Name: "Ada Example", Email: "ada@home.example", Password: adaHash, Groups: []string{"Late", "Wiki, Editors", "family", "films"}},
			{Line: 26, Username: "zoë", Name: "Zoë Exempel", Email: "zoe@home.example", Password: zoeHash, Groups: []string{"family"}},
			{Line: 40, Username: "bob", Name: "Bob Example", Password: "{CRYPT}RXwcRgrmp5OeI0ksBYtGIQLg", Groups: []string{"films"}, Disabled: true},
		}},
		"ldapsearch": {searched, []User{{Line: 6, Username: "ada", Name: "Ada Example", Groups: []string{"Late"}}}},
		"broken": {broken, []User{
			{Line: 3, Username: "ada", Password: "{SSHA}"},
			{Line: 10, Username: "bob", Password: "its userpassword is cut short"},
			{Line: 14, Password: "it changes an entry, which is not in the file"},
			{Line: 20, Password: "a line of it is not NAME: VALUE"},
			{Line: 23, Username: "zoe", Groups: []string{"films"}, Disabled: true},
		}},
	} {
		for _, end := range []string{"\n", "\r\n"} {
			users, err := readLDIF([]byte(strings.ReplaceAll(tt.content, "\n", end)))
			for i, u := range users {
				if u.Err != nil {
					users[i].Password, users[i].Err = u.Err.Error(), nil
				}
				if len(u.Groups) == 0 {
					users[i].Groups = nil
				}
			}
			if err != nil || !reflect.DeepEqual(users, tt.want) {
				t.Errorf("%s: got %+v, %v, want %+v", name, users, err, tt.want)
			}
		}
	}
	for of, want := range map[string]string{
		`cn=Wiki\2C Editors,ou=groups`: "Wiki, Editors", `CN = Wiki\, Editors , ou=groups`: "Wiki, Editors",
		`cn=a\+b\=c+ou=d,dc=x`: "a+b=c", `cn=Zo\c3\ab`: "Zoë", `cn=\\,dc=x`: `\`, `cn=a\ ,dc=x`: "a", `cn=,dc=x`: "", "films": "", `cn=a\`: "a", "": "",
	} {
		content := "dn: uid=ada\nuid: ada\nmemberOf: " + of + "\n"
		if users, err := readLDIF([]byte(content)); err != nil || len(users) != 1 || strings.Join(users[0].Groups, "|") != want {
			t.Errorf("%s: got %+v, %v, want %q", of, users, err, want)
		}
	}
	for _, content := range []string{"", "dn: cn=a\ncn: a\n", "no LDIF\n\nat all"} {
		if users, err := readLDIF([]byte(content)); err == nil {
			t.Errorf("%q has the people %+v", content, users)
		}
	}
}
