package directory

// PractitionerChanged tells that what lists show of a practitioner is new.
type PractitionerChanged struct {
	Practitioner PractitionerID `json:"practitioner_id"`
	Department   DepartmentID   `json:"department_id"`
}

// EventName implements event.Event.
func (PractitionerChanged) EventName() string { return "directory.practitioner.changed.v1" }
