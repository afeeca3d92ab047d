package live

import "encoding/binary"

// An index finds numbers by keys of 16 bytes, each of which it can ask for: a
// hash table with open addressing, at most half full. A map would hold the keys a
// second time.
type index struct {
	slots []uint32 // a number and one, or 0; as many as a power of two
	count int
	key   func(n uint32) [16]byte
}

// home is the slot where a key should be. Keys are random, but for those of tests.
func (x *index) home(key [16]byte) int {
	h := binary.LittleEndian.Uint64(key[:8]) ^ binary.LittleEndian.Uint64(key[8:])*0x9E3779B97F4A7C15
	h *= 0x9E3779B97F4A7C15
	return int(h>>32) & (len(x.slots) - 1)
}

// slot is where a key is, or the free slot where it would be.
func (x *index) slot(key [16]byte) int {
	i := x.home(key)
	for x.slots[i] != 0 && x.key(x.slots[i]-1) != key {
		i = (i + 1) & (len(x.slots) - 1)
	}
	return i
}

func (x *index) find(key [16]byte) (n uint32, ok bool) {
	if x.count == 0 {
		return 0, false
	}
	n = x.slots[x.slot(key)]
	return n - 1, n != 0
}

// add adds a number whose key is not there.
func (x *index) add(n uint32) {
	if 2*(x.count+1) > len(x.slots) {
		old := x.slots
		x.slots = make([]uint32, max(64, 2*len(old)))
		for _, n := range old {
			if n != 0 {
				x.slots[x.slot(x.key(n-1))] = n
			}
		}
	}
	x.slots[x.slot(x.key(n))] = n + 1
	x.count++
}

// remove frees the slot of a key that is there, and moves up what would not be
// found any more behind it.
func (x *index) remove(key [16]byte) {
	mask := len(x.slots) - 1
	free := x.slot(key)
	for i := (free + 1) & mask; x.slots[i] != 0; i = (i + 1) & mask {
		if home := x.home(x.key(x.slots[i] - 1)); (i-home)&mask >= (i-free)&mask {
			x.slots[free], free = x.slots[i], i
		}
	}
	x.slots[free] = 0
	x.count--
}
