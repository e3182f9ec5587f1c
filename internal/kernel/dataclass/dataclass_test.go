package dataclass_test

import (
	"strings"
	"testing"

	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/secret"
)

func TestMask(t *testing.T) {
	for _, c := range []struct {
		class    dataclass.Class
		in, want string
	}{
		{dataclass.Name, "", ""},
		{dataclass.Name, "张", "张*"},
		{dataclass.Name, "张三", "张*"},
		{dataclass.Name, "张小三", "张*三"},
		{dataclass.Name, "欧阳建华", "欧**华"},
		{dataclass.Name, "Maria Anna", "M***a"},
		{dataclass.Name.Sealed(), "张小三", "张*三"},
		{dataclass.Phone, "13800000000", "138****0000"},
		{dataclass.Phone, "010-1234", ""},
		{dataclass.Number, "11010119850307123X", "110****3X"},
		{dataclass.Number, "E12345678", "E12****78"},
		{dataclass.Number, "E1234", "E****4"},
		{dataclass.Number, "京字第一号", "京****号"},
		{dataclass.Mail, "li@example.com", "l***@example.com"},
		{dataclass.Mail, "杏林@例子.中国", "杏***@例子.中国"},
		{dataclass.Mail, "@example.com", "***@example.com"},
		{dataclass.Text, "咳嗽三天", "****"},
		{dataclass.Diagnosis, "J45.9", "****"},
		{dataclass.Address, "杏林路 18 号", "****"},
	} {
		if got := c.class.Mask(secret.New(c.in)); got != c.want {
			t.Errorf("%s of %q: %q, want %q", c.class, c.in, got, c.want)
		}
	}
	if got := dataclass.LastFour(secret.New("13800001234")); got != "1234" {
		t.Errorf("last four: %q", got)
	}
	if got := dataclass.LastFour(secret.New("8001234")); got != "" {
		t.Errorf("last four of another number: %q", got)
	}
}

func TestEachColumnHasOneClass(t *testing.T) {
	table := dataclass.Table{dataclass.ID: "tenant_id id", dataclass.Name.Sealed(): "name", dataclass.Fact: "state"}
	if err := table.Check([]string{"tenant_id", "id", "name", "state"}); err != nil {
		t.Fatal(err)
	}
	if c, ok := table.Of("name"); !ok || !c.IsSealed() || c.Plain() != dataclass.Name || !c.Personal() {
		t.Errorf("name is %q", c)
	}
	for want, columns := range map[string][]string{
		"column phone has no class":                             {"tenant_id", "id", "name", "state", "phone"},
		"class fact names the column state, which is not there": {"tenant_id", "id", "name"},
	} {
		if err := table.Check(columns); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", columns, err)
		}
	}
	twice := dataclass.Table{dataclass.ID: "id", dataclass.Fact: "id"}
	if err := twice.Check([]string{"id"}); err == nil || !strings.Contains(err.Error(), "two classes") {
		t.Errorf("two classes: %v", err)
	}
	unknown := dataclass.Table{"colour": "id"}
	if err := unknown.Check([]string{"id"}); err == nil || !strings.Contains(err.Error(), "no class \"colour\"") {
		t.Errorf("an unknown class: %v", err)
	}
}
