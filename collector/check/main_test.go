package check

import (
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
