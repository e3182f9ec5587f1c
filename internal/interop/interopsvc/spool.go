package interopsvc

import (
	"encoding/json"
	"hash/maphash"
	"io"
	"os"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/id"
)

// maxKeys bounds the memory of an import: identifiers and addresses of resources, a map's
// entry each.
const maxKeys = 4_000_000

// record is an institution, place, clinician or role of the files. What it says is on
// disk; this much is in memory.
type record struct {
	kind   string
	place  place
	number string // of its file
	at     int64  // in the spool
	size   int
	id     id.ID[id.Any] // once the directory has taken it
	campus id.ID[id.Any] // of an institution: where its people work when no Location is named
	state  state
}

type state byte

const (
	waiting state = iota
	taken
	planned // a dry run: it would be made
	beside  // skipped, and who refers to it may look further
	refused
)

// spool keeps records on disk until all files are read, because what refers may come
// before what is referred to. The file has no name: it is gone with the process.
type spool struct {
	file *os.File
	end  int64
	all  []record
	seed maphash.Seed
	seen map[uint64]sighting // identifiers
	refs map[uint64]int32    // addresses; ambiguous: -1
}

// sighting is what an identifier meant first.
type sighting struct {
	print  uint64
	record int32 // -1 for a person
}

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "xinglin-import-*")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name()) // some systems remove it at close only
	return &spool{file: f, seed: maphash.MakeSeed(), seen: map[uint64]sighting{}, refs: map[uint64]int32{}}, nil
}

func (s *spool) close() {
	name := s.file.Name()
	_ = s.file.Close()
	_ = os.Remove(name)
}

func (s *spool) hash(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, p := range parts {
		_, _ = h.WriteString(p)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// add writes a record.
func (s *spool) add(kind, number string, at place, v any) (int32, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	if _, err := s.file.WriteAt(b, s.end); err != nil {
		return 0, err
	}
	s.all = append(s.all, record{kind: kind, place: at, number: number, at: s.end, size: len(b)})
	s.end += int64(len(b))
	return int32(len(s.all) - 1), s.room()
}

func (s *spool) room() error {
	if len(s.seen)+len(s.refs)+len(s.all) > maxKeys {
		return interop.ErrTooMany.New()
	}
	return nil
}

// load reads a record's words again.
func (s *spool) load(r *record, into any) error {
	b := make([]byte, r.size)
	if _, err := io.ReadFull(io.NewSectionReader(s.file, r.at, int64(r.size)), b); err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// address lets references with this key find the record; two records at one address are ambiguous.
func (s *spool) address(n int32, parts ...string) {
	k := s.hash(parts...)
	if old, ok := s.refs[k]; ok && old != n {
		n = -1
	}
	s.refs[k] = n
}

// lookUp finds the record at an address.
func (s *spool) lookUp(parts ...string) (n int32, ok bool) {
	n, ok = s.refs[s.hash(parts...)]
	return n, ok
}
