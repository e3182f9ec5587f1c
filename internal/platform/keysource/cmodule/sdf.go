package cmodule

import (
	"crypto/rand"
	"encoding/json"

	"xinglin/internal/platform/keysource"
)

// Algorithms of GM/T 0006.
const (
	sgdSM4ECB = 0x401
	sgdSM4CBC = 0x402

	sm4Block = 16
	sm4Bits  = 128
	maxKey   = 512 // a wrapped session key
)

// sdfWrapped is what SDF wraps: a session key under the device's KEK, and the key under the session key. SDF binds no associated data, and the
// file's own seal does (package crypt).
type sdfWrapped struct {
	Session []byte `json:"session"`
	IV      []byte `json:"iv"`
	Data    []byte `json:"data"`
}

// sdr names refusals of GM/T 0018.
func sdr(rv int32, call string) error {
	if rv == 0 {
		return nil
	}
	kind := refused
	switch uint32(rv) {
	case 0x01000003, 0x01000004, 0x01000005, 0x01000006: // communication, hardware, device, session
		kind = unavailable
	case 0x01000008, 0x01000009, 0x0100000a, 0x01000002: // no such key, algorithm, mode, function
		kind = missing
	case 0x01000007, 0x01000018: // no right to the key
		kind = badPIN
	}
	return fail(kind, "%s: 0x%08x", call, uint32(rv))
}

// device is an open session.
type device struct {
	session   uintptr
	generate  func(session uintptr, bits, alg, kek uint32, out *byte, n *uint32, key *uintptr) int32
	importKey func(session uintptr, alg, kek uint32, in *byte, n uint32, key *uintptr) int32
	destroy   func(session, key uintptr) int32
	encrypt   func(session, key uintptr, alg uint32, iv, in *byte, n uint32, out *byte, size *uint32) int32
	decrypt   func(session, key uintptr, alg uint32, iv, in *byte, n uint32, out *byte, size *uint32) int32
	right     func(session uintptr, key uint32, pin *byte, n uint32) int32
}

func openDevice(q keysource.Question) (d *device, end func(), err error) {
	lib, err := load(q.Module)
	if err != nil {
		return nil, nil, err
	}
	d = &device{}
	var open func(*uintptr) int32
	var begin func(uintptr, *uintptr) int32
	var endSession, closeDevice func(uintptr) int32
	for _, f := range []struct {
		f    any
		name string
	}{
		{&open, "SDF_OpenDevice"},
		{&closeDevice, "SDF_CloseDevice"},
		{&begin, "SDF_OpenSession"},
		{&endSession, "SDF_CloseSession"},
		{&d.generate, "SDF_GenerateKeyWithKEK"},
		{&d.importKey, "SDF_ImportKeyWithKEK"},
		{&d.destroy, "SDF_DestroyKey"},
		{&d.encrypt, "SDF_Encrypt"},
		{&d.decrypt, "SDF_Decrypt"},
	} {
		if err := function(lib, f.f, f.name); err != nil {
			return nil, nil, err
		}
	}
	var handle uintptr
	if err := sdr(open(&handle), "SDF_OpenDevice"); err != nil {
		return nil, nil, err
	}
	if err := sdr(begin(handle, &d.session), "SDF_OpenSession"); err != nil {
		closeDevice(handle)
		return nil, nil, err
	}
	end = func() {
		endSession(d.session)
		closeDevice(handle)
	}
	if q.PIN == "" {
		return d, end, nil
	}
	p := []byte(q.PIN)
	if err = function(lib, &d.right, "SDF_GetPrivateKeyAccessRight"); err == nil {
		if err = sdr(d.right(d.session, q.Index, &p[0], uint32(len(p))), "SDF_GetPrivateKeyAccessRight"); err != nil {
			err = fail(badPIN, "%v", err)
		}
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return d, end, nil
}

// sdf wraps or opens with SM4-CBC under a session key that the device's KEK wraps.
func sdf(q keysource.Question) ([]byte, error) {
	d, end, err := openDevice(q)
	if err != nil {
		return nil, err
	}
	defer end()
	var key uintptr
	if q.Op == "wrap" {
		w := sdfWrapped{IV: make([]byte, sm4Block), Session: make([]byte, maxKey)}
		if _, err := rand.Read(w.IV); err != nil {
			return nil, err
		}
		n := uint32(len(w.Session))
		if err := sdr(d.generate(d.session, sm4Bits, sgdSM4ECB, q.Index, &w.Session[0], &n, &key), "SDF_GenerateKeyWithKEK"); err != nil {
			return nil, err
		}
		defer d.destroy(d.session, key)
		w.Session = w.Session[:n]
		if w.Data, err = cbc(d.encrypt, d.session, key, w.IV, q.Data, "SDF_Encrypt"); err != nil {
			return nil, err
		}
		return json.Marshal(w)
	}
	var w sdfWrapped
	if err := json.Unmarshal(q.Data, &w); err != nil || len(w.Session) == 0 || len(w.IV) != sm4Block {
		return nil, fail(refused, "what was wrapped is cut")
	}
	if err := sdr(d.importKey(d.session, sgdSM4ECB, q.Index, &w.Session[0], uint32(len(w.Session)), &key), "SDF_ImportKeyWithKEK"); err != nil {
		return nil, err
	}
	defer d.destroy(d.session, key)
	return cbc(d.decrypt, d.session, key, w.IV, w.Data, "SDF_Decrypt")
}

type cipherCall func(session, key uintptr, alg uint32, iv, in *byte, n uint32, out *byte, size *uint32) int32

// cbc passes whole blocks: a key needs no padding. The device may write over the IV.
func cbc(do cipherCall, session, key uintptr, iv, data []byte, name string) ([]byte, error) {
	if len(data) == 0 || len(data)%sm4Block != 0 {
		return nil, fail(refused, "%d bytes are no whole blocks", len(data))
	}
	vector := append([]byte(nil), iv...)
	out, size := make([]byte, len(data)+sm4Block), uint32(len(data)+sm4Block)
	if err := sdr(do(session, key, sgdSM4CBC, &vector[0], &data[0], uint32(len(data)), &out[0], &size), name); err != nil {
		return nil, err
	}
	if int(size) != len(data) {
		return nil, fail(refused, "%s gave %d bytes of %d", name, size, len(data))
	}
	return out[:size], nil
}
