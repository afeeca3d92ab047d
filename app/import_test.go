package app

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"lastseen/app/source"
	"lastseen/db"
)

// Files in the form that the programs keep. Those of htpasswd were written by its own tool;
// the others' hashes by what these programs hash with: go-crypt for Authelia, with its
// defaults, Django for authentik, Go's bcrypt for tinyauth. The password is "hunter22secret"
// wherever there is one that counts.
var sources = []struct {
	program, content string
	want             map[string]string // what holds of whom: in, off, none (without a password), code (asked for a code)
	problems         []int
}{
	{"htpasswd", `apra:$apr1$MNxn7NPN$KOI5qrY7bGKcv5GcKJGJZ0
bcr:$2y$05$r/2Z3faonLmlsQy1imDgmOePSTBFPYre.l1leccZizOYgY6Zuz01a
shaa:{SHA}oEChSzYGTx7BMrZbjb1lJR4Zeuw=
des:ubvRZwK0SwT0M
sha5:$6$a.bl..EWQYIVj9xs$k1kyYlO.9omGUBuONAW/g5lQHhZjD5RdCiIOedgkPpPNTNAOH/F24t5MpmYWBiXtUBAGBMriv3vVs6J.gvKuP0
# a comment, with a comma
arg:$argon2id$v=19$m=65536,t=3,p=4$SOBn74V80IZC1dj4YCMLGg$CS+XbCjo40wunFMgF4/pZBM03uRmeEZhIsoEM8tJHv0

nothing
:$2y$05$x
`, map[string]string{"apra": "in", "bcr": "in", "shaa": "in", "des": "none", "sha5": "in", "arg": "in"}, []int{9, 10}},
	{"authentik", `username,name,email,password,is_active,is_superuser,groups
akadmin,"authentik Default Admin",a@b.example,"pbkdf2_sha256$390000$saltsaltsalt$DqsxR7nlpgvjl5LcRH/iWUKZ+7LcDw+UU+W4RcpiqJo=",t,t,"{""authentik Admins"",family}"
bad,,,x,t,f,
foo,Foo
off,,no address,,f,f,
django,,,pbkdf2_sha256$260000$qcoNFZvk8qjZrfpvTHe4dS$W8frhcB4lu28t2jfUJL3nGSiaGTfohnT8cE4rJ6Aupk=,t,f,
`, map[string]string{"akadmin": "in", "bad": "none", "off": "none", "django": "in"}, []int{4}},
	{"authentik", `[{"username": "jane", "groups": ["a b", "c", "d|e"], "is_superuser": true, "password": "pbkdf2_sha256$390000$saltsaltsalt$DqsxR7nlpgvjl5LcRH/iWUKZ+7LcDw+UU+W4RcpiqJo="}, {"username": 3}, {"username": "otto", "is_active": "maybe"}]`,
		map[string]string{"jane": "in"}, []int{2, 3}},
	{"authelia", `users:
  john:
    disabled: false
    displayname: 'John Doe'
    password: '$scrypt$ln=16,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$KwRD2NjiNbc4s4v7sU9//zS1Y7h+XKsmIObrh3Xi3JE'
    email: john@home.example
    groups: ['admins', 'dev']
  pb:
    displayname: 'P B'
    password: '$pbkdf2-sha512$310000$c2FsdHNhbHRzYWx0$h7yxmaRMnauNa90f00QUEapzJW6p9.muPyArFNOSUCkh9RwxqxJwOlsIoraBTsrwOIBMyYtySj6k.C.JQlJrJw'
  sha:
    displayname: 'S'
    password: '$6$rounds=50000$66VcxtK3wQUKcYiy$OyEiAw2dsdpqWNskwUYeBZOs/EH9DOH1xYTFbvkFTLhfWngiJevZMzsAbqfKBkOWx.yhcvHcps4DeuAcYL.f8/'
  off:
    disabled: true
    displayname: X
    password: '$argon2id$v=19$m=99999999,t=3,p=4$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ'
  wrong:
    password: [1, 2]
  argon:
    disabled: false
    displayname: 'Argon'
    password: '$argon2id$v=19$m=65536,t=3,p=4$SOBn74V80IZC1dj4YCMLGg$CS+XbCjo40wunFMgF4/pZBM03uRmeEZhIsoEM8tJHv0'
    email: argon@home.example
    groups: []
    given_name: ''
`, map[string]string{"john": "in", "pb": "in", "sha": "in", "off": "none", "argon": "in"}, []int{18}},
	{"ldif", "dn: uid=ada\nuid: ada\nuserPassword: {SSHA}h23NXsd5jnwFAO0BmaPb1ycTcd9LW6nz\n\ndn: uid=otto\nuid: otto\nuserPassword: in the clear\n", map[string]string{"ada": "in", "otto": "none"}, nil},
	{"tinyauth", `USERS=tina:$$2y$$05$$zy.Tvrf0JZAZkXajN/4r4OJ6Nr90TZOnH8hm6ZKeyjEkTQLvqcCmu:JBSWY3DPEHPK3PXP,otto:xx,go:$2a$10$DSDUHHt2m0gBNmXbZlsFKe/cpLUV.FWQxkR9igrf.d8.NccEmBFDC`, map[string]string{"tina": "code", "otto": "none", "go": "in"}, nil},
}

