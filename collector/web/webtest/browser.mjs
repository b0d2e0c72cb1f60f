// What the scripts of tests share that look at pages in headless Chromium.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

// open opens an empty page, for a server at url. dir has node_modules with playwright-core. The list complaints gets
// errors of the page's console and requests to other servers. The caller closes browser.
export async function open(url, dir) {
	const { chromium } = createRequire(join(dir, "node_modules", "x.js"))("playwright-core");
	const browser = await chromium.launch({
		executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
		args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync"],
	});
	const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
	page.setDefaultTimeout(180_000); // the machine may be busy
	const complaints = [];
	page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
	page.on("request", (request) => request.url().startsWith(url) || request.url().startsWith("data:") || complaints.push(`asks for ${request.url()}`));
	return { browser, page, complaints };
}

// inEveryLook calls f with the name of each look, once the page has it: light, dark and narrow.
export async function inEveryLook(page, f) {
	for (const [name, width, height, colorScheme] of [
		["light", 1280, 900, "light"], ["dark", 1280, 900, "dark"], ["narrow", 390, 844, "light"], ["narrow-dark", 390, 844, "dark"],
	]) {
		await page.emulateMedia({ colorScheme });
		await page.setViewportSize({ width, height });
		await f(name);
	}
}

// picture takes a picture of a page, which must not be wider than the window.
export async function picture(page, dir, name) {
	const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
	assert.ok(wider <= 0, `${name}: the page is ${wider} pixels wider than the window`);
	await page.screenshot({ path: join(dir, `${name}.png`), fullPage: true });
}
