package rpki

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/rtr"
)

// Data of a cache that is gone is used until it expires; then routes are not validated any more.
func TestExpiry(t *testing.T) {
	o := Options{Caches: []string{"a:1"}, Expire: 30 * time.Minute}
	run(t, o, map[string][]func(*cache){"a:1": {func(x *cache) {
		x.want("all")
		x.data(1, "+10.0.0.0/8")
	}}}, func(c *Client, _ chan<- uint32) {
		states(t, c, "10.0.0.0/8", "valid")
		time.Sleep(29 * time.Minute)
		states(t, c, "10.0.0.0/8", "valid")
		if c.Stats().Expired {
			t.Error("expired too early")
		}
		time.Sleep(2 * time.Minute)
		states(t, c, "10.0.0.0/8", "unknown")
		if x := c.Stats(); !x.Expired || !x.Loaded || x.Sources[0].InUse {
			t.Errorf("%+v", x)
		}
	})
}

// A cache that says nothing is given up.
func TestSilence(t *testing.T) {
	one(t, func(c *Client, _ chan<- uint32) {
		time.Sleep(59 * time.Second)
		if x := c.Stats().Sources[0]; x.State != stateLoading {
			t.Errorf("%+v", x)
		}
		time.Sleep(4 * time.Second)
		states(t, c, "10.0.0.0/8", "valid")
	}, func(x *cache) {
		x.want("all")
		x.idle()
	}, func(x *cache) { // no message at all: perhaps it does not know version 1
		x.want("all")
		x.data(1, "+10.0.0.0/8")
		x.idle()
	})
}

// The second cache is asked only while the first cannot be used, and let go when it can again.
func TestPreference(t *testing.T) {
	var second int
	run(t, Options{Caches: []string{"a:1", "b:1"}}, map[string][]func(*cache){
		"a:1": {nil, func(x *cache) {
			x.want("all")
			<-x.signals
			x.data(1, "+10.0.0.0/8")
			<-x.signals
		}},
		"b:1": {func(x *cache) {
			second++
			x.want("all")
			x.data(1, "+11.0.0.0/8")
			x.idle()
			second++
		}, func(x *cache) {
			second++
			x.want("all")
			x.data(2, "+11.0.0.0/8")
			x.idle()
		}},
	}, func(c *Client, signals chan<- uint32) {
		states(t, c, twoPrefixes, "unknown valid")
		time.Sleep(2 * time.Second)
		signals <- 1
		states(t, c, twoPrefixes, "valid unknown")
		x := c.Stats().Sources
		if second != 2 || x[1].State != stateStandby || x[1].Payloads != 0 || !x[0].InUse || x[1].InUse {
			t.Errorf("second cache %d, %+v", second, x)
		}
		signals <- 2
		states(t, c, twoPrefixes, "unknown valid")
		if x := c.Stats().Sources; second != 3 || x[0].State != stateDown || !x[1].InUse {
			t.Errorf("second cache %d, %+v", second, x)
		}
	})
}

// A cache that says all the time that there is something new is asked once a second.
func TestNotifiesWithoutEnd(t *testing.T) {
	asked := 0
	run(t, Options{Caches: []string{"a:1"}, pause: notifyPause}, map[string][]func(*cache){"a:1": {func(x *cache) {
		x.want("all")
		x.data(1, "+10.0.0.0/8")
		for serial := uint32(1); ; serial++ {
			for range 100 {
				x.send(rtr.Message{Type: rtr.SerialNotify, Serial: serial + 1})
			}
			if x.query() != fmt.Sprintf("since %d", serial) {
				return
			}
			asked++
			x.data(serial + 1)
		}
	}}}, func(c *Client, _ chan<- uint32) {
		time.Sleep(time.Minute + time.Millisecond)
		states(t, c, "10.0.0.0/8", "valid")
		if updates := c.Stats().Sources[0].Updates; asked != 60 || updates != 61 {
			t.Errorf("it was asked %d times and answered %d times", asked, updates)
		}
	})
}

// A cache whose response never ends does not keep the next one from being used when its data is too old.
func TestResponseWithoutEnd(t *testing.T) {
	run(t, Options{Caches: []string{"a:1", "b:1"}, Refresh: time.Minute, Expire: 10 * time.Minute},
		map[string][]func(*cache){
			"a:1": {func(x *cache) {
				x.want("all")
				x.data(1, "+10.0.0.0/8")
				x.want("since 1")
				x.send(rtr.Message{Type: rtr.CacheResponse})
				prefix := rtr.Message{Type: rtr.IPv4Prefix, Prefix: netip.MustParsePrefix("12.0.0.0/8"), MaxLength: 8}
				for {
					prefix.Announce = !prefix.Announce
					x.send(prefix)
					select {
					case <-x.signals:
						return
					case <-time.After(time.Second):
					}
				}
			}},
			"b:1": {func(x *cache) {
				x.want("all")
				x.data(1, "+11.0.0.0/8")
				x.idle()
			}, func(x *cache) {
				x.want("all")
				x.data(1, "+11.0.0.0/8")
				x.idle()
			}},
		}, func(c *Client, signals chan<- uint32) {
			states(t, c, twoPrefixes, "valid unknown")
			time.Sleep(9 * time.Minute)
			states(t, c, twoPrefixes, "valid unknown")
			time.Sleep(2 * time.Minute)
			states(t, c, twoPrefixes, "unknown valid")
			signals <- 1
		})
}

// A cache that ends each session after its data is not asked again each second.
func TestSessionsWithoutEnd(t *testing.T) {
	sessions := 0
	var all []func(*cache)
	for range 1000 {
		all = append(all, func(x *cache) {
			sessions++
			x.query()
			x.data(1, "+10.0.0.0/8")
		})
	}
	run(t, Options{Caches: []string{"a:1"}}, map[string][]func(*cache){"a:1": all}, func(c *Client, _ chan<- uint32) {
		time.Sleep(10 * time.Minute)
		states(t, c, "10.0.0.0/8", "valid")
		if sessions > 20 {
			t.Errorf("%d sessions in ten minutes", sessions)
		}
	})
}
