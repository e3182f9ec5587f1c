package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"xinglin/internal/directory"
	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
)

// english are the department names of the demo's rota.
var english = map[string]string{
	"心血管内科": "Cardiology", "呼吸与危重症医学科": "Respiratory and Critical Care", "消化内科": "Gastroenterology",
	"神经内科": "Neurology", "骨科": "Orthopaedics", "普通外科": "General Surgery", "全科医学科": "General Practice",
	"内分泌科": "Endocrinology", "儿科": "Paediatrics", "妇产科": "Obstetrics and Gynaecology", "妇科": "Gynaecology",
	"眼科": "Ophthalmology", "皮肤科": "Dermatology", "耳鼻咽喉科": "ENT", "耳鼻喉科": "ENT", "口腔科": "Dentistry",
	"肾内科": "Nephrology", "泌尿外科": "Urology", "中医科": "Traditional Chinese Medicine", "康复医学科": "Rehabilitation", "肿瘤科": "Oncology",
}

// practisingFrom is the earliest year of each rank in the demo.
var practisingFrom = map[string]int{"主任医师": 1992, "副主任医师": 2003, "主治医师": 2012, "住院医师": 2019}

// specialties are words that patients search for.
var specialties = map[string]string{
	"心血管内科": "冠心病、高血压、心力衰竭、心律失常的长期管理", "呼吸与危重症医学科": "慢阻肺、哮喘、肺部感染、咳嗽", "消化内科": "胃炎、胃溃疡、幽门螺杆菌、肠道疾病",
	"神经内科": "头痛、眩晕、脑血管病、睡眠障碍", "骨科": "颈腰椎病、关节疼痛、骨折", "普通外科": "疝、甲状腺、胆囊、阑尾",
	"全科医学科": "常见病、慢性病随访、健康咨询", "内分泌科": "糖尿病、甲状腺疾病、骨质疏松", "儿科": "儿童发热、咳嗽、腹泻、生长发育",
	"妇产科": "孕期检查、月经不调", "眼科": "白内障、干眼、近视", "皮肤科": "湿疹、痤疮、过敏", "中医科": "脾胃调理、失眠、颈肩痛",
}

// places fills in English names, desks and specialties.
func (h Hospital) places(ctx context.Context) error {
	cs, err := h.Directory.Campuses(ctx, h.Tenant)
	if err != nil {
		return err
	}
	if len(cs) > 0 && cs[0].NameEN != "" {
		return nil
	}
	for i := range cs {
		cs[i].NameEN = []string{"Main Campus", "East Campus", "West Campus"}[i%3]
		cs[i].Address = fmt.Sprintf("演示市杏林路 %d 号", 18+70*i)
		cs[i].Phone = fmt.Sprintf("000-1234567%d", i+1)
	}
	ds, err := h.Directory.Departments(ctx, h.Tenant, directory.CampusID{})
	if err != nil {
		return err
	}
	for i, d := range ds {
		ds[i].NameEN = english[d.Name]
		ds[i].Intro = specialties[d.Name]
		ds[i].Location = fmt.Sprintf("门诊楼 %d 层", 1+i%4)
	}
	var ps []directory.Practitioner
	cursor := ""
	for range 10 {
		found, err := h.Directory.Practitioners(ctx, h.Tenant, directory.Query{Page: page.Request{Limit: 100, Cursor: cursor}})
		if err != nil {
			return err
		}
		for n, p := range found.Items {
			if p.Specialty == "" {
				p.Specialty = specialties[p.DepartmentName]
			}
			p.PractisingFrom = clock.NewDate(practisingFrom[p.Title]+n%5, 7, 1)
			ps = append(ps, p)
		}
		if cursor = found.Next; cursor == "" {
			break
		}
	}
	return h.Directory.Describe(ctx, cs, ds, ps)
}

type member struct {
	username, label, labelEN string
	role                     auth.Role
}

