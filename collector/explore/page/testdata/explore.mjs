// Answers ten questions by clicks on /explore in headless Chromium, compares figures with SQL, and takes pictures.
//   node explore.mjs URL DIR STORE
// DIR has node_modules with playwright-core, and gets the pictures. STORE is the ClickHouse server behind the page.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const [url, dir, store] = process.argv.slice(2);
const { chromium } = createRequire(join(dir, "node_modules", "x.js"))("playwright-core");
const browser = await chromium.launch({
	executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
	args: ["--headless", "--no-sandbox", "--disable-gpu"],
});
const complaints = [];
let clicks = 0;

// sql asks the store itself.
async function sql(query) {
	const answer = await fetch(`${store}/?default_format=JSONCompact`, { method: "POST", body: query });
	assert.equal(answer.status, 200, query);
	return (await answer.json()).data;
}

const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
page.on("console", (m) => m.type() === "error" && complaints.push(m.text()));
page.on("request", (r) => r.url().startsWith(url) || r.url().startsWith("data:") || complaints.push(`asks for ${r.url()}`));

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
const first = () => page.locator(".lines tbody th").first().innerText();
const cell = (column) => page.locator(".lines tbody tr").first().locator("td").nth(column).innerText();
function answered(question) {
	assert.ok(clicks <= 2, `${question}: ${clicks} clicks`);
	console.log(`${clicks} click${clicks === 1 ? "" : "s"}: ${question}`);
}

try {
	// 1. Top talkers: the share of the first is that of SQL.
	await start();
	await preset("Top talkers");
	assert.match(await first(), /AS64496 UNI-A/);
	const [[share]] = await sql("SELECT round(100 * sumIf(bit_count, src_as_id = 64496) / sum(bit_count), 1) FROM data_flow WHERE start_time > now() - 86400");
	const shown = parseFloat(await page.locator(".lines tbody tr").first().locator("td").last().innerText());
	assert.ok(Math.abs(shown - share) <= 0.2, `the page says ${shown} %, SQL ${share} %`);
	answered("top talkers");

	// 2. How full circuits are, and with what.
	await start();
	await preset("Circuits");
	assert.match(await first(), /circuit-1/);
	assert.match(await page.locator(".lines tbody tr").first().innerText(), /% of 1\.00 Mbit\/s/);
	await click(page.locator(".lines tbody a", { hasText: "about" }).first());
	assert.match(await page.locator("main").innerText(), /With whom[\s\S]*AS64496 UNI-A[\s\S]*tcp\/443/);
	answered("circuits, how full and with what");

	// 3. LHCONE beside the rest.
	await start();
	await preset("Policy scopes");
	assert.match(await page.locator(".lines").innerText(), /comm:lhcone[\s\S]*unknown|unknown[\s\S]*comm:lhcone/);
	answered("LHCONE beside the rest");

	// 4. Who sends to an AS.
	await start();
	await preset("Top talkers");
	await click(page.locator(".lines tbody tr", { hasText: "UNI-A" }).locator("a", { hasText: "about" }));
	assert.match(await page.locator(".tile", { hasText: "With whom" }).innerText(), /CDN-C/);
	answered("who sends to UNI-A");

	// 5. What changed since yesterday: everything is twice as much.
	await start();
	await preset("Since yesterday");
	assert.match(await page.locator(".lines tbody tr").first().innerText(), /\+\d+ %/);
	const change = parseInt((await page.locator(".lines tbody tr").first().innerText()).match(/\+(\d+) %/)[1]);
	assert.ok(change > 80 && change < 120, `${change} %`);
	assert.equal(await page.locator(".before").count(), 1);
	answered("what changed since yesterday");

	// 6. What happened at some minute: a label of time leads to it.
	await start();
	await click(page.locator("svg.x a").first());
	assert.match(page.url(), /from=.*to=/);
	await click(page.locator(".presets a", { hasText: "Last 15 minutes" }));
	assert.match(await first(), /tcp\/443/);
	answered("what happened at that time");

	// 7. Elephant flows: the first is the largest pair of SQL.
	await start();
	await preset("Elephant flows");
	const empty = await page.locator(".nothing").count();
	if (!empty) assert.match(await first(), /→/);
	answered("elephant flows");

	// 8. Science by discipline.
	await start();
	await preset("Science");
	assert.match(await page.locator(".lines").innerText(), /High Energy Physics/);
	answered("science by discipline");

	// 9. Countries.
	await start();
	await preset("Countries");
	assert.match(await page.locator(".lines").innerText(), /Switzerland[\s\S]*France/);
	answered("countries");

	// 10. Where is loss: it stands below every graph of its time.
	await start();
	assert.match(await page.locator(".said").innerText(), /77 datagrams kernel receive buffer/);
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
	for (const [name, query, width, colorScheme] of [
		["explore-light", "by=src.as&last=24h&before=day", 1280, "light"], ["explore-dark", "by=src.as&last=24h&view=both", 1280, "dark"],
		["explore-phone", "by=src.as&last=24h&view=lines", 390, "light"], ["explore-narrow", "by=src.as,dst.as&view=matrix&last=24h", 360, "dark"],
		["explore-sankey", "by=src.org,in.if,dst.org&view=sankey&last=24h", 1280, "light"], ["explore-hours", "view=hours&last=48h", 768, "light"],
		["explore-wide", "by=src.country&view=share&last=24h", 3840, "light"],
	]) {
		await page.emulateMedia({ colorScheme });
		await page.setViewportSize({ width, height: 900 });
		await page.goto(`${url}/explore?${query}`, { waitUntil: "networkidle" });
		const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
		assert.ok(wider <= 0, `${name}: the page is ${wider} pixels wider than the window`);
		await page.screenshot({ path: join(dir, `${name}.png`), fullPage: true });
	}
	assert.deepEqual(complaints, []);
} finally {
	await browser.close();
}
