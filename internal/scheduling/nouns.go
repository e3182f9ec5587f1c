package scheduling

import (
	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/payment"
)

// Ids of other contexts' things, as the rest of scheduling writes them.
type (
	TenantID       = directory.TenantID
	AccountID      = id.ID[auth.Account]
	PatientID      = patient.ID
	PractitionerID = directory.PractitionerID
	DepartmentID   = directory.DepartmentID
	CampusID       = directory.CampusID
	PaymentID      = payment.ID
)