var team = []member{
	{"linzhixia", "医生 林知夏", "Doctor Lin Zhixia", auth.Doctor},
	{"zhouhushi", "护士 周宁", "Nurse Zhou Ning", auth.Nurse},
	{"guahao", "挂号员 王敏", "Registrar Wang Min", auth.Registrar},
	{"yunying", "运营 陈舟", "Operator Chen Zhou", auth.Operator},
	{"yinsi", "个人信息保护负责人 何静", "Privacy officer He Jing", auth.PrivacyOfficer},
	{"sysadmin", "系统管理员", "System administrator", auth.SystemAdmin},
	{"secadmin", "安全管理员", "Security administrator", auth.SecurityAdmin},
	{"auditadmin", "审计管理员", "Audit administrator", auth.AuditAdmin},
}

func (h Hospital) staff(ctx context.Context) error {
	doctor, err := h.practitioner(ctx, "林知夏")
	if err != nil {
		return err
	}
	for i, m := range team {
		grant := auth.Grant{Role: m.role, Organization: directory.OrganizationID(h.Tenant)}
		practitioner := id.ID[id.Any]{}
		switch m.role {
		case auth.Doctor:
			practitioner = doctor
		case auth.SystemAdmin, auth.SecurityAdmin, auth.AuditAdmin:
			grant.Organization = directory.OrganizationID{} // they look after the tenant as a whole
		}
		a, err := h.Identity.EnsureStaff(ctx, identity.StaffSpec{
			Username: m.username, Name: m.label[strings.LastIndexByte(m.label, ' ')+1:], Password: secret.New(Password),
			Grants: []auth.Grant{grant}, Practitioner: practitioner,
		})
		if err != nil {
			return err
		}
		login := identity.DemoLogin{Account: a.ID, Position: 10 + i, Label: m.label, LabelEN: m.labelEN, Password: secret.New(Password)}
		if err := h.Logins.ShowDemo(ctx, login); err != nil {
			return err
		}
	}
	return nil
}

// practitioner finds a doctor of the rota by name.
func (h Hospital) practitioner(ctx context.Context, name string) (id.ID[id.Any], error) {
	found, err := h.Directory.Practitioners(ctx, h.Tenant, directory.Query{Text: name, Page: page.Request{Limit: 20}})
	if err != nil {
		return id.ID[id.Any]{}, err
	}
	for _, p := range found.Items {
		if p.Name == name {
			return id.As[id.Any](p.ID), nil
		}
	}
	return id.ID[id.Any]{}, fmt.Errorf("the rota has no %s", name)
}

type person struct {
	name, document string
	relationship   patient.Relationship
}

// households are the demo's patients: invented people whose numbers only pass the check digit.
var households = []struct {
	phone, label, labelEN string
	people                []person
}{
	{"13800000001", "患者 张明远（有孩子）", "Patient Zhang Mingyuan (has a child)", []person{
		{"张明远", "110101198503071231", patient.Self}, {"张小雨", "110101201806012345", patient.Child},
	}},
	{"13800000002", "患者 李桂芳（70岁）", "Patient Li Guifang (aged 70)", []person{{"李桂芳", "110101195604128764", patient.Self}}},
}

func (h Hospital) patients(ctx context.Context) error {
	for i, f := range households {
		a, err := h.Identity.EnsurePatient(ctx, secret.New(f.phone))
		if err != nil {
			return err
		}
		if err := h.Logins.ShowDemo(ctx, identity.DemoLogin{Account: a, Position: i, Label: f.label, LabelEN: f.labelEN}); err != nil {
			return err
		}
		own := h.As(ctx, auth.Principal{Kind: auth.Patient, Tenant: h.Tenant, Account: a, Factors: 1})
		for _, p := range f.people {
			_, _, err := h.Patients.Add(own, patient.New{
				Name: secret.New(p.name), DocumentType: patient.ResidentID, Document: secret.New(withCheck(p.document)),
				Phone: secret.New(f.phone), Relationship: p.relationship, GuardianConsent: p.relationship == patient.Child,
			})
			if err != nil && !errors.Is(err, patient.ErrSelfTwice) {
				return err
			}
		}
	}
	return nil
}

// withCheck puts the right check digit (GB 11643, mod 11-2) on the first 17 digits.
func withCheck(number string) string {
	weights := []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += int(number[i]-'0') * w
	}
	return number[:17] + string("10X98765432"[sum%11])
}
