package cmodule

import (
	"crypto/rand"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"

	"xinglin/internal/platform/keysource"
)

// ulong is CK_ULONG: a C long, which is as wide as a pointer where this runs.
type ulong = uintptr

// functionList is CK_FUNCTION_LIST: a version, then the functions in the order of the standard (PKCS#11 2.40).
type functionList struct {
	_  [2]byte
	at [35]uintptr
}

// Places in the list, of those that are called.
const (
	atInitialize      = 0
	atFinalize        = 1
	atGetSlotList     = 4
	atGetTokenInfo    = 6
	atOpenSession     = 12
	atLogin           = 18
	atFindObjectsInit = 26
	atFindObjects     = 27
	atFindObjectsEnd  = 28
	atEncryptInit     = 29
	atEncrypt         = 30
	atDecryptInit     = 33
	atDecrypt         = 34
)

const (
	ckaClass, ckaLabel, ckaKeyType = 0x0, 0x3, 0x100
	ckoSecretKey, ckkAES           = 0x4, 0x1f
	ckmAESGCM                      = 0x1087
	ckuUser                        = 1
	ckfSerialSession               = 4
	ckfFinalTry, ckfLocked         = 0x20000, 0x40000
	ckrLoggedIn                    = 0x100
	ckrDataInvalid                 = 0x40

	maxSlots = 256
	nonce    = 12
	tag      = 16
)

// token is the part of CK_TOKEN_INFO that is looked at, and room for the rest.
type token struct {
	label [32]byte
	_     [64]byte // manufacturer, model, serial number
	flags ulong
	_     [256]byte
}

type attribute struct {
	kind  ulong
	value unsafe.Pointer
	size  ulong
}

type gcm struct {
	iv      unsafe.Pointer
	ivLen   ulong
	ivBits  ulong
	aad     unsafe.Pointer
	aadLen  ulong
	tagBits ulong
}

type mechanism struct {
	kind ulong
	arg  unsafe.Pointer
	size ulong
}

// refusals that an operator should be told by name.
var refusals = map[ulong]struct{ kind, what string }{
	0x30: {unavailable, "device error"}, 0x31: {unavailable, "device memory"}, 0x32: {unavailable, "device removed"},
	0xa0: {badPIN, "wrong PIN"}, 0xa1: {badPIN, "invalid PIN"}, 0xa2: {badPIN, "PIN of a wrong length"}, 0xa3: {badPIN, "PIN expired"}, 0xa4: {badPIN, "PIN locked"},
	0x102: {badPIN, "no user PIN was set"}, 0xe0: {missing, "no token present"}, 0xe1: {missing, "token not recognized"},
	ckrDataInvalid: {refused, "what was wrapped is not this key's"}, 0x70: {missing, "the token has no AES-GCM"}, 0x68: {refused, "the key may not do that"},
}

func ck(rv ulong, call string) error {
	if rv == 0 {
		return nil
	}
	if r, ok := refusals[rv]; ok {
		return fail(r.kind, "%s: %s (0x%x)", call, r.what, rv)
	}
	return fail(refused, "%s: 0x%x", call, rv)
}

// module is a library that was initialized.
type module struct{ list *functionList }

func (m module) bind(f any, at int) { purego.RegisterFunc(f, m.list.at[at]) }

func openModule(path string) (m module, end func(), err error) {
	lib, err := load(path)
	if err != nil {
		return m, nil, err
	}
	var get func(**functionList) ulong
	if err := function(lib, &get, "C_GetFunctionList"); err != nil {
		return m, nil, err
	}
	if err := ck(get(&m.list), "C_GetFunctionList"); err != nil {
		return m, nil, err
	}
	var initialize, finalize func(unsafe.Pointer) ulong
	m.bind(&initialize, atInitialize)
	m.bind(&finalize, atFinalize)
	if err := ck(initialize(nil), "C_Initialize"); err != nil {
		return m, nil, err
	}
	return m, func() { finalize(nil) }, nil
}

// slot finds the one token with the label, and refuses one whose PIN would lock.
func (m module) slot(label string) (ulong, error) {
	var list func(present byte, slots *ulong, n *ulong) ulong
	var info func(slot ulong, t *token) ulong
	m.bind(&list, atGetSlotList)
	m.bind(&info, atGetTokenInfo)
	slots, n := make([]ulong, maxSlots), ulong(maxSlots)
	if err := ck(list(1, &slots[0], &n), "C_GetSlotList"); err != nil {
		return 0, err
	}
	var found []ulong
	var flags ulong
	for _, s := range slots[:n] {
		t := new(token)
		if info(s, t) == 0 && strings.TrimRight(string(t.label[:]), " \x00") == label {
			found, flags = append(found, s), t.flags
		}
	}
	switch {
	case len(found) == 0:
		return 0, fail(missing, "there is no token %q", label)
	case len(found) > 1:
		return 0, fail(missing, "%d tokens are called %q", len(found), label)
	case flags&ckfLocked != 0:
		return 0, fail(badPIN, "the PIN of token %q is locked", label)
	case flags&ckfFinalTry != 0:
		return 0, fail(badPIN, "the PIN of token %q has one try left and is not tried: log in with the vendor's tool first", label)
	}
	return found[0], nil
}

