// Package dataclass has the classes of data: what a column or a field says about people, declared once. From the class follow
// how an answer shows a value (Mask), how a copy for development replaces it (platform/mask) and what docs/reference/tables.md
// says of it (K5, J12, R55).
package dataclass

import (
	"fmt"
	"slices"
	"strings"
)

// Class is what a value is.
type Class string

// The classes. The first five say nothing of a person by themselves.
const (
	ID     Class = "id"     // names a row; random, means nothing outside
	Fact   Class = "fact"   // a state, count, instant, amount, day of a plan, name of a code
	Public Class = "public" // what the hospital shows to everybody: places, departments, prices, codes of diagnoses
	Origin Class = "origin" // where a request came from: address, trace, machine
	Actor  Class = "actor"  // who acted: kind and id, or the operator's name on the machine

	Name      Class = "name"      // of a person
	Phone     Class = "phone"     // mobile or other
	Number    Class = "number"    // of a document, a licence, or what another system calls a person
	Mail      Class = "mail"      // address of electronic mail
	Address   Class = "address"   // postal
	Birth     Class = "birth"     // day of birth
	Diagnosis Class = "diagnosis" // what is or was wrong with a person
	Text      Class = "text"      // free words: anything may be in them
	Record    Class = "record"    // several of the above in one value

	Index  Class = "index"  // blind index of one of the above
	Secret Class = "secret" // hash of a token or password, a one-time secret: whoever has it gets in
	Key    Class = "key"    // key material
)

// Classes are all, in the order of the reference.
var Classes = []Class{ID, Fact, Public, Origin, Actor, Name, Phone, Number, Mail, Address, Birth, Diagnosis, Text, Record, Index, Secret, Key}

const sealedMark = " sealed"

// Sealed is the class of a value that is encrypted where it stands.
func (c Class) Sealed() Class { return c.Plain() + sealedMark }

// IsSealed tells whether the value is encrypted where it stands.
func (c Class) IsSealed() bool { return strings.HasSuffix(string(c), sealedMark) }

// Plain is the class of what is sealed; of others the class itself.
func (c Class) Plain() Class { return Class(strings.TrimSuffix(string(c), sealedMark)) }

// Personal tells whether a value of the class says something of a person.
func (c Class) Personal() bool {
	switch c.Plain() {
	case Name, Phone, Number, Mail, Address, Birth, Diagnosis, Text, Record:
		return true
	}
	return false
}

// Table gives each column of a table its class: the names of the columns, separated by white space, by class.
type Table map[Class]string

// Schema is every table of a context.
type Schema map[string]Table

// Of is the class of a column; false when it has none.
func (t Table) Of(column string) (Class, bool) {
	for c, names := range t {
		if slices.Contains(strings.Fields(names), column) {
			return c, true
		}
	}
	return "", false
}

// Check compares the declaration with the columns that a table has: each has exactly one class that there is, and no other is
// named. The error names what is wrong.
func (t Table) Check(columns []string) error {
	seen := map[string]Class{}
	for c, names := range t {
		if !slices.Contains(Classes, c.Plain()) {
			return fmt.Errorf("there is no class %q", c)
		}
		for _, name := range strings.Fields(names) {
			if was, twice := seen[name]; twice {
				return fmt.Errorf("column %s has two classes: %s and %s", name, min(was, c), max(was, c))
			}
			seen[name] = c
			if !slices.Contains(columns, name) {
				return fmt.Errorf("class %s names the column %s, which is not there", c, name)
			}
		}
	}
	for _, name := range columns {
		if _, ok := seen[name]; !ok {
			return fmt.Errorf("column %s has no class", name)
		}
	}
	return nil
}
