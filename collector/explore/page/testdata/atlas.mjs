// Makes map.txt, the shapes of the map of countries, from the packages world-atlas (Natural Earth, public domain),
// topojson-client, topojson-simplify and iso-3166-1 of npm:
//   node atlas.mjs DIR > ../map.txt
// DIR has node_modules with these packages. A line is a code of ISO 3166 and a path, on a grid 1000 wide. A country
// that is too small for a path is a dot: a code and "x y".
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "node_modules", "x.js"));
const topojson = require("topojson-client");
const { presimplify, simplify } = require("topojson-simplify");
const iso = require("iso-3166-1");
const smallest = 0.4; // square degrees of the smallest triangle that a shape keeps

// The projection Equal Earth (Šavrič, Patterson, Jenny 2018): areas are true.
const [a1, a2, a3, a4, m] = [1.340264, -0.081106, 0.000893, 0.003796, Math.sqrt(3) / 2];
const raw = (lambda, phi) => {
	const l = Math.asin(m * Math.sin(phi)), l2 = l * l, l6 = l2 * l2 * l2;
	return [(lambda * Math.cos(l)) / (m * (a1 + 3 * a2 * l2 + l6 * (7 * a3 + 9 * a4 * l2))), l * (a1 + a2 * l2 + l6 * (a3 + a4 * l2))];
};
const [widest] = raw(Math.PI, 0), [, top] = raw(0, (84 * Math.PI) / 180);
const project = ([lon, lat]) => {
	const [x, y] = raw((lon * Math.PI) / 180, (lat * Math.PI) / 180);
	return [Math.round(((x + widest) / widest) * 500), Math.round(((top - y) / widest) * 500)];
};

// whole cuts a ring at the edge of the map: one that crosses it is two rings, each with what lies beyond at its edge.
function whole(ring) {
	let turn = 0;
	const open = ring.map(([lon, lat], i) => {
		if (i > 0 && lon - ring[i - 1][0] < -180) turn += 360;
		if (i > 0 && lon - ring[i - 1][0] > 180) turn -= 360;
		return [lon + turn, lat];
	});
	const lons = open.map((p) => p[0]);
	const at = (shift) => open.map(([lon, lat]) => [Math.min(Math.max(lon + shift, -180), 180), lat]);
	return [-360, 0, 360].filter((shift) => Math.max(...lons) + shift > -180 && Math.min(...lons) + shift < 180).map(at);
}

// path is a shape on the grid, with relative steps; "" where nothing of it is left.
function path(geometry) {
	const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
	let text = "";
	for (const ring of polygons.flat().flatMap(whole)) {
		const points = ring.map(project).filter((p, i, all) => i === 0 || p[0] !== all[i - 1][0] || p[1] !== all[i - 1][1]);
		if (points.length < 4) continue;
		points.pop(); // the first again
		text += `M${points[0][0]} ${points[0][1]}l`;
		text += points.slice(1).map((p, i) => `${p[0] - points[i][0]} ${p[1] - points[i][1]}`).join(" ").replaceAll(" -", "-") + "z";
	}
	return text;
}

const code = (f) => iso.whereNumeric(String(f.id ?? "").padStart(3, "0"))?.alpha2 ?? { Kosovo: "XK", Somaliland: "SO", "N. Cyprus": "CY" }[f.properties.name];
const read = (name) => require(`world-atlas/countries-${name}.json`);
const lines = new Map();
const coarse = simplify(presimplify(read("110m")), smallest);
for (const f of topojson.feature(coarse, coarse.objects.countries).features) {
	const text = f.geometry && path(f.geometry);
	if (code(f) && code(f) !== "AQ" && text) lines.set(code(f), (lines.get(code(f)) ?? "") + text);
}
const fine = read("50m");
for (const f of topojson.feature(fine, fine.objects.countries).features) {
	if (!code(f) || code(f) === "AQ" || lines.has(code(f)) || !f.geometry) continue;
	const points = (f.geometry.type === "Polygon" ? [f.geometry.coordinates] : f.geometry.coordinates)
		.map((p) => p[0]).sort((a, b) => b.length - a.length)[0];
	const middle = [0, 1].map((i) => points.reduce((sum, p) => sum + p[i], 0) / points.length);
	lines.set(code(f), project(middle).join(" "));
}
for (const [name, text] of [...lines].sort()) console.log(`${name} ${text}`);
