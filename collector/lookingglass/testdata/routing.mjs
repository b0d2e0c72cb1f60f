// Looks at the page of routes in headless Chromium: its widths, a look-up by the form, and what it says. Takes pictures.
//   node routing.mjs URL DIR
// DIR has node_modules with playwright-core, and gets the pictures.
import assert from "node:assert/strict";
import { inEveryLook, open, picture } from "../../web/webtest/browser.mjs";

const [url, dir] = process.argv.slice(2);
const { browser, page, complaints } = await open(url, dir);
try {
	const look = "routing?address=198.51.100.7&exporter=127.0.0.2";
	await inEveryLook(page, async (name) => {
		for (const [what, path] of [["routing", "routing?refresh=0"], ["routes", look]]) {
			const answer = await page.goto(`${url}/${path}`, { waitUntil: "networkidle" });
			assert.equal(answer.status(), 200);
			await picture(page, dir, `${what}-${name}`);
		}
	});
	// The main page leads here, and the form to the routes: two clicks and an address.
	await page.goto(`${url}/exporters?refresh=0`);
	await page.getByRole("link", { name: "routing" }).click();
	await page.getByLabel("address or prefix").fill("198.51.100.7");
	await page.getByLabel("what a flow of this exporter gets").fill("127.0.0.3");
	await page.getByLabel("shorter prefixes too").check();
	await page.getByRole("button", { name: "look up" }).click();
	assert.match(await page.locator(".explained").innerText(), /its address is that of a session of the router/);
	const routes = await page.locator("article.route").allInnerTexts();
	assert.equal(routes.length, 4);
	assert.match(routes[0], /198\.51\.100\.0\/24 of router 192\.0\.2\.2/);
	assert.match(routes[0], /64501 64502 64502/);
	assert.match(routes[0], /64500:1 no-export/);
	assert.equal(await page.getByLabel("address or prefix").inputValue(), "198.51.100.7");
	assert.ok(await page.getByLabel("shorter prefixes too").isChecked());
	// What is wrong with an address is said, and the field keeps it.
	await page.getByLabel("address or prefix").fill("198.51.100.700");
	await page.getByRole("button", { name: "look up" }).click();
	assert.match(await page.locator('[role="alert"]').innerText(), /neither an address nor a prefix/);
	assert.deepEqual(complaints.filter((text) => !/status of 400/.test(text)), []);
	console.log("the page is right");
} finally {
	await browser.close();
}
