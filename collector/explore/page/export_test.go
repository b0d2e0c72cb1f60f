package page

import "testing"

// Names come from devices: no cell of a CSV file is a formula to a spreadsheet.
func TestSpreadsheet(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "uplink": "uplink", "1=1": "1=1", "=cmd|' /c calc'!A0": "'=cmd|' /c calc'!A0", "+1": "'+1", "-1": "'-1",
		"@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1", "\n=1": "'\n=1",
	} {
		if got := spreadsheet(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
