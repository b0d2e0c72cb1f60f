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
	assert.match(await page.locator(".map a title").first().textContent(), /(Switzerland|France): .* %/);
	assert.equal(await page.locator(".map a").count(), 2);
	answered("countries");

	// 10. Where is loss: it stands below every graph of its time.
	await start();
	assert.match(await page.locator("main").innerText(), /77 datagrams kernel receive buffer/);
	assert.ok(await page.locator(".loss").count() >= 1, "the graph marks no loss");
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
	for (const [name, query, width, colorScheme] of [
		["explore-light", "by=src.as&last=24h&before=day", 1280, "light"], ["explore-dark", "by=src.as&last=24h&view=both", 1280, "dark"],
		["explore-phone", "by=src.as&last=24h&view=lines", 390, "light"], ["explore-narrow", "by=src.as,dst.as&view=matrix&last=24h", 360, "dark"],
		["explore-sankey", "by=src.org,in.if,dst.org&view=sankey&last=24h", 1280, "light"], ["explore-hours", "view=hours&last=48h", 768, "light"],
		["explore-map", "by=src.country&view=map&last=24h", 1280, "light"], ["explore-map-phone", "by=country&view=map&last=24h", 390, "dark"],
		["explore-wide", "by=src.country&view=share&last=24h", 3840, "light"],
	]) {
		await page.emulateMedia({ colorScheme });
		await page.setViewportSize({ width, height: 900 });
		await page.goto(`${url}/explore?${query}`, { waitUntil: "networkidle" });
		const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
		assert.ok(wider <= 0, `${name}: the page is ${wider} pixels wider than the window`);
		await page.screenshot({ path: join(dir, `${name}.png`), fullPage: true });
	}
	await page.setViewportSize({ width: 1280, height: 900 });
	await page.emulateMedia({ colorScheme: "light" });
	await page.goto(`${url}/about?as=64496`, { waitUntil: "networkidle" });
	assert.match(await page.locator("main").innerText(), /77 datagrams kernel receive buffer/);
	await page.screenshot({ path: join(dir, "explore-about.png"), fullPage: true });
	await page.goto(`${url}/explore?by=src.as&last=24h`);
	await page.emulateMedia({ media: "print" });
	await page.screenshot({ path: join(dir, "explore-print.png"), fullPage: true });
	await page.emulateMedia({ media: "screen" });
	await page.goto(`${url}/explore?filter=src.ass+%3D+1`);
	await page.screenshot({ path: join(dir, "explore-problem.png"), fullPage: true });
	complaints.pop(); // the status of that page
	assert.deepEqual(complaints, []);
} finally {
	await browser.close();
}
