package rig

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
)

// Workbook is a CSV file as a clerk keeps it in Excel: numbers, dates and times of day as
// cells of their kind, a campus that repeats from row to row as one merged cell, a sheet of
// notes before the table and a hidden one behind it. Rows keep their numbers.
func Workbook(t testing.TB, text string) []byte {
	t.Helper()
	b, err := workbook(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func workbook(text string) ([]byte, error) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	r.FieldsPerRecord = -1
	records, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	const name = "出诊表"
	f := excelize.NewFile()
	defer f.Close()
	if err := f.SetSheetName("Sheet1", "填表说明"); err != nil {
		return nil, err
	}
	if err := f.SetCellValue("填表说明", "A1", "请勿修改表头"); err != nil {
		return nil, err
	}
	for _, s := range []string{name, "字典"} {
		if _, err := f.NewSheet(s); err != nil {
			return nil, err
		}
	}
	if err := f.SetSheetRow("字典", "A1", &records[1]); err != nil {
		return nil, err
	}
	if err := f.SetSheetVisible("字典", false); err != nil {
		return nil, err
	}
	if err := sheet(f, name, records); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = f.Write(&b)
	return b.Bytes(), err
}

func sheet(f *excelize.File, name string, records [][]string) error {
	w, err := f.NewStreamWriter(name)
	if err != nil {
		return err
	}
	isDate, isTime := "yyyy/m/d", "h:mm"
	day, err := f.NewStyle(&excelize.Style{CustomNumFmt: &isDate})
	if err != nil {
		return err
	}
	clock, err := f.NewStyle(&excelize.Style{CustomNumFmt: &isTime})
	if err != nil {
		return err
	}
	for n, record := range records {
		cells := make([]any, 0, len(record))
		for _, s := range record {
			cells = append(cells, cell(s, day, clock))
		}
		if n > 2 && record[0] != "" && record[0] == records[n-1][0] {
			cells[0] = nil
		}
		if err := w.SetRow(fmt.Sprintf("A%d", n+1), cells); err != nil {
			return err
		}
	}
	for from, n := 2, 3; n <= len(records); n++ {
		if n < len(records) && records[n][0] != "" && records[n][0] == records[from][0] {
			continue
		}
		if n-from > 1 {
			if err := w.MergeCell(fmt.Sprintf("A%d", from+1), fmt.Sprintf("A%d", n)); err != nil {
				return err
			}
		}
		from = n
	}
	return w.Flush()
}

// cell is a text as Excel takes it when it is typed.
func cell(s string, day, clock int) any {
	for _, layout := range []string{time.DateOnly, "2006/1/2", "2006年1月2日"} {
		if t, err := time.Parse(layout, s); err == nil {
			return excelize.Cell{Value: t, StyleID: day}
		}
	}
	if t, err := time.Parse("15:04", s); err == nil {
		return excelize.Cell{Value: float64(t.Hour()*60+t.Minute()) / (24 * 60), StyleID: clock}
	}
	if v, err := strconv.ParseFloat(s, 64); err == nil && len(s) < 15 {
		return v
	}
	return s
}
