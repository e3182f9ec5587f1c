package rotafile

import (
	"strings"

	"xinglin/internal/directory"
	"xinglin/internal/scheduling"
)

// Roster is what the file says about places and people.
func (p Plan) Roster() directory.Roster {
	r := directory.Roster{Campuses: p.Campuses}
	for _, d := range p.Departments {
		r.Departments = append(r.Departments, directory.RosterDepartment{Campus: d.Campus, Name: d.Name})
	}
	for _, d := range p.Doctors {
		if d.Department != (Department{}) {
			r.Doctors = append(r.Doctors, d.Roster())
		}
	}
	return r
}

// Roster is the doctor as the directory hears of it.
func (d Doctor) Roster() directory.RosterDoctor {
	return directory.RosterDoctor{Licence: d.Licence, Name: d.Name, Title: d.Title, Campus: d.Department.Campus, Department: d.Department.Name}
}

// CountPlaces tells in the report what of the file was new to the directory.
func (p Plan) CountPlaces(placed directory.Placed, out *scheduling.ImportReport) {
	out.Campuses.Same, out.Departments.Same, out.Doctors.Same = len(p.Campuses), len(p.Departments), len(p.Doctors)
	for _, what := range placed.New {
		for prefix, c := range map[string]*scheduling.Change{"院区 ": &out.Campuses, "科室 ": &out.Departments, "医师 ": &out.Doctors} {
			if len(what) > len(prefix) && strings.HasPrefix(what, prefix) {
				c.New++
				c.Same--
			}
		}
	}
}

// Place gives the plan's rules and exceptions with the directory's ids. elsewhere are the
// doctors, by licence, that only the directory knows a department of.
func (p Plan) Place(placed directory.Placed, elsewhere map[string]scheduling.PractitionerID) (rules []scheduling.RotaRule, exceptions []scheduling.Exception) {
	duty := func(d scheduling.Duty, licence string, dept Department) scheduling.Duty {
		d.Practitioner = placed.Doctors[licence]
		if d.Practitioner.IsZero() {
			d.Practitioner = elsewhere[licence]
		}
		if dept != (Department{}) {
			d.Campus = placed.Campuses[dept.Campus]
			d.Department = placed.Departments[directory.RosterDepartmentKey{Campus: dept.Campus, Name: dept.Name}]
		}
		return d
	}
	for _, r := range p.Rules {
		r.Rule.Duty = duty(r.Rule.Duty, r.Licence, r.Department)
		rules = append(rules, r.Rule)
	}
	for _, e := range p.Exceptions {
		e.Exception.Duty = duty(e.Exception.Duty, e.Licence, e.Department)
		exceptions = append(exceptions, e.Exception)
	}
	return rules, exceptions
}
