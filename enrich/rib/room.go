package rib

// roomShare is the part of a limit, 1/roomShare, that must be free before a router is asked again for the routes that
// were left out. With less, a few routes would fill the table again at once.
const roomShare = 20

// HasRoom reports whether the table has room for more routes.
func (r *RIB) HasRoom() bool {
	b := r.budget
	free := b.limit - b.used + int64(r.arena.next)*unit - r.arena.inUse + int64(len(r.pages.free))*pageBytes
	return r.routes+max(r.maxRoutes/roomShare, 1) <= r.maxRoutes && free >= b.limit/roomShare
}

// HasRoom reports whether there is room for more routes of the source.
func (s *Source) HasRoom() bool {
	return s.Router.rib.HasRoom() && (s.MaxRoutes == 0 || s.routes+max(s.MaxRoutes/roomShare, 1) <= s.MaxRoutes)
}
