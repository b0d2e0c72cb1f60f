// Answers ten questions by clicks on /explore in headless Chromium, compares figures with SQL, and takes pictures.
//   node explore.mjs URL DIR STORE
// DIR has node_modules with playwright-core, and gets the pictures. STORE is the ClickHouse server behind the page.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { open, picture } from "../../../web/webtest/browser.mjs";

const [url, dir, store] = process.argv.slice(2);
const { browser, page, complaints } = await open(url, dir);
let clicks = 0;

// sql asks the store itself.
async function sql(query) {
	const answer = await fetch(`${store}/?default_format=JSONCompact`, { method: "POST", body: query });
	assert.equal(answer.status, 200, query);
	return (await answer.json()).data;
}

// start opens the page of all questions, and counts from there.
async function start() {
	clicks = 0;
	const answer = await page.goto(`${url}/explore`);
	assert.equal(answer.status(), 200);
}
async function click(locator) {
	clicks++;
	await locator.click();
	await page.waitForLoadState();
}
const preset = (name) => click(page.locator(".presets a", { hasText: name }).first());
// choose is the way to a preset: from the page of all questions by one click.
async function choose(name) {
	await start();
	await preset(name);
}
const first = () => page.locator(".lines tbody th").first().innerText();
function answered(question) {
	assert.ok(clicks <= 2, `${question}: ${clicks} clicks`);
	console.log(`${clicks} click${clicks === 1 ? "" : "s"}: ${question}`);
}

// percentOf is the share that a line of the table has, by its name.
async function percentOf(name) {
	const row = page.locator(".lines tbody tr", { hasText: name }).first();
	return parseFloat(await row.locator("td").last().innerText());
}
// same compares a share with what SQL says of the flows of the last hours.
async function same(name, part, hours) {
	const [[share]] = await sql(`SELECT round(100 * sumIf(bit_count, ${part}) / sum(bit_count), 1) FROM data_flow ` +
		`WHERE start_time > now() - ${3600 * hours}`);
	const shown = await percentOf(name);
	assert.ok(Math.abs(shown - share) <= 0.3, `${name}: the page says ${shown} %, SQL ${share} %`);
}