func (m module) login(slot ulong, pin string) (session ulong, err error) {
	var open func(slot, flags ulong, app, notify unsafe.Pointer, session *ulong) ulong
	var login func(session, user ulong, pin *byte, n ulong) ulong
	m.bind(&open, atOpenSession)
	m.bind(&login, atLogin)
	if err := ck(open(slot, ckfSerialSession, nil, nil, &session), "C_OpenSession"); err != nil {
		return 0, err
	}
	if pin == "" {
		return 0, fail(badPIN, "no PIN")
	}
	p := []byte(pin)
	if rv := login(session, ckuUser, &p[0], ulong(len(p))); rv != ckrLoggedIn {
		return session, ck(rv, "C_Login")
	}
	return session, nil
}

// key finds the one AES key with the label.
func (m module) key(session ulong, label string, pin *runtime.Pinner) (ulong, error) {
	var begin func(session ulong, a *attribute, n ulong) ulong
	var find func(session ulong, objects *ulong, most ulong, n *ulong) ulong
	var end func(session ulong) ulong
	m.bind(&begin, atFindObjectsInit)
	m.bind(&find, atFindObjects)
	m.bind(&end, atFindObjectsEnd)
	class, kind, name := new(ulong), new(ulong), []byte(label)
	*class, *kind = ckoSecretKey, ckkAES
	pin.Pin(class)
	pin.Pin(kind)
	pin.Pin(&name[0])
	want := []attribute{
		{ckaClass, unsafe.Pointer(class), unsafe.Sizeof(*class)},
		{ckaKeyType, unsafe.Pointer(kind), unsafe.Sizeof(*kind)},
		{ckaLabel, unsafe.Pointer(&name[0]), ulong(len(name))},
	}
	if err := ck(begin(session, &want[0], ulong(len(want))), "C_FindObjectsInit"); err != nil {
		return 0, err
	}
	found, n := make([]ulong, 2), ulong(0)
	err := ck(find(session, &found[0], 2, &n), "C_FindObjects")
	end(session)
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, fail(missing, "the token has no AES key %q", label)
	case n > 1:
		return 0, fail(missing, "the token has several AES keys %q", label)
	}
	return found[0], nil
}

// pkcs11 wraps or opens with AES-256-GCM: nonce, ciphertext, tag.
func pkcs11(q keysource.Question) ([]byte, error) {
	m, end, err := openModule(q.Module)
	if err != nil {
		return nil, err
	}
	defer end()
	slot, err := m.slot(q.Token)
	if err != nil {
		return nil, err
	}
	session, err := m.login(slot, q.PIN)
	if err != nil {
		return nil, err
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	key, err := m.key(session, q.Key, &pin)
	if err != nil {
		return nil, err
	}
	iv, data := make([]byte, nonce), q.Data
	if q.Op == "wrap" {
		if _, err := rand.Read(iv); err != nil {
			return nil, err
		}
	} else {
		if len(data) <= nonce+tag {
			return nil, fail(refused, "wrapped: %d bytes", len(data))
		}
		copy(iv, data)
		data = data[nonce:]
	}
	out, err := m.cipher(session, key, q.Op == "wrap", iv, q.About, data, &pin)
	if err == nil && q.Op == "wrap" {
		out = append(iv, out...)
	}
	return out, err
}

func (m module) cipher(session, key ulong, encrypt bool, iv, aad, data []byte, pin *runtime.Pinner) ([]byte, error) {
	if len(data) == 0 || len(aad) == 0 {
		return nil, fail(refused, "nothing to do")
	}
	first, second, name := atDecryptInit, atDecrypt, "C_Decrypt"
	if encrypt {
		first, second, name = atEncryptInit, atEncrypt, "C_Encrypt"
	}
	var begin func(session ulong, mech *mechanism, key ulong) ulong
	var do func(session ulong, in *byte, n ulong, out *byte, size *ulong) ulong
	m.bind(&begin, first)
	m.bind(&do, second)
	pin.Pin(&iv[0])
	pin.Pin(&aad[0])
	arg := &gcm{unsafe.Pointer(&iv[0]), ulong(len(iv)), ulong(8 * len(iv)), unsafe.Pointer(&aad[0]), ulong(len(aad)), 8 * tag}
	pin.Pin(arg)
	mech := &mechanism{ckmAESGCM, unsafe.Pointer(arg), unsafe.Sizeof(*arg)}
	if err := ck(begin(session, mech, key), name+"Init"); err != nil {
		return nil, err
	}
	out := make([]byte, len(data)+2*tag)
	size := ulong(len(out))
	if rv := do(session, &data[0], ulong(len(data)), &out[0], &size); rv != 0 {
		err := ck(rv, name)
		if !encrypt && rv == ckrDataInvalid {
			err = fail(refused, "%v; it was wrapped by another key or for another installation", err)
		}
		return nil, err
	}
	return out[:size], nil
}
