package patient

import (
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
)

// Created tells that a person was added for the first time.
type Created struct {
	Patient ID `json:"patient_id"`
}

// EventName implements event.Event.
func (Created) EventName() string { return "patient.patient.created.v1" }

// LinkChanged tells that an account may act for a person from now on, or no longer.
type LinkChanged struct {
	Account id.ID[auth.Account] `json:"account_id"`
	Patient ID                  `json:"patient_id"`
	Active  bool                `json:"active"`
}

// EventName implements event.Event.
func (LinkChanged) EventName() string { return "patient.link.changed.v1" }