func TestImport(t *testing.T) {
	t.Parallel()
	for _, s := range sources {
		t.Run(s.program, func(t *testing.T) {
			t.Parallel()
			a, _ := clocked(t, t.TempDir())
			all, err := source.Readers[s.program]([]byte(s.content))
			if err != nil {
				t.Fatal(err)
			}
			var lines []int
			var users []source.User
			for _, u := range all {
				if u.Err == nil {
					users = append(users, u)
					continue
				}
				lines = append(lines, u.Line)
				if strings.Contains(u.Err.Error(), "$") {
					t.Errorf("a problem repeats a hash: %v", u.Err)
				}
			}
			if !slices.Equal(lines, s.problems) || len(users) != len(s.want) {
				t.Fatalf("got %d users and problems at %v, want %d and %v", len(users), lines, len(s.want), s.problems)
			}
			for _, dry := range []bool{true, false} {
				for _, u := range users {
					done, err := a.Import(t.Context(), Operator.Actor(), u, dry)
					if err != nil || done.Exists || done.Password == (s.want[u.Username] == "none") {
						t.Errorf("%s: got %+v, %v", u.Username, done, err)
					}
				}
				if has, err := a.HasUsers(t.Context()); err != nil || has == dry {
					t.Fatalf("after a dry run %v there are users: %v, %v", dry, has, err)
				}
			}
			for name, want := range s.want {
				try := func(password string) error {
					_, _, err := a.SignIn(t.Context(), Credentials{Username: name, Password: password}, from("192.0.2.1"), nil)
					return err
				}
				if err := try("hunter22"); !errors.Is(err, ErrBadCredentials) {
					t.Errorf("%s with a wrong password: %v", name, err)
				}
				err := try("hunter22secret")
				var unfinished *UnfinishedError
				switch ok := err == nil; want {
				case "in":
					if !ok {
						t.Errorf("%s cannot sign in: %v", name, err)
					}
					if user, err := a.UserByName(t.Context(), name); err != nil || !strings.HasPrefix(user.PasswordHash, ours) {
						t.Errorf("%s has the hash %.20s after the first sign-in, %v", name, user.PasswordHash, err)
					}
					if err := try("hunter22secret"); err != nil {
						t.Errorf("%s cannot sign in again: %v", name, err)
					}
				case "code":
					if !errors.As(err, &unfinished) || unfinished.Wants != SecondFactor {
						t.Errorf("%s is not asked for a code: %v", name, err)
					}
				default:
					if !errors.Is(err, ErrBadCredentials) {
						t.Errorf("%s: got %v", name, err)
					}
				}
			}
			// Again, with other passwords: who is here stays as they are.
			for _, u := range users {
				u.Password = "$2y$05$r/2Z3faonLmlsQy1imDgmOePSTBFPYre.l1leccZizOYgY6Zuz01a"
				if done, err := a.Import(t.Context(), Operator.Actor(), u, false); err != nil || !done.Exists {
					t.Errorf("%s again: %+v, %v", u.Username, done, err)
				}
			}
			if _, total, err := a.Users(t.Context(), Operator, db.UserFilter{Limit: 1}); err != nil || total != len(s.want) {
				t.Errorf("%d users, %v", total, err)
			}
		})
	}
}

