package mask

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"xinglin/internal/kernel/dataclass"
)

// real is a valid number of nobody whom these tests know.
var real = withCheck("11010119850307123")

func TestFindShapes(t *testing.T) {
	for in, want := range map[string]hits{
		"":                  {},
		"打给 13800138000 谢谢": {KindPhone: 1},
		`{"phone":"13800138000","n":"13900000001"}`: {KindPhone: 2},
		"+8613800138000":                         {KindPhone: 1},
		"008613800138000":                        {KindPhone: 1},
		"16012345678 和 16912345678":              {}, // stand-ins
		"12800138000 2380013800":                 {},
		"a13800138000 13800138000b 138001380001": {}, // within an id or a longer number
		"01900000-0000-7000-8000-138001380001":   {},
		"证件" + real:                              {KindResident: 1},
		strings.ToLower(real) + ".":              {KindResident: 1},
		real[:17] + "0" + real[:0]:               {}, // a wrong check digit
		withCheck("11999919850307123"):           {}, // a stand-in
		withCheck("99010119850307123"):           {}, // no province
		withCheck("11010119851307123"):           {}, // no month
	} {
		if real[17] == '0' && in == real[:17]+"0" {
			continue
		}
		got := find(in, nil, true)
		if got[KindPhone] != want[KindPhone] || got[KindResident] != want[KindResident] || got[KindKnown] != 0 {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func TestFindKnown(t *testing.T) {
	k := NewKnown([]byte("key"))
	for class, list := range map[dataclass.Class][]string{
		dataclass.Name:   {"张小三", "李四", "Maria Garcia", "王"},
		dataclass.Number: {"E12345678", "1001", "20260001", real},
		dataclass.Phone:  {"13800138000"},
		dataclass.Mail:   {"Li.Ming@Example.com"},
	} {
		for _, v := range list {
			k.Add(class, v)
		}
	}
	if k.Len() != 8 { // 王 and 1001 say nothing
		t.Errorf("%d on the list", k.Len())
	}
	for in, want := range map[string]int{
		"张小三":                       1,
		"患者张小三昨日就诊":                 1,
		"小三 张":                      0,
		"李四，男":                      1,
		"姓名：李四光":                    1, // a name within a longer one is found too
		"maria  GARCIA was here":    1,
		"Maria and Garcia":          0,
		"passport e12345678.":       1,
		"XE12345678":                0,
		"no 20260001, 1001":         1,
		"li.ming@example.com":       1,
		"x13800138000x":             1, // wherever the digits stand
		"0" + real[:17] + real[17:]: 1,
		"nothing of anybody":        0,
	} {
		if got := find(in, k, true)[KindKnown]; got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
	// In what the hospital shows to everybody a name is found as a whole only.
	if find("张小三", k, false)[KindKnown] != 1 || find("患者张小三昨日", k, false)[KindKnown] != 0 {
		t.Error("names in public words")
	}
}

func TestKnownLists(t *testing.T) {
	key := []byte("key")
	k := NewKnown(key)
	k.Add(dataclass.Name, "张小三")
	k.Add(dataclass.Name, "张小三")
	k.Add(dataclass.Phone, "13800138000")
	var file bytes.Buffer
	if _, err := k.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(file.String(), "13800138000") || strings.Contains(file.String(), "张") || strings.Count(file.String(), "\n") != 3 {
		t.Fatalf("the list:\n%s", file.String())
	}
	got, err := ReadKnown(bytes.NewReader(file.Bytes()), key)
	if err != nil || got.Len() != 2 || !got.has("13800138000") || got.has("13800138001") {
		t.Fatalf("%d, %v", got.Len(), err)
	}
	lines := strings.SplitAfter(file.String(), "\n")
	for name, bad := range map[string]string{
		"empty": "", "another key": strings.Replace(file.String(), knownHead, knownHead+"0", 1), "no hex": lines[0] + "xyz\n", "short": lines[0] + "00\n",
		"not in order": lines[0] + lines[2] + lines[1],
	} {
		if _, err := ReadKnown(strings.NewReader(bad), key); !errors.Is(err, ErrKnown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadKnown(bytes.NewReader(file.Bytes()), []byte("other")); !errors.Is(err, ErrKnown) {
		t.Errorf("another key: %v", err)
	}
}
