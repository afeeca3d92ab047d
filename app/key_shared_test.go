package app

import (
	"errors"
	"os"
	"testing"

	"lastseen/db/postgres"
)

// A machine that has not the key of the others makes none of its own, and says so.
func TestOneKeyOfAllMachines(t *testing.T) {
	t.Parallel()
	url := emptyPostgres.New(t)
	on := func(dir string) *App {
		store, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		a := openApp(t, t.TempDir())
		a = New(store, a.geo, a.agents, a.Config, a.Log)
		a.Config.DataDir = dir
		return a
	}
	first, second, third := on(t.TempDir()), on(t.TempDir()), on(t.TempDir())
	sealed, err := first.seal([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.seal([]byte("secret")); !errors.Is(err, errOtherKey) || !errors.Is(err, ErrSealed) {
		t.Errorf("sealed with another key: %v", err)
	}
	if _, err := os.Stat(KeyPath(second.Config.DataDir)); err == nil {
		t.Error("another key was made")
	}
	if err := second.keyProblem(t.Context()); !errors.Is(err, errOtherKey) {
		t.Errorf("without the key: %v", err)
	}
	text, err := ReadKey(first.Config.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteKey(second.Config.DataDir, text); err != nil {
		t.Fatal(err)
	}
	if secret, err := second.unseal(sealed); err != nil || string(secret) != "secret" {
		t.Errorf("with the key of the first: %q, %v", secret, err)
	}
	if err := WriteKey(third.Config.DataDir, "c29tZSBvdGhlciBrZXksIG9mIDMyIGJ5dGVzIGFzIHQ="); err != nil {
		t.Fatal(err)
	}
	if err := third.keyProblem(t.Context()); !errors.Is(err, errOtherKey) {
		t.Errorf("with another key: %v", err)
	}
}

// After a move the key that the copied secrets need is known: no machine makes another one.
func TestKeyOfAMove(t *testing.T) {
	t.Parallel()
	store, err := postgres.Open(t.Context(), emptyPostgres.New(t), postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	moved := t.TempDir()
	if err := errors.Join(ShareKey(t.Context(), store, moved), // which has none
		WriteKey(moved, "c29tZSBvdGhlciBrZXksIG9mIDMyIGJ5dGVzIGFzIHQ="), ShareKey(t.Context(), store, moved)); err != nil {
		t.Fatal(err)
	}
	a := openApp(t, t.TempDir())
	a = New(store, a.geo, a.agents, a.Config, a.Log)
	a.Config.DataDir = t.TempDir()
	if _, err := a.seal([]byte("secret")); !errors.Is(err, errOtherKey) {
		t.Errorf("without the key: got %v", err)
	}
	a.Config.DataDir = moved
	if _, err := a.seal([]byte("secret")); err != nil {
		t.Errorf("with it: got %v", err)
	}
}