try {
	// 1. Top talkers, by AS, organization, project and site.
	await choose("Top talkers");
	assert.match(await first(), /AS64496 UNI-A/);
	await same("UNI-A", "src_as_id = 64496", 24);
	answered("top talkers: AS");
	await choose("Organizations");
	assert.match(await page.locator(".sankey").textContent(), /University A[\s\S]*Laboratory B/);
	answered("top talkers: organizations");
	await choose("Projects");
	await same("CMS", "src_as_id = 64496", 24);
	answered("top talkers: projects");
	await choose("Sites");
	await same("PoP One", "1", 24);
	answered("top talkers: sites");

	// 2. How full circuits are, and with what.
	await choose("Circuits");
	assert.match(await first(), /circuit-1/);
	const full = (await page.locator(".lines tbody tr").first().innerText()).match(/(\d+) % of 1\.00 Mbit\/s/);
	const [[rate]] = await sql("SELECT quantileExact(0.95)(v) / 900 / 10000 FROM (SELECT intDiv(toUnixTimestamp(start_time), 900) AS t, " +
		"sum(bit_count) AS v FROM data_flow WHERE start_time > now() - 86400 GROUP BY t)");
	assert.ok(Math.abs(full[1] - rate) <= rate / 10, `the circuit is ${full[1]} % full, SQL says ${rate} %`);
	await click(page.locator(".lines tbody a", { hasText: "about" }).first());
	assert.match(await page.locator("main").innerText(), /With whom[\s\S]*AS64496 UNI-A[\s\S]*tcp\/443/);
	answered("circuits, how full");
	await choose("What circuits carry");
	assert.match(await first(), /circuit-1 → tcp\/443/);
	answered("circuits, with what");

	// 3. LHCONE beside the rest.
	await choose("Policy scopes");
	assert.match(await page.locator(".lines").innerText(), /comm:lhcone[\s\S]*unknown|unknown[\s\S]*comm:lhcone/);
	await same("comm:lhcone", "has(policy_scope, 'comm:lhcone')", 24);
	answered("LHCONE beside the rest");

	// 4. Who sends to an AS.
	await choose("Who sends to whom");
	await click(page.locator(".matrix thead a", { hasText: "LAB-B" }));
	assert.equal(await page.locator("input[name=filter]").inputValue(), "dst.as = 64497");
	assert.match(await first(), /AS64496 UNI-A/);
	assert.equal(await percentOf("UNI-A"), 100);
	answered("who sends to LAB-B");

	// 5. What changed since yesterday: everything is twice as much.
	await choose("Since yesterday");
	const change = parseInt((await page.locator(".lines tbody tr").first().innerText()).match(/\+(\d+) %/)[1]);
	assert.ok(change > 80 && change < 120, `${change} %`);
	assert.equal(await page.locator(".before").count(), 1);
	answered("what changed since yesterday");

	// 6. What happened at some minute: a label of time leads to it, and the peak to the flows behind it.
	await choose("What happened");
	assert.match(await first(), /tcp\/443/);
	const label = page.locator("svg.x a").nth(1);
	const minute = (await label.locator("text").evaluate((x) => x.firstChild.data)).trim();
	await click(label);
	assert.ok(new URL(page.url()).searchParams.get("from").endsWith(`T${minute}`), `${page.url()} is not at ${minute}`);
	answered(`what happened at ${minute}`);
	await choose("Top talkers");
	await click(page.locator("main a", { hasText: "the flows behind it" }));
	const [from, to] = ["from", "to"].map((x) => new URL(page.url()).searchParams.get(x).replace("T", " "));
	const [[largest, count]] = await sql("SELECT toUInt32(intDiv(max(bit_count), 8)), toUInt32(count()) FROM data_flow WHERE start_time >= " +
		`parseDateTimeBestEffort('${from}', 'UTC') AND start_time < parseDateTimeBestEffort('${to}', 'UTC')`);
	assert.ok(count > 25 && largest === 600000, `${largest} of ${count}`);
	assert.equal(await page.locator(".flows tbody tr").count(), 25);
	assert.match(await page.locator(".flows tbody tr").first().innerText(), /198\.51\.100\.\d+[\s\S]*600 kB/);
	answered("the flows behind a peak");

	// 7. Elephant flows: the first is the largest pair of SQL.
	await choose("Elephant flows");
	// Of the whole steps that the table is of, which its export names.
	const of = await (await page.request.get(page.url().replace("/explore?", "/explore.json?"))).json();
	const pairs = await sql("SELECT replaceOne(toString(src_ip), '::ffff:', '') AS a, sum(bit_count) / 8e6 AS v FROM data_flow " +
		`WHERE start_time >= parseDateTimeBestEffort('${of.from}', 'UTC') AND start_time < parseDateTimeBestEffort('${of.to}', 'UTC') ` +
		"GROUP BY a ORDER BY v DESC LIMIT 30");
	const elephant = await page.locator(".lines tbody tr").first().innerText();
	const pair = pairs.find(([source]) => elephant.includes(`${source} → 192.0.2.200 → tcp/443`));
	const shown = parseFloat(elephant.match(/([\d.]+) MB/)[1]);
	assert.ok(pair && Math.abs(pair[1] - pairs[0][1]) <= pairs[0][1] / 20 && Math.abs(shown - pair[1]) <= pair[1] / 20,
		`${elephant}: SQL says ${pairs.slice(0, 3)}`);
	answered("elephant flows");

	// 8. Science by discipline.
	await choose("Science");
	await same("High Energy Physics", "src_as_id = 64496", 48);
	answered("science by discipline");

	// 9. Countries.
	await choose("Countries");
	await same("Switzerland", "src_as_id = 64496", 24);
	await same("France", "src_as_id = 64497", 24);
	assert.match(await page.locator(".map a title").first().textContent(), /(Switzerland|France): .* %/);
	assert.equal(await page.locator(".map a").count(), 2);
	answered("countries");

	// 10. Where is loss: it stands below every graph of its time, and by exporter on a page of its own.
	await start();
	assert.match(await page.locator("main").innerText(), /77 datagrams \(kernel: receive buffer\)/);
	assert.ok(await page.locator(".loss").count() >= 1, "the graph marks no loss");
	await preset("Losses");
	assert.match(await page.locator(".lines tbody tr").first().innerText(), /192\.0\.2\.1[\s\S]*kernel: receive buffer[\s\S]*77/);
	await click(page.locator(".lines tbody a").first());
	assert.equal(await page.locator("input[name=filter]").inputValue(), "device = core1");
	answered("where is loss");

	// Everything else by the form: a filter, a drawing of each view, and what cannot be read.
	await page.goto(`${url}/explore`);
	await page.fill("input[name=filter]", "src.as = 64497 and dst.port = 443");
	await page.selectOption("select[name=by] >> nth=0", "dst.as");
	await page.click("button");
	assert.match(await first(), /AS64498 CDN-C/);
	await page.fill("input[name=filter]", "src.sa = 1");
	await page.click("button");
	assert.match(await page.locator("[role=alert]").innerText(), /did you mean src\.as/);
	complaints.splice(0); // the status of that page

	// Completion with the script: a field, a comparison, and a value of the store, by keys alone.
	await page.goto(`${url}/explore?by=dst.as`);
	const filter = page.locator("input[name=filter]");
	const option = (text) => page.locator("#suggestions [role=option]", { hasText: text }).first();
	const pick = async (text) => {
		await option(text).waitFor();
		const all = await page.locator("#suggestions [role=option]").allInnerTexts();
		const at = all.findIndex((x) => x.includes(text));
		for (let i = 0; i <= at; i++) await page.keyboard.press("ArrowDown");
		await page.keyboard.press("Enter");
	};
	await filter.click();
	await page.keyboard.type("src.or");
	await pick("src.org");
	await pick("=");
	await option("University A").waitFor();
	await page.screenshot({ path: join(dir, "explore-complete.png") });
	await page.keyboard.type("lab");
	await pick("Laboratory B");
	assert.equal(await filter.inputValue(), 'src.org = "Laboratory B" ');
	await page.keyboard.press("Enter");
	await page.waitForURL(/filter=/);
	assert.match(await first(), /AS64498 CDN-C/);

	// The cursor: what a graph has at a time, by the mouse and by keys.
	await page.goto(`${url}/explore?by=src.as&last=24h&before=day`);
	const plot = page.locator(".plot");
	const box = await plot.boundingBox();
	await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.5);
	assert.match(await page.locator(".tip").innerText(), /AS64496 UNI-A[\s\S]*all[\s\S]*the day before/);
	await page.keyboard.press("c");
	await page.mouse.move(box.x + box.width * 0.7, box.y + box.height * 0.5);
	assert.match(await page.locator(".tip").innerText(), /beside[\s\S]*%/);
	await page.screenshot({ path: join(dir, "explore-cursor.png") });
	await page.keyboard.press("Escape");
	// A stretch that is marked is what the next page shows.
	await page.mouse.move(box.x + box.width * 0.25, box.y + 50);
	await page.mouse.down();
	await page.mouse.move(box.x + box.width * 0.4, box.y + 60);
	await page.mouse.move(box.x + box.width * 0.5, box.y + 60);
	await page.mouse.up();
	await page.waitForURL(/from=.*to=/);
	const marked = new URL(page.url()).searchParams;
	const hours = (new Date(marked.get("to")) - new Date(marked.get("from"))) / 3600e3;
	assert.ok(hours > 5.5 && hours < 6.6, `a quarter of a day is ${hours} hours`);
	assert.equal(marked.get("by"), "src.as");
	await plot.focus();
	await page.keyboard.press("Home");
	await page.keyboard.press("ArrowRight");
	assert.match(await page.locator(".tip").innerText(), /AS64496/);
	await page.keyboard.press("Shift+PageDown");
	await page.keyboard.press("Enter");
	await page.waitForURL((u) => u.searchParams.get("to") !== marked.get("to"));
	// A click on an area still adds it to the filter.
	await page.goto(`${url}/explore?by=src.as&last=24h`);
	await page.locator(".plot a").last().click();
	await page.waitForURL(/filter=/);

	// While the store works there is a button that ends it, and the page stays as it is.
	await page.goto(`${url}/explore?by=src.as&last=24h`);
	const slow = (address) => address.pathname === "/explore" && address.searchParams.get("by") === "dst.as";
	await page.route(slow, () => {}); // it is never answered
	await page.evaluate(() => { // a click of Playwright would wait for the next page
		const timer = setInterval(() => {
			const button = document.querySelector(".working button");
			if (!button) return;
			clearInterval(timer);
			window.said = button.parentElement.textContent;
			button.click();
		}, 50);
	});
	await page.selectOption("select[name=by] >> nth=0", "dst.as");
	await page.locator(".ask button").first().click({ noWaitAfter: true });
	let said;
	for (let i = 0; i < 300 && !said; i++) {
		await new Promise((f) => setTimeout(f, 100));
		said = await page.evaluate(() => window.said);
	}
	assert.match(said, /The store is working, \d+ s/);
	assert.equal(await page.locator(".working").count(), 0);
	assert.match(await first(), /AS64496 UNI-A/);
	await page.unroute(slow);

	// The drawing as PNG.
	await page.goto(`${url}/explore?by=src.as&last=24h`);
	const [download] = await Promise.all([page.waitForEvent("download"), page.click("#png button")]);
	const image = await readFile(await download.path());
	assert.deepEqual([...image.subarray(1, 4)], [80, 78, 71]);
	assert.ok(image.length > 10000, `the PNG has ${image.length} bytes`);

	// The times of where one is, by one click.
	const abroad = await browser.newContext({ timezoneId: "Asia/Kolkata" });
	const there = await abroad.newPage();
	await there.goto(`${url}/explore?by=src.as`);
	await there.locator("#zone a").click();
	await there.waitForURL((u) => u.searchParams.get("zone") !== null);
	assert.match(await there.locator(".said").innerText(), /Times are Asia\/(Kolkata|Calcutta)/);
	await abroad.close();

	// Every control has a name for a screen reader, and each drawing says where its figures are.
	await page.goto(`${url}/explore?by=src.as&last=24h`);
	const nameless = await page.evaluate(() => [...document.querySelectorAll("select, input:not([type=hidden]), button, main a")]
		.filter((x) => !(x.labels?.[0]?.textContent ?? x.textContent ?? "").trim() && !x.ariaLabel).map((x) => x.outerHTML));
	assert.deepEqual(nameless, []);
	const tree = await page.locator("main").ariaSnapshot();
	for (const part of ["navigation \"questions\"", "the table below has the figures", "table:", "rowheader", "combobox"]) {
		assert.ok(tree.includes(part), `a screen reader finds no ${part} in\n${tree}`);
	}

	// A view is saved under a name and stands on the page.
	await page.goto(`${url}/explore?by=dst.as&last=6h`);
	await page.locator("details.keep summary").click();
	await page.fill(".keep input[name=name]", "Where it goes");
	await page.click(".keep button[value=save]");
	await page.waitForURL(/explore\?by=dst.as&last=6h/);
	assert.equal(await page.locator(".saved a[aria-current]").innerText(), "Where it goes");

	// Without a script: completion by links, and everything else as before.
	const plain = await browser.newContext({ javaScriptEnabled: false });
	const quiet = await plain.newPage();
	await quiet.goto(`${url}/explore?by=dst.as`);
	await quiet.fill("input[name=filter]", "src.org");
	await quiet.click("button.second");
	await quiet.locator(".suggests a", { hasText: /^src\.org$/ }).click();
	await quiet.locator(".suggests a", { hasText: /^=$/ }).click();
	await quiet.locator(".suggests a", { hasText: "Laboratory B" }).click();
	assert.match(await quiet.locator(".lines tbody th").first().innerText(), /AS64498 CDN-C/);
	await plain.close();
	// How much a page weighs, and how soon it is seen from the cache. No page asks for anything of another place.
	for (const query of ["", "by=src.as&last=24h", "by=src.as&last=24h&before=day", "by=src.org,dst.org&view=sankey&last=24h", "by=circuit&view=lines&last=24h",
		"by=src.as,dst.as&view=matrix&last=24h", "by=src.as&view=both&last=24h", "by=src.ip,dst.ip,app&view=table&top=25&last=1h", "view=flows&top=25&last=1h",
		"by=src.country&view=map&top=15&last=24h", "view=hours&last=7d", "view=losses&last=24h", "/about?as=64496", "/about?circuit=circuit-1"]) {
		const at = `${url}${query.startsWith("/") ? query : `/explore?${query}`}`;
		const answer = await page.goto(at, { waitUntil: "load" });
		assert.equal(answer.status(), 200, at);
		const whole = (await answer.body()).length, sizes = await answer.request().sizes();
		assert.ok(whole <= 60000, `${query} has ${whole} bytes`);
		assert.equal(await answer.headerValue("content-encoding"), "gzip");
		await page.goto(at, { waitUntil: "load" });
		const paint = await page.evaluate(() => new Promise((f) => {
			new PerformanceObserver((list) => f(list.getEntriesByName("first-contentful-paint")[0]?.startTime)).observe({ type: "paint", buffered: true });
		}));
		console.log(`${whole} B, ${sizes.responseBodySize} B compressed, first paint from the cache ${Math.round(paint)} ms: ${query || "no question"}`);
	}

	for (const [name, query, width, colorScheme] of [
		["explore-light", "by=src.as&last=24h&before=day", 1280, "light"], ["explore-dark", "by=src.as&last=24h&view=both", 1280, "dark"],
		["explore-phone", "by=src.as&last=24h&view=lines", 390, "light"], ["explore-narrow", "by=src.as,dst.as&view=matrix&last=24h", 360, "dark"],
		["explore-sankey", "by=src.org,in.if,dst.org&view=sankey&last=24h", 1280, "light"], ["explore-hours", "view=hours&last=48h", 768, "light"],
		["explore-hours-phone", "view=hours&last=48h", 360, "dark"],
		["explore-map", "by=src.country&view=map&last=24h", 1280, "light"], ["explore-map-phone", "by=country&view=map&last=24h", 390, "dark"],
		["explore-flows", "view=flows&top=25&last=1h", 1280, "light"], ["explore-flows-phone", "view=flows&top=25&last=1h", 360, "light"],
		["explore-losses", "view=losses&last=24h", 1280, "dark"], ["explore-nothing", "filter=proto+%3D+gre", 1280, "light"],
		["explore-names", "by=device&last=24h&top=15", 1280, "light"], ["explore-names-phone", "by=device&last=24h&top=15", 360, "dark"],
		["explore-wide", "by=src.country&view=share&last=24h", 3840, "light"],
	]) {
		await page.emulateMedia({ colorScheme });
		await page.setViewportSize({ width, height: 900 });
		await page.goto(`${url}/explore?${query}`, { waitUntil: "networkidle" });
		const cut = await page.evaluate(() => [...document.querySelectorAll(".scroll:has(.lines, .hours)")].filter((x) => x.scrollWidth > x.clientWidth + 1).length);
		assert.ok(cut === 0, `${name}: a part of the table is not seen`);
		await picture(page, dir, name);
	}
	for (const [name, query, width, colorScheme] of [["about-address", "ip=198.51.100.3", 1280, "light"],
		["about-interface", "if=core1::up", 1280, "dark"], ["about-circuit-phone", "circuit=circuit-1", 360, "light"],
		["about-device-phone", "device=core1", 390, "dark"], ["about-organization", "org=University+A", 1280, "light"],
		["about-unknown", "as=65000", 1280, "light"]]) {
		await page.emulateMedia({ colorScheme });
		await page.setViewportSize({ width, height: 900 });
		await page.goto(`${url}/about?${query}`, { waitUntil: "networkidle" });
		await picture(page, dir, name);
	}
	await page.setViewportSize({ width: 1280, height: 900 });
	await page.emulateMedia({ colorScheme: "light" });
	await page.goto(`${url}/about?as=64496`, { waitUntil: "networkidle" });
	assert.match(await page.locator("main").innerText(), /77 datagrams \(kernel: receive buffer\)/);
	await page.screenshot({ path: join(dir, "explore-about.png"), fullPage: true });
	await page.goto(`${url}/explore?by=src.as&last=24h`);
	await page.emulateMedia({ media: "print" });
	await page.screenshot({ path: join(dir, "explore-print.png"), fullPage: true });
	await page.goto(`${url}/explore?view=hours&last=48h`);
	await page.pdf({ path: join(dir, "explore-hours.pdf") });
	await page.emulateMedia({ media: "screen" });
	await page.goto(`${url}/explore?filter=src.ass+%3D+1`);
	await page.screenshot({ path: join(dir, "explore-problem.png"), fullPage: true });
	complaints.pop(); // the status of that page
	assert.deepEqual(complaints, []);
} finally {
	await browser.close();
}