// What a hash may cost is bounded, and what is none is none.
func TestForeignHashes(t *testing.T) {
	t.Parallel()
	for _, hash := range []string{
		"", "x", "plain", "{SHA}", "{SHA}YQ==", "{SSHA}oEChSzYGTx7BMrZbjb1lJR4Zeg==", "{SSHA", "{SASL}ada@home.example", "{NONE}x", "{CRYPT}", "{CRYPT}RXwcRgrmp5OeI0ksBYtGIQLg",
		"{CRYPT}$y$jDT$A92KmCdUGMv8SZdU$GGyf3qNM7YZaIRA9yRRQK5LJarSOgcirN3L1sLaQfl4", "{PBKDF2-SHA256}99999999$AZKrDFQXxdrvp9wBSd6QsQ$e98Rujejv2AnqXeebpbDXm2pko4UoWkX5WDx8Km0VnQ", "$apr1$", "$apr1$salt$short", "$apr1$saltsaltsalt$KOI5qrY7bGKcv5GcKJGJZ0", "$1$salt$x",
		"$2y$31$r/2Z3faonLmlsQy1imDgmOePSTBFPYre.l1leccZizOYgY6Zuz01a", "$2y$+31$r/2Z3faonLmlsQy1imDgmOePSTBFPYre.l1leccZizOYgY6Zuz01a",
		"$bcrypt-sha256$v=2,t=2b,r=+31$r/2Z3faonLmlsQy1imDgmO$ePSTBFPYre.l1leccZizOYgY6Zuz01a",
		"$scrypt$ln=+30,r=8,p=1$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ", "$scrypt$ln=-1,r=8,p=1$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ",
		"$scrypt$ln=4,r=0,p=0$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ", "$pbkdf2-sha256$+99999999$c2FsdHNhbHRzYWx0$sPgDu0Sf25WLLYpX5DvmkSEaOKPFo2I5LVyRjDei36Y",
		"$argon2id$v=19$m=1048576,t=3,p=4$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ",
		"$argon2id$v=19$m=65536,t=300,p=4$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ",
		"$scrypt$ln=25,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$Y2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ",
		"$scrypt$ln=18,r=64,p=1$c2FsdHNhbHRzYWx0c2FsdA$Y2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ",
		"pbkdf2_sha256$99999999999999999999$salt$a2V5", "pbkdf2_sha256$100000000$salt$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=",
		"$pbkdf2-sha512$310000000$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHQ",
		"$6$rounds=999999999$salt$k1kyYlO.9omGUBuONAW/g5lQHhZjD5RdCiIOedgkPpPNTNAOH/F24t5MpmYWBiXtUBAGBMriv3vVs6J.gvKuP0",
	} {
		if _, err := readHash(hash); err == nil {
			t.Errorf("%q is taken for a hash that can be verified", hash)
		} else if hash != "" && strings.Contains(err.Error(), hash) && len(hash) > 10 {
			t.Errorf("the error repeats the hash: %v", err)
		}
	}
	for _, hash := range []string{ // of as many rounds as a cost of bcrypt begins with
		"pbkdf2_sha256$216000$saltsaltsalt$CmV4rOges3mVa1IyCeAi8meSUMjZnEzT/QHJnWv+k5E=",
		"$pbkdf2-sha256$29000$c2FsdHNhbHRzYWx0$sPgDu0Sf25WLLYpX5DvmkSEaOKPFo2I5LVyRjDei36Y",
		// Of OpenLDAP's slappasswd.
		"{SSHA}h23NXsd5jnwFAO0BmaPb1ycTcd9LW6nz",
		"{SHA}oEChSzYGTx7BMrZbjb1lJR4Zeuw=",
		"{SMD5}aTJnLws1zWGDNIekeUsqhg08c8A=",
		"{MD5}tooufOB6F8zlryqvQUTQ4A==",
		"{CRYPT}$y$j9T$A92KmCdUGMv8SZdU$GGyf3qNM7YZaIRA9yRRQK5LJarSOgcirN3L1sLaQfl4",
		"{CRYPT}$6$9uVwB3FR9s8F07eQ$QVT.ZOgCO7jYkS16vTqzMFNBDNuO4eE8rPop.cTKzhgNsMIJGM/FMe9YGW1Xnnhw4pwUx0OPXqCP7WC7USI5V/",
		"{ARGON2}$argon2i$v=19$m=4096,t=3,p=1$Za6IZlLKB/H0GtWifESaNg$0uteb8z5r3VtVrcsJoDWJrmyXzDAyunu0TiX8fsBc2k",
		"{SSHA512}5llvy97m3jCBJP7McpBQeyzPO2J1WDAGm7HQwjgNq7zRZK09tKuncvYK9JT8Lvg+YTVjiJmyhMhJ8g3lVUR1bTsXbK6uslUN",
		"{SSHA256}4H233n8rMaLDMHXjzflO2B/joiuVrAPiqJTwmf6W9uJzB8ksTkN8sA==",
		"{SHA256}AzPNt8DlIa1XVL36p0anKgxqa4RvLUHMDh4MnTRFdCE=",
		"{SSHA384}TE7BfZWbbPBgGC8J+Qbs3G03hpgM3RU9BSgnB5OkuWBj3xlsP044tNTewQeOeQgyRhFaa1SuObA=",
		"{PBKDF2}10000$sEwyezMHykRK71/Rp7WU4w$5Z/wpdMt2r0GYaUUHkweiqRuhwo",
		"{PBKDF2-SHA256}10000$AZKrDFQXxdrvp9wBSd6QsQ$e98Rujejv2AnqXeebpbDXm2pko4UoWkX5WDx8Km0VnQ",
		"{PBKDF2-SHA512}10000$9ybEBxghhxCOZtD.AX.hdA$n7ys3OqYykTJX43689Gu35lewz0K1YsAp35ySN6dKe8FPEM0no3bfc9BnMvRJ0SRBZVlgk/2iuFPc3tAcCcxdw",
		"{PBKDF2-SHA1}10000$bnRmkD1WBrAKoO/n0FulTQ$K1.qWHqVUmeuBSkI5V1IAymPpqA",
		"{CRYPT}$1$g9HPgU5Y$Pk3IWh4AtdRgJi9Enav6w1",
		"{ssha}h23NXsd5jnwFAO0BmaPb1ycTcd9LW6nz",
	} {
		if match, err := readHash(hash); err != nil || !match("hunter22secret") || match("hunter22") {
			t.Errorf("%q cannot be verified: %v", hash, err)
		}
	}
}
