package main

import "errors"

func (b *bench) peer(binary string) error { return errors.New("not yet") }
