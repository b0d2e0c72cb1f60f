// Looks at the page of exporters in headless Chromium, checks what it says, and takes pictures of it: light, dark and narrow.
//   node page.mjs URL DIR
// DIR has node_modules with playwright-core, and gets the pictures.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [url, dir] = process.argv.slice(2);
const { chromium } = createRequire(join(dir, "node_modules", "x.js"))("playwright-core");
const profile = mkdtempSync(join(tmpdir(), "page-"));
const context = await chromium.launchPersistentContext(profile, {
	executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
	args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync"],
});
try {
	const page = await context.newPage();
	const complaints = [];
	page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
	page.on("request", (request) => request.url().startsWith(url) || request.url().startsWith("data:") || complaints.push(`asks for ${request.url()}`));
	for (const [name, width, height, colorScheme] of [
		["light", 1280, 900, "light"], ["dark", 1280, 900, "dark"], ["narrow", 390, 844, "light"], ["narrow-dark", 390, 844, "dark"],
	]) {
		await page.emulateMedia({ colorScheme });
		await page.setViewportSize({ width, height });
		const answer = await page.goto(`${url}/exporters?refresh=0`, { waitUntil: "networkidle" });
		assert.equal(answer.status(), 200);
		const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
		assert.ok(wider <= 0, `${name}: the page is ${wider} pixels wider than the window`);
		await page.screenshot({ path: join(dir, `${name}.png`), fullPage: true });
	}

	const verdicts = {};
	for (const body of await page.locator("table.exporters tbody").all()) {
		const exporter = (await body.locator("th").innerText()).split(/\s/)[0];
		verdicts[exporter] = await body.locator(".verdicts .text").allInnerTexts();
	}
	console.log(verdicts);
	const said = (exporter, ...patterns) => {
		assert.equal(verdicts[exporter].length, patterns.length, `verdicts on ${exporter}`);
		patterns.forEach((pattern, i) => assert.match(verdicts[exporter][i], pattern));
	};
	said("core1");
	said("border1");
	said("switch1", /^agent address 198\.51\.100\.31 differs from source 127\.0\.0\.13$/);
	said("old1",
		/^no template 260 from domain 3 since \d\d:\d\d: \d+ data sets could not be read$/,
		/^1[123] % of its datagrams are missing by sequence number/,
		/^clock 62 minutes ahead$/,
		/^\d+ data sets? lost for want of a template in the last/,
		/^interface 512 not in meta_interface$/,
		/^options never seen: sampling assumed 1$/);

	assert.match(await page.locator("header .state").innerText(), /ready/);
	assert.ok(Number((await page.locator(".number").innerText()).replace(/\D/g, "")) > 100, "flows per second");
	assert.ok((await page.locator(".spark .line").getAttribute("d")).length > 20, "the line of the last hour");
	for (const [title, entry] of [["Source AS", /UNI-A/], ["Destination AS", /UNI-A/], ["Interfaces", /core1::to-border/]]) {
		const table = page.locator(".top table", { hasText: title });
		assert.match(await table.first().innerText(), entry);
	}
	await page.goto(`${url}/exporters`);
	assert.equal(await page.locator('meta[http-equiv="refresh"]').count(), 1);
	assert.deepEqual(complaints, []);
	console.log("the page is right");
} finally {
	await context.close();
	rmSync(profile, { recursive: true, force: true });
}
