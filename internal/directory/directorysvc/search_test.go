package directorysvc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/page"
	"xinglin/internal/testkit/apitest"
)

func TestSpell(t *testing.T) {
	for name, want := range map[string]string{
		"林知夏": "linzhixia lzx", "单雄信": "shanxiongxin sxx", "曾国藩": "zengguofan zgf", "解缙": "xiejin xj", "任盈盈": "renyingying ryy",
		"区寄": "ouji oj", "查良镛": "zhaliangyong zly", "仇英": "qiuying qy", "翟天": "zhaitian zt", "乐毅": "yueyi yy",
		"单于雪": "chanyuxue cyx", "尉迟恭": "yuchigong ycg", "万俟卨": "moqixie mqx", "吕布": "lvbu lb", "Anna Li": "annali annali", "阿 B": "ab ab", "": " ", "单": "shan s",
	} {
		full, initials := spell(name, surnameOf(name))
		if got := full + " " + initials; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for place, want := range map[string]string{"解剖科": "jiepouke", "曾都院区": "", "心血管内科": "xinxueguanneike", "单采室": "dancaishi"} {
		if full, _ := spell(place, nil); want != "" && full != want {
			t.Errorf("%s: %s, want %s", place, full, want)
		}
	}
	if ws := words(" a\x00b  C \xff d e f g"); !slices.Equal(ws, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("words %q", ws)
	}
}

func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.place(directory.Roster{Doctors: []directory.RosterDoctor{
			doctor("1", "林知夏", "东院区", "心血管内科", "高血压 冠心病"),
			doctor("2", "单雄信", "东院区", "骨科", "脊柱100%康复"),
			doctor("3", "曾国藩", "西院区", "解剖科", "a_b\\c"),
			doctor("4", "解缙", "西院区", "急诊科", ""),
			doctor("1", "林知夏", "西院区", "全科", ""), // a further place of the first
		}})
		for q, want := range map[string]string{
			"": "1 2 3 4", "  ": "1 2 3 4", "林": "1", "知夏": "1", "linzhixia": "1", "LinZhi": "1", "lzx": "1",
			"shan": "2", "sxx": "2", "zeng": "3", "zgf": "3", "xie": "4", "xj": "4",
			"心血管": "1", "xinxueguan": "1", "xxgnk": "1", "jiepou": "3", "冠心病": "1", "主任": "1 2 3 4",
			"西院区": "1 3 4", "全科": "1", "quanke": "1", "高血压 lin": "1", "高血压 shan": "", "急诊 西院": "4",
			"%": "2", "_": "3", "100%": "2", "1_0": "", `\`: "3", "a_b": "3", "axb": "", "'": "", "\x00": "1 2 3 4", "没有": "",
		} {
			if got := b.licences(directory.Query{Text: q}); got != want {
				t.Errorf("%q: %q, want %q", q, got, want)
			}
		}
	})
}

// licences walks all pages, two a page, and names who is found by licence in order.
func (b *bench) licences(q directory.Query) string {
	b.t.Helper()
	var out []string
	q.Page = page.Request{Limit: 2}
	for range 50 {
		p, err := b.s.Practitioners(b.t.Context(), apitest.Main, q)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, d := range p.Items {
			out = append(out, d.Licence)
		}
		if p.Next == "" {
			return strings.Join(out, " ")
		}
		q.Page.Cursor = p.Next
	}
	b.t.Fatal("the pages do not end")
	return ""
}

// Filters show everybody who works there, each once, with the place that was asked for; pages
// neither lose nor repeat anybody, also while others are added.
func TestFiltersAndPages(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r := directory.Roster{}
		for i := range 5 {
			r.Doctors = append(r.Doctors, doctor(fmt.Sprint(i), "医师", "东院区", "内科", ""), doctor(fmt.Sprint(i), "医师", "东院区", "外科", ""), doctor(fmt.Sprint(i), "医师", "西院区", "急诊科", ""))
		}
		p := b.place(r)
		const all = "0 1 2 3 4"
		dep := func(c, n string) directory.DepartmentID {
			return p.Departments[directory.RosterDepartmentKey{Campus: c, Name: n}]
		}
		for name, q := range map[string]directory.Query{
			"all": {}, "campus": {Campus: p.Campuses["东院区"]}, "other campus": {Campus: p.Campuses["西院区"]},
			"department": {Department: dep("东院区", "外科")}, "both": {Campus: p.Campuses["东院区"], Department: dep("东院区", "外科")},
		} {
			if got := b.licences(q); got != all {
				t.Errorf("%s: %q", name, got)
			}
		}
		if got := b.licences(directory.Query{Campus: p.Campuses["西院区"], Department: dep("东院区", "外科")}); got != "" {
			t.Errorf("a department of another campus: %q", got)
		}
		for want, q := range map[string]directory.Query{
			"东院区 内科": {Campus: p.Campuses["东院区"]}, "西院区 急诊科": {Campus: p.Campuses["西院区"]}, "东院区 外科": {Department: dep("东院区", "外科")},
		} {
			got, err := b.s.Practitioners(t.Context(), apitest.Main, q)
			if err != nil || got.Items[0].CampusName+" "+got.Items[0].DepartmentName != want {
				t.Errorf("%s: %+v, %v", want, got.Items[0], err)
			}
		}
		first, err := b.s.Practitioners(t.Context(), apitest.Main, directory.Query{Page: page.Request{Limit: 3}})
		if err != nil {
			t.Fatal(err)
		}
		b.place(directory.Roster{Doctors: []directory.RosterDoctor{doctor("9", "新", "东院区", "内科", "")}})
		second, err := b.s.Practitioners(t.Context(), apitest.Main, directory.Query{Page: page.Request{Limit: 3, Cursor: first.Next}})
		if err != nil || len(second.Items) != 3 || second.Items[0].Licence != "3" || second.Items[2].Licence != "9" || second.Next != "" {
			t.Errorf("%+v, %v", second, err)
		}
		if _, err := b.s.Practitioners(t.Context(), apitest.Main, directory.Query{Page: page.Request{Cursor: "x"}}); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("no cursor: %v", err)
		}
		ds, err := b.s.Departments(t.Context(), apitest.Main, p.Campuses["东院区"])
		if err != nil || len(ds) != 2 || ds[0].DoctorCount+ds[1].DoctorCount != 11 {
			t.Errorf("departments %+v, %v", ds, err)
		}
	})
}
